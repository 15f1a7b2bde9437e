//! Who may depend on whom, and who may use which library.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Each crate of the workspace, and the crates of the workspace that it may use.
const EDGES: &[(&str, &[&str])] = &[
    ("schemas", &[]),
    ("storage", &["schemas"]),
    ("sentiment", &[]),
    ("ingest", &["schemas", "storage", "sentiment"]),
    ("analytics", &["schemas", "storage", "sentiment"]),
    ("console", &[]),
    ("gateway", &["schemas", "storage", "ingest", "analytics", "sentiment", "console"]),
    ("load-tests", &["schemas"]),
    ("xtask", &[]),
];

/// Libraries (by the beginning of their name) that only these crates may use.
const RESERVED: &[(&str, &[&str])] = &[
    ("actix", &["gateway", "load-tests"]),
    ("argon2", &["gateway"]),
    ("arrow", &["analytics"]),
    ("datafusion", &["analytics"]),
    ("fjall", &["storage"]),
    ("jsonwebtoken", &["gateway"]),
    ("parquet", &["analytics"]),
    ("rdkafka", &["storage"]),
    ("rust-embed", &["console"]),
    ("reqwest", &["ingest", "gateway", "load-tests"]),
    ("scylla", &["storage"]),
];

/// The most libraries that a crate uses directly.
const DIRECT_DEPENDENCIES: &[(&str, usize)] = &[("gateway", 45), ("load-tests", 30)];
const DIRECT_DEPENDENCIES_ELSEWHERE: usize = 25;

pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root)
        .output()
        .context("run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).context("read cargo metadata")?;
    let packages = metadata.get("packages").and_then(Value::as_array).context("cargo metadata lists packages")?;
    let names: Vec<&str> = packages.iter().filter_map(|package| package.get("name")?.as_str()).collect();
    let mut faults = Vec::new();
    for package in packages {
        let name = package.get("name").and_then(Value::as_str).unwrap_or_default();
        let dependencies =
            package.get("dependencies").and_then(Value::as_array).context("a package has dependencies")?;
        let ordinary: Vec<&str> = dependencies
            .iter()
            .filter(|dependency| dependency.get("kind").is_some_and(Value::is_null))
            .filter_map(|dependency| dependency.get("name")?.as_str())
            .collect();
        faults.extend(check_package(name, &ordinary, &names));
    }
    Ok(faults)
}

fn check_package(name: &str, dependencies: &[&str], workspace: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    let Some((_, allowed)) = EDGES.iter().find(|(crate_name, _)| *crate_name == name) else {
        return vec![format!("crate {name} is not in the table of crates: add it to xtask/src/crates.rs")];
    };
    for dependency in dependencies {
        if workspace.contains(dependency) && !allowed.contains(dependency) {
            faults.push(format!("crate {name} must not depend on {dependency}"));
        }
        let reserved = RESERVED.iter().find(|(prefix, _)| dependency.starts_with(prefix));
        if let Some((library, users)) = reserved
            && !users.contains(&name)
        {
            faults.push(format!("crate {name} must not use {dependency}: {library} belongs to {}", users.join(", ")));
        }
    }
    let limit = DIRECT_DEPENDENCIES.iter().find(|(crate_name, _)| *crate_name == name);
    let limit = limit.map_or(DIRECT_DEPENDENCIES_ELSEWHERE, |(_, limit)| *limit);
    if dependencies.len() > limit {
        faults
            .push(format!("crate {name} uses {} libraries directly, at most {limit} are allowed", dependencies.len()));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::check_package;

    #[test]
    fn names_every_forbidden_edge() {
        let workspace = ["schemas", "storage", "ingest", "analytics", "gateway"];
        let faults = check_package("ingest", &["schemas", "analytics", "actix-web", "arrow-schema"], &workspace);
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(check_package("gateway", &["ingest", "actix-web"], &workspace).is_empty());
        assert!(check_package("unheard-of", &[], &workspace)[0].contains("not in the table"));
    }
}
