//! The CQL of the tables, from their declarations.
//!
//! Beside the declared tables a keyspace holds four of the engine's own:
//!
//! | table | holds |
//! | --- | --- |
//! | `schema_version` | what the declarations were when tables were last made or changed, and how often that was |
//! | `schema_lock` | who makes or changes tables now; the row expires by itself |
//! | `turn_journal` | one row a partition of the log: its turn, and the last batch that was derived from it (see `journal`) |
//! | `turn_journal_chunks` | the parts of such a batch if it is large |
//!
//! Names are quoted everywhere, since some (`all`, `view`, `key`) are words of CQL.
//!
//! # How tables are kept on disk
//!
//! - Rows that are written again and again (conversations, positions, sessions) are compacted in levels: a read then finds
//!   a row in one file or two, not in as many as it has versions.
//! - Rows that are written once or twice and stay (messages, what a provider's id stands for) are compacted by size, which
//!   writes each row less often.
//! - Lists that are worked off (timers, the outbox, what waits to be sent, the lists of conversations, whose rows move with
//!   each message) leave a tombstone for each row that leaves, and a scan passes over all of them. So these tombstones go after
//!   [`LIST_GRACE_S`], not after ten days, and files are looked through for them once an hour. For as long as that the servers
//!   hand over to a node what it missed. One that was away for longer must be repaired before it is asked again, or it brings
//!   back rows that others have deleted; both servers ask the same of a node that was away for ten days. Where each row has one
//!   copy there is nobody to miss a deletion, and [`ALONE_GRACE_S`] will do.

use std::fmt::Write;

use schemas::tables::{self as t, Column, Order, Table};

use super::values::cql_type;

/// How long tombstones are kept in general, in seconds: ten days, which is what both servers take themselves.
const GRACE_S: u32 = 864_000;

/// How long tombstones of lists that are worked off are kept, in seconds: three hours, for which both servers keep what a node
/// that is away misses.
const LIST_GRACE_S: u32 = 10_800;

/// The same where each row has one copy: ten minutes. Longer by far than a batch may take to be applied, so that no late write
/// meets a deletion that is forgotten already.
const ALONE_GRACE_S: u32 = 600;

/// How often files of lists are looked through for tombstones, in seconds.
const LIST_SWEEP_S: u32 = 3_600;

/// Tables whose rows come and go within one partition.
const LISTS: [&Table; 6] =
    [t::OUTBOX, t::TIMERS, t::PENDING_SENDS, t::ASSIGNMENT_QUEUE, t::COMMAND_KEY_HOURS, t::CONVERSATION_VIEWS];

/// Tables whose rows are written again and again.
const REWRITTEN: [&Table; 8] = [
    t::ENGINE_POSITIONS,
    t::OUTBOX_START,
    t::COMMAND_KEYS_SWEPT,
    t::CONVERSATIONS,
    t::CONTACTS,
    t::AGENTS,
    t::SESSIONS,
    t::ENGINE_CHANNELS,
];

pub(super) const SCHEMA_VERSION: &str = "schema_version";
pub(super) const SCHEMA_LOCK: &str = "schema_lock";
pub(super) const TURN_JOURNAL: &str = "turn_journal";
pub(super) const TURN_JOURNAL_CHUNKS: &str = "turn_journal_chunks";

/// The engine's own tables: name, columns with their types, primary key, what it holds.
const OWN: [(&str, &str, &str, &str); 4] = [
    (
        SCHEMA_VERSION,
        "\"name\" text, \"version\" bigint, \"fingerprint\" text",
        "\"name\"",
        "What the tables were declared as when they were last made or changed.",
    ),
    (SCHEMA_LOCK, "\"name\" text, \"holder\" text", "\"name\"", "Who makes or changes tables now."),
    (
        TURN_JOURNAL,
        "\"log_partition\" bigint, \"turn\" bigint, \"version\" bigint, \"data\" blob",
        "\"log_partition\"",
        "Whose turn it is to derive rows from a partition of the log, and the last batch that was derived.",
    ),
    (
        TURN_JOURNAL_CHUNKS,
        "\"log_partition\" bigint, \"turn\" bigint, \"version\" bigint, \"chunk\" bigint, \"data\" blob",
        "(\"log_partition\", \"turn\", \"version\"), \"chunk\"",
        "The parts of a derived batch that is too large for one row.",
    ),
];

/// Every declared table.
pub(super) const fn all() -> &'static [&'static Table] {
    t::ALL
}

/// A name as CQL takes it. Names here are made of letters, digits and `_`.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// `"a", "b"`.
pub(super) fn names<'a>(columns: impl IntoIterator<Item = &'a Column>) -> String {
    columns.into_iter().map(|column| quoted(column.name)).collect::<Vec<_>>().join(", ")
}

/// A text as CQL takes it.
fn literal(text: &str) -> String {
    format!("'{}'", text.trim().replace('\'', "''"))
}

/// Makes the keyspace, with `replication` copies in `datacenter`. ScyllaDB is told to do without tablets where it knows
/// them: not all its versions that have them can do conditional writes on them.
pub(super) fn create_keyspace(keyspace: &str, datacenter: &str, replication: usize, without_tablets: bool) -> String {
    let tablets = if without_tablets { " AND tablets = {'enabled': false}" } else { "" };
    format!(
        "CREATE KEYSPACE IF NOT EXISTS {} WITH replication = {{'class': 'NetworkTopologyStrategy', {}: {replication}}} AND durable_writes = true{tablets}",
        quoted(keyspace),
        literal(datacenter),
    )
}

/// Makes the engine's own tables.
pub(super) fn create_own_tables(keyspace: &str) -> impl Iterator<Item = (&'static str, String)> {
    let keyspace = quoted(keyspace);
    OWN.into_iter().map(move |(name, columns, key, about)| {
        let text = format!(
            "CREATE TABLE IF NOT EXISTS {keyspace}.{} ({columns}, PRIMARY KEY ({key})) WITH comment = {}",
            quoted(name),
            literal(about)
        );
        (name, text)
    })
}

/// Makes a declared table, in a keyspace with so many copies of each row.
pub(super) fn create_table(keyspace: &str, table: &Table, replication: usize) -> String {
    let mut text = format!("CREATE TABLE IF NOT EXISTS {}.{} (", quoted(keyspace), quoted(table.name));
    for column in table.partition_key.iter().chain(table.clustering_key).chain(table.columns) {
        // Writing into a String does not fail.
        let _infallible = write!(text, "{} {}, ", quoted(column.name), cql_type(column.kind));
    }
    let _infallible = write!(text, "PRIMARY KEY (({})", names(table.partition_key));
    if !table.clustering_key.is_empty() {
        let _infallible = write!(text, ", {}", names(table.clustering_key));
    }
    text.push_str(")) WITH ");
    if !table.clustering_key.is_empty() {
        let order = direction(table.order);
        let order: Vec<_> =
            table.clustering_key.iter().map(|column| format!("{} {order}", quoted(column.name))).collect();
        let _infallible = write!(text, "CLUSTERING ORDER BY ({}) AND ", order.join(", "));
    }
    let _infallible = write!(text, "comment = {} AND {}", literal(table.about), on_disk(table, replication));
    text
}

/// Adds a column to a table.
pub(super) fn add_column(keyspace: &str, table: &Table, column: &Column) -> String {
    format!(
        "ALTER TABLE {}.{} ADD {} {}",
        quoted(keyspace),
        quoted(table.name),
        quoted(column.name),
        cql_type(column.kind)
    )
}

/// The word for an order.
pub(super) const fn direction(order: Order) -> &'static str {
    match order {
        Order::Ascending => "ASC",
        Order::Descending => "DESC",
    }
}

/// How a table is kept: see the module.
fn on_disk(table: &Table, replication: usize) -> String {
    let is_one_of = |tables: &[&Table]| tables.iter().any(|other| other.name == table.name);
    if is_one_of(&LISTS) {
        let (grace_s, sweep_s) =
            if replication > 1 { (LIST_GRACE_S, LIST_SWEEP_S) } else { (ALONE_GRACE_S, ALONE_GRACE_S) };
        return format!(
            "gc_grace_seconds = {grace_s} AND compaction = {{'class': 'LeveledCompactionStrategy', 'tombstone_threshold': '0.1', 'tombstone_compaction_interval': '{sweep_s}'}}"
        );
    }
    let strategy = if is_one_of(&REWRITTEN) { "LeveledCompactionStrategy" } else { "SizeTieredCompactionStrategy" };
    format!("gc_grace_seconds = {GRACE_S} AND compaction = {{'class': '{strategy}'}}")
}

/// A short text that differs if declarations do.
pub(super) fn fingerprint(tables: &[&Table]) -> String {
    let mut hasher = crc32fast::Hasher::new();
    for table in tables {
        hasher.update(create_table("", table, 1).as_bytes());
    }
    format!("{:08x}", hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_becomes_a_table() {
        assert_eq!(
            create_table("hub", t::CONVERSATION_VIEWS, 3),
            "CREATE TABLE IF NOT EXISTS \"hub\".\"conversation_views\" (\"workspace_id\" blob, \"view\" text, \
             \"last_activity_at\" bigint, \"conversation_id\" blob, PRIMARY KEY ((\"workspace_id\", \"view\"), \
             \"last_activity_at\", \"conversation_id\")) WITH CLUSTERING ORDER BY (\"last_activity_at\" DESC, \
             \"conversation_id\" DESC) AND comment = 'Lists of conversations: `view` is a status and whose, such as `open/all`, \
             `open/none`, `open/<user>`, `open/team:<team>`.' AND gc_grace_seconds = 10800 AND compaction = {'class': \
             'LeveledCompactionStrategy', 'tombstone_threshold': '0.1', 'tombstone_compaction_interval': '3600'}"
        );
        assert!(create_table("hub", t::TIMERS, 1).contains("gc_grace_seconds = 600 "));
        assert!(create_table("hub", t::EXTERNAL_MESSAGES, 3).contains("'The message that a provider''s id stands for"));
    }

    #[test]
    fn columns_of_every_table_fit_the_set_of_a_statement() {
        for table in t::ALL {
            assert!(table.columns.len() <= 64, "{}", table.name);
            assert!(OWN.iter().all(|(name, ..)| *name != table.name), "{}", table.name);
        }
    }

    #[test]
    fn another_column_is_another_fingerprint() {
        const WITH_COLUMN: Table = Table { columns: t::SESSIONS.columns, ..*t::USERS };
        assert_eq!(fingerprint(&[t::USERS]), fingerprint(&[t::USERS]));
        assert_ne!(fingerprint(&[t::USERS]), fingerprint(&[&WITH_COLUMN]));
    }
}
