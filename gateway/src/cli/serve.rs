//! `serve` and `migrate`.

use std::process::ExitCode;

use anyhow::bail;

use super::{block_on, clock, note, open};
use crate::app::{Application, DataFolder};
use crate::config::{Config, Engine};
use crate::telemetry::{start_logs, start_metrics};

/// The roles that there are.
const ROLES: [&str; 4] = ["gateway", "ingest", "outbound", "analytics"];

/// Runs the hub until it is stopped.
pub(super) fn run(config: Config, roles: &[String]) -> anyhow::Result<ExitCode> {
    check_roles(&config, roles)?;
    start_logs(&config.telemetry)?;
    let metrics = start_metrics()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let application = Application::build(config, clock(), Some(metrics)).await?;
        application.run_until_stopped().await
    });
    // Blocking threads that still close files are given a moment; what they do is safe to cut.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    outcome.map(|()| ExitCode::SUCCESS)
}

fn check_roles(config: &Config, roles: &[String]) -> anyhow::Result<()> {
    let all = roles.iter().any(|role| role == "all");
    if let Some(unknown) = roles.iter().find(|role| *role != "all" && !ROLES.contains(&role.as_str())) {
        bail!("--roles: there is no role {unknown:?}; write all, or a list of {}", ROLES.join(", "));
    }
    let missing: Vec<_> =
        ROLES.iter().filter(|role| !all && !roles.iter().any(|given| given == *role)).copied().collect();
    let embedded = config.log.engine == Engine::Embedded || config.tables.engine == Engine::Embedded;
    if embedded && !missing.is_empty() {
        bail!(
            "--roles: {} missing; with log.engine or tables.engine \"embedded\" all roles run in one process: write --roles all",
            missing.join(", ")
        );
    }
    Ok(())
}

/// Makes or checks the data folder.
pub(super) fn migrate(config: &Config) -> anyhow::Result<ExitCode> {
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
    use crate::config::{Sources, load};

    #[test]
    fn embedded_engines_want_all_roles_in_one_process() {
        let config = load(&Sources::default()).unwrap();
        let check = |roles: &str| check_roles(&config, &roles.split(',').map(str::to_owned).collect::<Vec<_>>());
        assert!(check("all").is_ok() && check("ingest,gateway,analytics,outbound").is_ok());
        let error = check("gateway,ingest").unwrap_err().to_string();
        assert!(error.contains("outbound, analytics missing") && error.contains("--roles all"), "{error}");
        assert!(check("gatway").unwrap_err().to_string().contains("there is no role"));
    }
}
