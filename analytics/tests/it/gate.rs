//! The gate: what passes, what does not, and that it says why.

use std::fmt::Write as _;

use analytics::sql::SqlError;
use analytics::sql::gate::check;
use proptest::prelude::*;

#[track_caller]
fn refused(sql: &str, by: &str) {
    let shown: String = sql.chars().take(80).collect();
    match check(sql) {
        Err(SqlError::Refused { reason }) => assert!(reason.contains(by), "{shown}: {reason}"),
        other => panic!("{shown}: {other:?}"),
    }
}

#[test]
fn passes_what_people_ask() {
    let terms = vec!["seq = 1"; 60].join(" OR ");
    for sql in [
        "SELECT count(*) FROM messages",
        "SELECT * FROM messages WHERE created_at > now() - INTERVAL '1 day' ORDER BY created_at DESC LIMIT 10;",
        "WITH a AS (SELECT channel_id, count(*) AS n FROM messages GROUP BY 1) SELECT * FROM a JOIN a b USING (channel_id)",
        "SELECT date_trunc('hour', end_at), avg(seconds), median(seconds) FROM conversation_facts GROUP BY ROLLUP (1)",
        "SELECT unnest(labels) AS label, count(*) FROM conversations GROUP BY 1 HAVING count(*) > 1",
        "SELECT row_number() OVER (PARTITION BY conversation_id ORDER BY seq), lag(created_at) OVER (ORDER BY seq) FROM messages",
        "SELECT text ~ '^hi', regexp_like(text, 'a{2,3}') FROM messages WHERE text ILIKE '%refund%'",
        "SELECT hist_quantile(hist_merge(first_response_hist), 0.9) FROM kpi_minute",
        "SELECT count(*) FILTER (WHERE status = 'open') FROM conversations UNION ALL SELECT 1",
        "SELECT CASE WHEN seconds > 60::float THEN 'slow' ELSE 'fast' END, extract(hour FROM end_at) FROM conversation_facts",
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM messages m WHERE m.conversation_id IN (SELECT conversation_id FROM conversations))",
        "SELECT * FROM catalogue -- what there is",
        &format!("SELECT 1 FROM messages WHERE {terms}"),
    ] {
        if let Err(error) = check(sql) {
            panic!("{sql}: {error}");
        }
    }
}

#[test]
fn refuses_everything_but_one_select() {
    for sql in [
        "COPY messages TO '/tmp/x.csv'",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "CREATE TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "CREATE FUNCTION f(int) RETURNS int RETURN $1",
        "INSERT INTO messages SELECT * FROM messages",
        "UPDATE messages SET text = ''",
        "DELETE FROM messages",
        "DROP TABLE messages",
        "SET datafusion.runtime.memory_limit = '100G'",
        "RESET datafusion.runtime.memory_limit",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "SHOW ALL",
        "SHOW TABLES",
        "DESCRIBE messages",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT 1",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/x.csv'",
    ] {
        match check(sql) {
            Err(SqlError::Refused { .. } | SqlError::Invalid { .. }) => {}
            other => panic!("{sql}: {other:?}"),
        }
    }
    refused("SELECT 1; SELECT 2", "exactly one SELECT");
    refused("", "exactly one SELECT");
    refused("SELECT 1 INTO t", "SELECT INTO");
    refused("SELECT 1 FROM messages FOR UPDATE", "FOR");
    refused("WITH x AS (INSERT INTO messages VALUES (1)) SELECT 1", "read-only");
}

#[test]
fn refuses_other_relations_and_functions() {
    refused("SELECT * FROM '/etc/passwd'", "there is no table");
    refused("SELECT * FROM \"/tmp/x.parquet\"", "there is no table");
    refused("SELECT * FROM information_schema.df_settings", "there is no table");
    refused("SELECT * FROM information_schema.tables", "there is no table");
    refused("SELECT * FROM datafusion.public.messages", "there is no table");
    refused("SELECT * FROM conversations_base", "there is no table");
    refused("SELECT * FROM generate_series(1, 1000000000000000)", "table functions");
    refused("SELECT * FROM range(0, 10)", "table functions");
    refused("SELECT * FROM read_csv('/etc/passwd')", "table functions");
    refused("SELECT * FROM unnest([1, 2])", "UNNEST");
    refused("SELECT * FROM messages TABLESAMPLE SYSTEM (10)", "TABLESAMPLE");
    for function in [
        "version()",
        "uuid()",
        "random()",
        "repeat('x', 2000000000)",
        "lpad('x', 2000000000, 'y')",
        "rpad('x', 2000000000, 'y')",
        "replace('x', 'x', 'yyyy')",
        "range(0, 2000000000)",
        "generate_series(0, 2000000000)",
        "array_repeat(1, 2000000000)",
        "array_resize([1], 2000000000, 1)",
        "levenshtein(text, text)",
        "regexp_replace(text, 'a', 'b')",
        "arrow_cast(1, 'FixedSizeBinary(2000000000)')",
        "translate(text, 'a', 'b')",
        "sha512(text)",
        "\"repeat\"('x', 2)",
        "REPEAT('x', 2)",
        "pg_catalog.repeat('x', 2)",
    ] {
        refused(&format!("SELECT {function} FROM messages"), "is not available here");
    }
    refused("SELECT CAST('x' AS BYTEA)", "CAST");
    refused("SELECT [1]::int[1000000000]", "CAST");
    refused("SELECT OVERLAY(text PLACING 'a' FROM 1) FROM messages", "OVERLAY");
}

#[test]
fn refuses_what_is_too_large() {
    refused(&format!("SELECT '{}'", "x".repeat(17_000)), "bytes");
    refused(&format!("SELECT 1{}", "+1".repeat(7_999)), "tokens");
    refused(&format!("SELECT 1{}", "+1".repeat(900)), "parts");
    refused(&format!("SELECT {}1{}", "(".repeat(500), ")".repeat(500)), "brackets are nested");
    refused(&format!("SELECT {} true", "NOT ".repeat(60)), "nested");
    refused(&format!("SELECT 1 {}", "UNION ALL SELECT 1 ".repeat(100)), "set operations");
    refused(&format!("SELECT 1 FROM messages m0 {}", joins(13)), "joins");
    refused(&format!("SELECT 1 FROM messages{}", ", messages".repeat(13)), "joins");
    let list = (0..1_200).fold(String::new(), |mut list, n| {
        write!(list, "{n},").unwrap();
        list
    });
    refused(&format!("SELECT 1 WHERE 1 IN ({list}1)"), "tokens");
    refused(&format!("SELECT {}", vec!["rank() OVER ()"; 21].join(", ")), "window functions");
    refused("SELECT 1 FROM messages GROUP BY CUBE (1,2,3,4,5,6,7)", "CUBE");
    let nested = (0..9).fold("SELECT 1 AS a".to_owned(), |sql, _| format!("SELECT * FROM ({sql})"));
    refused(&nested, "queries are nested");
}

fn joins(count: usize) -> String {
    (1..=count).fold(String::new(), |mut sql, n| {
        write!(sql, "JOIN messages m{n} ON true ").unwrap();
        sql
    })
}

/// A named subquery that joins the one before it with itself.
pub(crate) fn doubling(levels: usize) -> String {
    let ctes = (1..=levels).fold("WITH c0 AS (SELECT 1 AS a FROM messages)".to_owned(), |mut sql, n| {
        let before = n - 1;
        write!(sql, ", c{n} AS (SELECT x.a FROM c{before} x CROSS JOIN c{before} y)").unwrap();
        sql
    });
    format!("{ctes} SELECT count(*) FROM c{levels}")
}

#[test]
fn counts_named_subqueries_where_they_are_used() {
    assert!(check(&doubling(5)).is_ok());
    refused(&doubling(7), "tables");
    refused(&doubling(11), "tables");
    refused(&doubling(18), "named subqueries");
    refused("WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT * FROM t", "RECURSIVE");
}

#[test]
fn wants_short_literal_patterns() {
    refused("SELECT text ~ text FROM messages", "literal");
    refused("SELECT regexp_like(text, concat('a', 'b')) FROM messages", "literal");
    refused("SELECT text SIMILAR TO text FROM messages", "literal");
    refused("SELECT text !~* any(['a']) FROM messages", "literal");
    refused(&format!("SELECT text ~ '{}' FROM messages", "a".repeat(257)), "bytes");
    let many = ["text ~ 'a'"; 5].join(", ");
    refused(&format!("SELECT {many} FROM messages"), "regular expressions");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the text, the gate answers.
    #[test]
    fn never_panics(words in prop::collection::vec(prop::sample::select(WORDS), 0..60)) {
        let _checked = check(&words.join(" "));
    }
}

const WORDS: &[&str] = &[
    "SELECT", "FROM", "WHERE", "messages", "WITH", "a", "AS", "(", ")", ",", "JOIN", "ON", "UNION", "ALL", "*", "1",
    "'x'", "CASE", "WHEN", "END", "NOT", "IN", "BETWEEN", "AND", "[", "]", "::", "int", "OVER", "GROUP BY", "ORDER BY",
    ";", "--", "/*", "$1", "@", "INTERVAL", "LATERAL", "VALUES", "count", ".", "~", "\"", "E'\\", "é",
];
