//! How much may go into one unlogged batch before the servers complain.
//!
//! Both servers warn of batches over a number of bytes, Apache Cassandra also of those over a number of partitions, in their
//! logs and in each answer. They say where that begins; who raises it lets the hub write with fewer requests. Where they do not
//! say, Cassandra's defaults are kept to: ten partitions, and 5 KiB.

use scylla::client::session::Session;

/// How many partitions go into a batch at most, whatever the servers say.
const MOST_PARTITIONS: usize = 100;

/// How many bytes do at most, as they are counted here: 48 KiB. Cassandra refuses more than 50 KiB unless told otherwise, whatever
/// it warns of.
const MOST_BYTES: usize = 48 << 10;

/// Where nothing is known.
const DEFAULT: BatchLimits = BatchLimits { partitions: 10, bytes: 4 << 10 };

/// Where Apache Cassandra and ScyllaDB show their settings.
const CASSANDRA: &str = "SELECT name, value FROM system_views.settings WHERE name IN ('batch_size_warn_threshold', 'unlogged_batch_across_partitions_warn_threshold')";
const SCYLLA: &str = "SELECT name, value FROM system.config WHERE name = 'batch_size_warn_threshold_in_kb'";

/// What goes into one unlogged batch over several partitions of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchLimits {
    pub(super) partitions: usize,
    /// As [`super::changes::Change::size_bytes`] counts, which is a little more than the servers count.
    pub(super) bytes: usize,
}

impl BatchLimits {
    /// Those of the servers.
    pub(super) async fn of(session: &Session) -> Self {
        let mut settings = settings(session, CASSANDRA).await;
        if settings.is_empty() {
            settings = settings_of_scylla(session).await;
        }
        let limits = Self::from_settings(&settings);
        tracing::debug!(?limits, "the servers' limits of batches");
        limits
    }

    fn from_settings(settings: &[(String, String)]) -> Self {
        let of = |name: &str| settings.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
        let bytes = of("batch_size_warn_threshold").and_then(bytes_of);
        let kibibytes = || of("batch_size_warn_threshold_in_kb").and_then(|text| text.parse::<usize>().ok());
        let bytes = bytes.or_else(|| kibibytes().and_then(|kibibytes| kibibytes.checked_mul(1 << 10)));
        let partitions = of("unlogged_batch_across_partitions_warn_threshold").and_then(|text| text.parse().ok());
        Self {
            partitions: partitions.unwrap_or(DEFAULT.partitions).clamp(1, MOST_PARTITIONS),
            // A fifth of room, since sizes are counted in different ways.
            bytes: bytes.map_or(DEFAULT.bytes, |bytes| bytes / 5 * 4).min(MOST_BYTES),
        }
    }
}

/// ScyllaDB warns of bytes only, so any number of partitions will do.
async fn settings_of_scylla(session: &Session) -> Vec<(String, String)> {
    let mut settings = settings(session, SCYLLA).await;
    if !settings.is_empty() {
        settings.push(("unlogged_batch_across_partitions_warn_threshold".to_owned(), MOST_PARTITIONS.to_string()));
    }
    settings
}

async fn settings(session: &Session, query: &str) -> Vec<(String, String)> {
    // Servers without such a table refuse the question, and so do those whose user may not read it.
    let Ok(answer) = session.query_unpaged(query, ()).await else { return Vec::new() };
    let Ok(rows) = answer.into_rows_result() else { return Vec::new() };
    let Ok(rows) = rows.rows::<(String, Option<String>)>() else { return Vec::new() };
    rows.filter_map(|row| row.ok().and_then(|(name, value)| Some((name, value?)))).collect()
}

/// A size such as `5KiB`.
fn bytes_of(text: &str) -> Option<usize> {
    let (number, unit) = text.split_at_checked(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))?;
    let factor = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_follow_what_the_servers_say() {
        let of = |settings: &[(&str, &str)]| {
            let settings: Vec<_> =
                settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            BatchLimits::from_settings(&settings)
        };
        let partitions = "unlogged_batch_across_partitions_warn_threshold";
        assert_eq!(of(&[]), DEFAULT);
        let cassandra = of(&[("batch_size_warn_threshold", "5KiB"), (partitions, "10")]);
        assert_eq!(cassandra, BatchLimits { partitions: 10, bytes: 4 << 10 });
        let raised = of(&[("batch_size_warn_threshold", "1MiB"), (partitions, "500")]);
        assert_eq!(raised, BatchLimits { partitions: MOST_PARTITIONS, bytes: MOST_BYTES });
        let scylla = of(&[("batch_size_warn_threshold_in_kb", "30"), (partitions, "100")]);
        assert_eq!(scylla, BatchLimits { partitions: 100, bytes: 24 << 10 });
        let odd = of(&[("batch_size_warn_threshold", "much"), (partitions, "0")]);
        assert_eq!(odd, BatchLimits { partitions: 1, bytes: DEFAULT.bytes });
    }
}
