//! The description of the API: committed, and complete.

use std::collections::BTreeSet;
use std::path::Path;

use gateway::http::endpoints;
use gateway::http::openapi::description;

/// Set to any value, the committed description is written anew.
const REWRITE: &str = "REWRITE_OPENAPI";

#[test]
fn docs_openapi_json_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let mut now = serde_json::to_string_pretty(&description()).unwrap();
    now.push('\n');
    if std::env::vars_os().any(|(name, _)| name == REWRITE) {
        std::fs::write(&path, &now).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == now, "docs/openapi.json is out of date: run the tests with {REWRITE}=1 and commit it");
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let described: BTreeSet<String> = serde_json::to_value(description()).unwrap()["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, operations)| {
            let methods = operations.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            methods.into_iter().map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let registered: BTreeSet<String> = endpoints()
        .list()
        .iter()
        .filter(|route| route.path != "/openapi.json")
        .map(|route| format!("{} /api/v1{}", route.method, route.path))
        .collect();
    assert_eq!(described, registered);
}
