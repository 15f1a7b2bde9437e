//! The description of the API: committed, and complete.

use std::collections::BTreeSet;
use std::path::Path;

use gateway::http::endpoints;
use gateway::http::openapi::description;
use serde_json::Value;

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

#[test]
fn every_operation_has_a_name_of_its_own() {
    let described = serde_json::to_value(description()).unwrap();
    let operations =
        described["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let names: Vec<_> = operations.map(|operation| operation["operationId"].as_str().unwrap().to_owned()).collect();
    let different: BTreeSet<_> = names.iter().collect();
    assert_eq!(different.len(), names.len(), "{names:?}");
    assert!(names.contains(&"teams_list".to_owned()) && names.iter().all(|name| !name.contains(' ')), "{names:?}");
}

/// What stands behind every `$ref` of a description.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(place) if name == "$ref" => drop(found.insert(place.to_owned())),
                    _ => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn the_frames_of_the_sockets_are_described_and_every_reference_leads_somewhere() {
    let described = serde_json::to_value(description()).unwrap();
    let types = described["components"]["schemas"].as_object().unwrap();
    for name in ["ClientFrame", "ServerFrame", "VisitorClientFrame", "VisitorServerFrame", "EventRecord", "Event"] {
        assert!(types.contains_key(name), "{name} is not described");
    }
    let names = serde_json::to_string(types).unwrap();
    for frame in ["hello", "resumed", "drain", "message.send", "presence.set", "message_added", "command_settled"] {
        assert!(names.contains(&format!("\"{frame}\"")), "{frame} is not described");
    }
    let mut found = BTreeSet::new();
    references(&described, &mut found);
    let lost: Vec<_> = found
        .iter()
        .filter(|place| place.strip_prefix("#/components/schemas/").is_none_or(|name| !types.contains_key(name)))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
}
