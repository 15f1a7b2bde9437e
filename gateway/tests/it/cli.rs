//! The binary on the command line.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use gateway::app::DataFolder;
use serde_json::{Value, json};
use storage::log::embedded::{EmbeddedLog, EmbeddedLogOptions, MIN_SEGMENT_BYTES};
use storage::log::{Log as _, NewRecord, Topic};

pub(crate) fn saler(data: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_saler"))
        .args(arguments)
        .env("SALER_DATA__DIR", data)
        .env("SALER_LOG__MIN_FREE_MB", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[track_caller]
pub(crate) fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn sets_up_a_stopped_hub_from_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let run = |arguments: &[&str], input: &str| saler(&data, arguments, input);
    let workspace = json_of(&run(&["workspace", "create", "--name", "Rana Shoes", "--time-zone", "Asia/Amman"], ""));
    let id = workspace["id"].as_str().unwrap();
    let user = ["user", "create", "--workspace", id, "--email", "rana@shop.test", "--name", "Rana", "--role", "owner"];
    let made = json_of(&run(&user, ""));
    assert!(made["password"].as_str().unwrap().len() >= 20, "a password was made and is shown");
    let again = run(&user, "");
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("exists already"));
    let channel = json_of(&run(
        &[
            "channel",
            "create",
            "--workspace",
            id,
            "--name",
            "Support",
            "--provider",
            "twilio",
            "--medium",
            "whatsapp",
            "--address",
            "+15005550006",
            "--account-sid",
            "AC00000000000000000000000000000000",
            "--auth-token-stdin",
        ],
        "0123456789abcdef0123456789abcdef\n",
    ));
    assert!(channel["webhook_url"].as_str().unwrap().starts_with("http://127.0.0.1:8080/webhooks/twilio/"));
    let token = json_of(&run(
        &["token", "create", "--workspace", id, "--email", "rana@shop.test", "--name", "x", "--role", "analyst"],
        "",
    ));
    assert!(token["secret"].as_str().unwrap().starts_with("saler_"));
    let bot = ["--email", "rana@shop.test", "--name", "auto-reply", "--role", "agent", "--bot", "Greeter"];
    let made = json_of(&run(&[&["token", "create", "--workspace", id], bot.as_slice()].concat(), ""));
    assert_eq!(made["token"]["bot"], json!("Greeter"));
    let letters = json_of(&run(&["dead-letter", "list", "--workspace", id], ""));
    assert_eq!(letters, json!([]));
    assert_eq!(json_of(&run(&["log", "verify"], ""))["damage"], json!([]));
    let into = dir.path().join("replayed");
    let replayed = json_of(&run(&["log", "replay", "--into", into.to_str().unwrap()], ""));
    assert_eq!((&replayed["same"], &replayed["tables_compared"]), (&json!(true), &json!(true)));
}

#[test]
fn a_wrong_configuration_names_every_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("saler.toml");
    std::fs::write(&file, "[http]\nlisten = \"nowhere\"\nport = 1\n[log]\ndurability = \"never\"\n").unwrap();
    let output = saler(dir.path(), &["--config", file.to_str().unwrap(), "check-config"], "");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty());
    for expected in ["3 mistake(s)", "there is no key http.port", "http.listen: ", "log.durability: "] {
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn tells_why_a_webhook_is_refused_and_what_is_read_from_one() {
    let dir = tempfile::tempdir().unwrap();
    let request = json!({
        "secrets": ["12345"], "method": "POST", "url": "https://example.com/myapp.php?foo=1&bar=2",
        "headers": {
            "Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": "L/OH5YylLD5NRKLltdqwSvS0BnU=",
        },
        "body": "CallSid=CA1234567890ABCDE&Caller=%2B14158675310&Digits=1234&From=%2B14158675310&To=%2B18005551212",
    });
    let verify = |request: &Value| {
        saler(dir.path(), &["webhook", "verify", "--provider", "twilio", "--request", "-"], &request.to_string())
    };
    let valid = verify(&request);
    assert!(valid.status.success(), "{valid:?}");
    let mut other = request.clone();
    other["url"] = json!("http://example.com/myapp.php?foo=1&bar=2");
    let invalid = verify(&other);
    assert_eq!(invalid.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&invalid.stdout).contains("does not match"), "{invalid:?}");
    let parse = ["webhook", "parse", "--provider", "twilio", "--content-type", "application/x-www-form-urlencoded"];
    let body =
        "MessageSid=SM1&SmsStatus=received&AccountSid=AC1&From=%2B15005550001&To=%2B15005550006&Body=hi&NumMedia=0";
    assert_eq!(json_of(&saler(dir.path(), &parse, body)).as_array().unwrap().len(), 1);
    assert_eq!(saler(dir.path(), &parse, "x=1").status.code(), Some(1));
    // What cannot be judged is no verdict.
    for nonsense in ["", "[]", r#"{"secrets": "x"}"#] {
        let verify = ["webhook", "verify", "--provider", "twilio", "--request", "-"];
        let output = saler(dir.path(), &verify, nonsense);
        assert!(output.status.code() == Some(2) && output.stdout.is_empty(), "{nonsense}: {output:?}");
    }
    let unknown = saler(dir.path(), &["webhook", "verify", "--provider", "pigeon", "--request", "-"], "{}");
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(unknown.status.code() == Some(2) && said.contains("twilio"), "{said}");
    let missing = saler(dir.path(), &["webhook", "verify", "--provider", "twilio", "--request", "/nowhere"], "");
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn says_how_lines_sound() {
    let dir = tempfile::tempdir().unwrap();
    let lines = "thank you, wonderful service\nوصلني المنتج مكسور ولا أحد يرد\nwhat time do you open on Friday?\n";
    let output = saler(dir.path(), &["sentiment"], lines);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let labels: Vec<_> = said.lines().map(|line| line.split_once('\t').unwrap().0).collect();
    assert!(output.status.success() && labels == ["positive", "negative", "neutral"], "{output:?}");
}

#[test]
fn every_command_shows_an_example() {
    let dir = tempfile::tempdir().unwrap();
    for command in [
        "",
        "serve",
        "check-config",
        "migrate",
        "log",
        "workspace",
        "user",
        "channel",
        "token",
        "webhook",
        "dead-letter",
        "log inspect",
        "log verify",
        "log replay",
        "workspace create",
        "user create",
        "channel create",
        "token create",
        "webhook verify",
        "webhook parse",
        "dead-letter list",
        "dead-letter show",
        "dead-letter replay",
        "sentiment",
    ] {
        let mut arguments: Vec<_> = command.split_whitespace().collect();
        arguments.push("--help");
        let output = saler(dir.path(), &arguments, "");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && text.contains("Example:\n  saler") || text.contains("Example:\n  SALER_"),
            "{command}: {text}"
        );
    }
    let help = saler(dir.path(), &["webhook", "verify", "--help"], "");
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    // The example can be used as it stands.
    let example = text.split_once("\n  {\n").unwrap().1.rsplit_once("\n  }\n").unwrap().0;
    let example = format!("{{{example}}}");
    let request: Value = serde_json::from_str(&example).unwrap();
    assert!(request["secrets"].is_array() && text.contains("[possible values: twilio"), "{text}");
    let judged = saler(dir.path(), &["webhook", "verify", "--provider", "twilio", "--request", "-"], &example);
    assert_eq!(judged.status.code(), Some(1), "{judged:?}");
}

/// A log of whose commands retention has removed the first.
async fn removed_beginning(data: &Path) -> u64 {
    let folder = DataFolder::at(data);
    folder.prepare().unwrap();
    let options = EmbeddedLogOptions {
        segment_bytes: MIN_SEGMENT_BYTES,
        retention_bytes: Some(0),
        min_free_bytes: 0,
        ..EmbeddedLogOptions::new(folder.log(), 1)
    };
    let log = EmbeddedLog::open(options).unwrap();
    let at = "2026-11-22T09:00:00Z".parse().unwrap();
    let workspace_id = schemas::WorkspaceId::new(at, &[1; 10]);
    for _ in 0..20 {
        let record = NewRecord { key: workspace_id, at, value: vec![b' '; 1_000].into() };
        log.append(Topic::Commands, 0, vec![record]).await.unwrap();
    }
    log.release(Topic::Commands, 0, 20).await.unwrap();
    log.expire().await;
    log.bounds(Topic::Commands, 0).await.unwrap().earliest
}

#[tokio::test]
async fn a_log_without_its_beginning_says_why_it_cannot_be_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let earliest = removed_beginning(&data).await;
    assert!(earliest > 0);
    let into = dir.path().join("replayed");
    let output = saler(&data, &["log", "replay", "--into", into.to_str().unwrap()], "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = format!("retention has removed the first {earliest} commands of partition 0");
    assert!(output.status.code() == Some(1) && said.contains(&expected), "{said}");
    assert!(!into.exists(), "nothing was made");
}

#[test]
fn a_workspace_is_in_a_time_zone_that_exists() {
    let dir = tempfile::tempdir().unwrap();
    let output = saler(&dir.path().join("data"), &["workspace", "create", "--name", "x", "--time-zone", "Mars"], "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("\"Mars\"") && said.contains("Asia/Amman"), "{said}");
}
