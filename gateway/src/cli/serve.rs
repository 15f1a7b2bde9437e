//! `serve` and `migrate`.

use std::process::ExitCode;

use anyhow::{Context, bail};

use super::{block_on, clock, note, open};
use crate::app::{Application, DataFolder};
use crate::config::{Config, Roles};
use crate::telemetry::{start_logs, start_metrics};

/// Runs the hub, or these roles of it, until it is stopped.
pub(super) fn run(config: Config, roles: &[String]) -> anyhow::Result<ExitCode> {
    let roles = check_roles(&config, roles)?;
    start_logs(&config.telemetry)?;
    let metrics = start_metrics()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let application = Application::build(config, roles, clock(), Some(metrics)).await?;
        application.run_until_stopped().await
    });
    // Blocking threads that still close files are given a moment; what they do is safe to cut.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    outcome.map(|()| ExitCode::SUCCESS)
}

fn check_roles(config: &Config, roles: &[String]) -> anyhow::Result<Roles> {
    let roles = Roles::parse(roles).context("--roles")?;
    let faults = config.faults_of_roles(&roles);
    if !faults.is_empty() {
        bail!(faults.join("\n"));
    }
    Ok(roles)
}

/// Makes or checks what the hub keeps its data in.
pub(super) fn migrate(config: &Config) -> anyhow::Result<ExitCode> {
    if config.is_shared() {
        let migrated = block_on(async { Ok(crate::app::migrate(config).await?) })?;
        note(&format!(
            "the topics {}.* are in order; keyspace {}: {} table(s) made, {} column(s) added",
            config.kafka.topic_prefix, config.scylla.keyspace, migrated.tables, migrated.columns
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let is_new = DataFolder::of(config).prepare()?;
    block_on(async {
        let engines = open(config, "its folder is in order already").await?;
        engines.tables.sync().await?;
        Ok(())
    })?;
    let state = if is_new { "made" } else { "in order" };
    note(&format!("{}: {state}", config.data.dir.display()));
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::check_roles;
    use crate::config::{Config, Sources, load};

    fn config(variables: &[(&str, &str)]) -> Config {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        load(&Sources { variables, ..Sources::default() }).unwrap()
    }

    fn check(config: &Config, roles: &str) -> Result<String, String> {
        let roles: Vec<_> = roles.split(',').map(str::to_owned).collect();
        check_roles(config, &roles).map(|roles| roles.to_string()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn embedded_engines_want_all_roles_in_one_process() {
        let config = config(&[]);
        assert_eq!(check(&config, "all").unwrap(), "all");
        assert_eq!(check(&config, "ingest,gateway,analytics").unwrap(), "all");
        let error = check(&config, "gateway,ingest").unwrap_err();
        assert!(error.contains("analytics missing") && error.contains("log.engine") && error.contains("--roles all"));
        assert!(check(&config, "gatway").unwrap_err().contains("--roles: there is no role \"gatway\""));
    }

    #[test]
    fn shared_engines_take_any_roles() {
        let cluster = [
            ("SALER_LOG__ENGINE", "kafka"),
            ("SALER_KAFKA__BROKERS", "kafka-1:9092, kafka-2:9092"),
            ("SALER_TABLES__ENGINE", "scylla"),
            ("SALER_SCYLLA__NODES", "scylla-1:9042"),
        ];
        let plain = config(&cluster);
        assert_eq!(check(&plain, "gateway,ingest").unwrap(), "gateway,ingest");
        assert!(check(&plain, "analytics").unwrap_err().contains("analytics.token is empty"));
        let secret = "x".repeat(32);
        let with_token = config(&[&cluster[..], &[("SALER_ANALYTICS__TOKEN", &secret)]].concat());
        assert_eq!(check(&with_token, "analytics").unwrap(), "analytics");
    }
}
