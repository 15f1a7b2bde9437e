//! The baseline server in a process of its own, and the raw client that drives it with prepared requests.

use std::sync::Arc;
use std::time::Duration;

use load_tests::generator::http::Connection;
use load_tests::generator::schedule::{Pacer, Schedule};
use load_tests::generator::webhooks::{Order, Prepared, Target};
use load_tests::hub::process::{Served, free_address};
use tokio::process::Command;
use tokio::time::Instant;

#[tokio::test]
async fn answers_200_to_signed_webhooks_and_403_to_others() {
    let address = free_address().unwrap();
    let public_url = format!("http://{address}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_saler-load"));
    command.args(["baseline-server", "--listen", &address.to_string(), "--public-url", &public_url]);
    command.args(["--auth-token", "secret", "--workers", "1"]);
    let server = Served::start(command, address, "/", "the baseline server").await.unwrap();
    assert!(server.usage().unwrap().resident_bytes > 0);

    let target = |auth_token: &str| Target {
        channel_id: "019a9f3e-7d2c-7b61-9a52-0c4e1f6a7b8d".parse().unwrap(),
        number: "+14155550100".into(),
        account_sid: "AC1".into(),
        auth_token: auth_token.into(),
    };
    let good = target("secret");
    let prepared = Arc::new(Prepared::webhooks(
        1,
        &public_url,
        (0..50).map(|index| Order { target: &good, index, customer: index % 7 }),
    ));
    let pacer = Pacer::start(Schedule::new(Instant::now(), 1_000, 50)).unwrap();
    let senders: Vec<_> = (0..3)
        .map(|_| {
            let (pacer, prepared) = (Arc::clone(&pacer), Arc::clone(&prepared));
            tokio::spawn(async move {
                let mut connection = Connection::open(address).await.unwrap();
                let mut statuses = Vec::new();
                while let Some((index, _intended)) = pacer.take().await {
                    let request = prepared.request(usize::try_from(index).unwrap()).unwrap();
                    statuses.push(connection.exchange(request).await.unwrap());
                }
                statuses
            })
        })
        .collect();
    let mut statuses = Vec::new();
    for sender in senders {
        statuses.extend(sender.await.unwrap());
    }
    assert_eq!(statuses, vec![200; 50]);

    let wrong = target("another secret");
    let forged = Prepared::webhooks(1, &public_url, std::iter::once(Order { target: &wrong, index: 0, customer: 0 }));
    let mut connection = Connection::open(address).await.unwrap();
    assert_eq!(connection.exchange(forged.request(0).unwrap()).await.unwrap(), 403);
    assert!(server.stop().await.unwrap() < Duration::from_secs(20));
}
