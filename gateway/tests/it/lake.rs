//! The lake of a real hub: listed, verified, rebuilt, and copied to a bucket.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use analytics::lake::Place as _;
use gateway::bucket::{Bucket, BucketOptions};
use serde_json::{Value, json};

use storage::clock::SystemClock;
use tokio::runtime::Handle;

use super::app::message;
use super::cli::{json_of, saler};
use super::fake_bucket::FakeBucket;
use super::process::{Hub, Shop};

const CUSTOMERS: usize = 5;

/// Lets customers write, until all is counted, and stops the hub.
async fn day(data: &Path, shop: &Shop, from: usize, settings: &[(&str, &str)]) {
    let hub = Hub::start(data, settings).await;
    for number in from..from + 2 * CUSTOMERS {
        let customer = format!("+1415555{:04}", number % CUSTOMERS);
        let posted = hub.webhook(shop, &message(&customer, &format!("SM{number:032}"), "هل وصل طلبي؟")).await;
        assert_eq!(posted.status, 200);
    }
    let counted = json!({ "sql": "select count(*) from messages" });
    hub.until("all messages are counted", async || {
        let answer = hub.call(shop, reqwest::Method::POST, "/sql", Some(&counted)).await.expect(200);
        (answer["rows"][0][0] == from + 2 * CUSTOMERS).then_some(())
    })
    .await;
    hub.terminate();
    let (status, said) = hub.ended().await;
    assert!(status.success(), "{said}");
}

fn table<'a>(listed: &'a Value, name: &str) -> &'a Value {
    listed.as_array().unwrap().iter().find(|table| table["table"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_lists_verifies_and_rebuilds_the_lake() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let shop = Shop::open(&data, "http://127.0.0.1:9").await;
    day(&data, &shop, 0, &[]).await;
    day(&data, &shop, 2 * CUSTOMERS, &[]).await;

    let listed = json_of(&saler(&data, &["lake", "list", "--workspace", &shop.workspace], ""));
    let messages = table(&listed, "messages");
    assert_eq!((&messages["rows"], &messages["delta_version"]), (&json!(4 * CUSTOMERS), &json!(1)));
    let paths = ["lake", "list", "--workspace", &shop.workspace, "--table", "messages", "--paths"];
    let paths = String::from_utf8(saler(&data, &paths, "").stdout).unwrap();
    assert_eq!(paths.lines().count(), messages["files"].as_array().unwrap().len());
    assert!(paths.lines().all(|path| Path::new(path).is_file()), "{paths}");

    let verified = json_of(&saler(&data, &["lake", "verify"], ""));
    assert_eq!((&verified["same"], &table(&verified["tables"], "messages")["outcome"]), (&json!(true), &json!("same")));
    let rebuilt = json_of(&saler(&data, &["lake", "rebuild"], ""));
    assert_eq!(rebuilt["partitions"][0]["next_offset"], verified["partitions"][0]["next_offset"]);
    assert_eq!(json_of(&saler(&data, &["lake", "verify"], ""))["same"], true);
    assert!(!data.join("analytics/verify").exists() && !data.join("analytics/rebuild").exists());
    let into = saler(&data, &["lake", "verify", "--into", data.to_str().unwrap()], "");
    assert!(!into.status.success() && String::from_utf8_lossy(&into.stderr).contains("exists already"));

    // Half a file is no lake, and what says so says what to do.
    std::fs::write(paths.lines().next().unwrap(), "PAR1").unwrap();
    let damaged = saler(&data, &["lake", "list"], "");
    let text = String::from_utf8_lossy(&damaged.stderr);
    if damaged.status.success() {
        // The first file was replaced by the rebuild.
        assert_eq!(json_of(&saler(&data, &["lake", "verify"], ""))["same"], true);
    } else {
        assert!(text.contains("derive everything again"), "{text}");
    }
}

/// The rows that the Delta log of a table in a bucket shows.
fn rows_in(bucket: &FakeBucket, folder: &str) -> u64 {
    let objects = bucket.objects();
    let mut active = std::collections::BTreeMap::new();
    for version in 0.. {
        let Some(lines) = objects.get(&format!("{folder}/_delta_log/{version:020}.json")) else { break };
        for line in String::from_utf8_lossy(lines).lines() {
            let action: Value = serde_json::from_str(line).unwrap();
            if let Some(path) = action["add"]["path"].as_str() {
                let stats: Value = serde_json::from_str(action["add"]["stats"].as_str().unwrap()).unwrap();
                let object = &objects[&format!("{folder}/{path}")];
                assert_eq!(action["add"]["size"], object.len());
                active.insert(path.to_owned(), stats["numRecords"].as_u64().unwrap());
            }
            if let Some(path) = action["remove"]["path"].as_str() {
                active.remove(path);
            }
        }
    }
    active.values().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_kept_a_copy_by_one_hub_at_a_time() {
    let bucket = FakeBucket::start();
    let settings = [
        ("SALER_LAKE__URL", "s3://ours/lake"),
        ("SALER_LAKE__ENDPOINT", bucket.endpoint.as_str()),
        ("SALER_LAKE__ACCESS_KEY_ID", "the-id"),
        ("SALER_LAKE__SECRET_ACCESS_KEY", "the-secret"),
    ];
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let shop = Shop::open(&data, "http://127.0.0.1:9").await;
    let folder = format!("ours/lake/workspace={}/messages", shop.workspace);
    for from in [0, 2 * CUSTOMERS] {
        day(&data, &shop, from, &settings).await;
        assert_eq!(rows_in(&bucket, &folder), (from + 2 * CUSTOMERS) as u64);
    }
    // A rebuild takes the place of the old rows there, too, when the hub is back.
    json_of(&saler(&data, &["lake", "rebuild"], ""));
    day(&data, &shop, 4 * CUSTOMERS, &settings).await;
    assert_eq!(rows_in(&bucket, &folder), 6 * CUSTOMERS as u64);

    // A copy of the data folder that goes another way may not write where the first has just written.
    let before: BTreeSet<String> = bucket.objects().into_keys().collect();
    let other = dir.path().join("other");
    copy(&data, &other);
    std::fs::remove_dir_all(other.join("analytics")).unwrap();
    day(&other, &Shop { data: other.clone(), ..shop }, 6 * CUSTOMERS, &settings).await;
    assert_eq!(bucket.objects().into_keys().collect::<BTreeSet<_>>(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_takes_what_the_lake_needs_of_it() {
    let store = FakeBucket::start();
    let options = BucketOptions {
        endpoint: store.endpoint.clone(),
        bucket: "ours".to_owned(),
        prefix: "a lake".to_owned(),
        region: "us-east-1".to_owned(),
        access_key_id: "the-id".to_owned(),
        secret_access_key: "the-secret".to_owned(),
    };
    let place = |options: BucketOptions| Bucket::new(options, Arc::new(SystemClock), Handle::current()).unwrap();
    let (bucket, stranger) =
        (place(options.clone()), place(BucketOptions { access_key_id: "another".to_owned(), ..options }));
    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("large");
    // More than one part, and the last not full.
    let content: Vec<u8> = (0..20_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    std::fs::write(&large, &content).unwrap();
    let asked = tokio::task::spawn_blocking(move || {
        assert!(bucket.create("workspace=1/t/_delta_log/0.json", b"first").unwrap());
        assert!(!bucket.create("workspace=1/t/_delta_log/0.json", b"second").unwrap());
        assert_eq!(bucket.read("workspace=1/t/_delta_log/0.json").unwrap(), b"first");
        bucket.replace("workspace=1/t/_delta_log/0.json", b"third").unwrap();
        assert_eq!(bucket.read("workspace=1/t/_delta_log/0.json").unwrap(), b"third");
        bucket.bring("workspace=1/t/0.parquet", &large).unwrap();
        assert!(bucket.read("workspace=1/t/0.parquet").unwrap() == content);
        assert_eq!(bucket.list("workspace=1/t").unwrap(), ["0.parquet"]);
        assert!(bucket.list("workspace=2/t").unwrap().is_empty());
        bucket.remove("workspace=1/t/0.parquet").unwrap();
        bucket.remove("workspace=1/t/0.parquet").unwrap();
        assert!(bucket.list("workspace=1/t").unwrap().is_empty());
        let missing = std::error::Error::source(&bucket.read("nothing").unwrap_err()).unwrap().to_string();
        assert!(missing.contains("404") && missing.contains("NoSuchKey"), "{missing}");
        assert!(stranger.create("x", b"x").is_err());
    });
    asked.await.unwrap();
    assert_eq!(store.objects().into_keys().collect::<Vec<_>>(), ["ours/a lake/workspace=1/t/_delta_log/0.json"]);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
