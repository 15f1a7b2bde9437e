//! Customers, whose webhooks come again when they got no answer, and sometimes although they got one.

use std::time::Duration;

use anyhow::Context as _;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{RECONNECT_PAUSE, Shared};
use crate::checker::Entry;
use crate::generator::http::Connection;
use crate::generator::webhooks::{Order, Prepared, Target};
use crate::hub::fixture::Fixture;

const CUSTOMERS: u64 = 40;
const SENDERS: u64 = 8;
/// More than a cluster of the harness has: whose turn it is is taken by the remainder.
const MAX_GATEWAYS: usize = 60;
/// The share of acknowledged webhooks that come again all the same.
const REPEATED_SHARE: f64 = 0.05;
/// The share of webhooks without an answer that come again.
const RETRIED_SHARE: f64 = 0.7;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Sends `rate` messages a second until the run is over.
pub(super) fn start(tasks: &mut JoinSet<anyhow::Result<()>>, fixture: &Fixture, shared: &Shared, seed: u64, rate: u64) {
    for number in 0..SENDERS {
        let customers = Customers {
            shared: shared.clone(),
            public_url: fixture.base_url.clone(),
            targets: fixture.spaces.iter().map(|space| space.target.clone()).collect(),
            random: SmallRng::seed_from_u64(seed ^ ((number + 1) << 32)),
            run: seed,
            connection: None,
        };
        let interval = Duration::from_micros(1_000_000 * SENDERS / rate.max(1));
        tasks.spawn(customers.send_until_stopped(number, interval));
    }
}

struct Customers {
    shared: Shared,
    public_url: String,
    targets: Vec<Target>,
    random: SmallRng,
    run: u64,
    connection: Option<Connection>,
}

impl Customers {
    async fn send_until_stopped(mut self, number: u64, interval: Duration) -> anyhow::Result<()> {
        let mut index = number;
        while self.shared.gateway(0).await.is_some() {
            let customer = self.random.random_range(0..CUSTOMERS);
            let at = usize::try_from(customer)? % self.targets.len().max(1);
            let target = self.targets.get(at).context("there is no workspace")?;
            let order = Order { target, index, customer };
            let prepared = Prepared::webhooks(self.run, &self.public_url, std::iter::once(order));
            let request = prepared.request(0).context("nothing was prepared")?.to_vec();
            self.shared.record(Entry::Send { key: index })?;
            self.deliver(index, &request).await?;
            index += SENDERS;
            tokio::time::sleep(interval).await;
        }
        Ok(())
    }

    /// Sends a webhook, and again as providers do: most of those without an answer, and a few that had one.
    async fn deliver(&mut self, key: u64, request: &[u8]) -> anyhow::Result<()> {
        while !self.exchange(request).await {
            self.shared.record(Entry::Unclear { key })?;
            self.connection = None;
            if !self.random.random_bool(RETRIED_SHARE) {
                return Ok(());
            }
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
        self.shared.record(Entry::Ack { key })?;
        if self.random.random_bool(REPEATED_SHARE) {
            self.exchange(request).await;
        }
        Ok(())
    }

    /// Whether the hub answered 2xx.
    async fn exchange(&mut self, request: &[u8]) -> bool {
        let mut connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            let turn = self.random.random_range(0..MAX_GATEWAYS);
            let Some(address) = self.shared.gateway(turn).await else { return false };
            let Ok(connection) = Connection::open(address).await else { return false };
            connection
        };
        match timeout(ANSWER_WITHIN, connection.exchange(request)).await {
            Ok(Ok(status)) => {
                self.connection = Some(connection);
                (200..300).contains(&status)
            }
            Ok(Err(_)) | Err(_) => false,
        }
    }
}
