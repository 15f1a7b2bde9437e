//! Analytics in other processes: queries, KPIs and boards over HTTP, for gateways that have not the role themselves.
//!
//! Every process with the role analytics counts everything, so any of them can be asked. The one that answered last is asked
//! first; if it does not answer, the next. While none does, queries are answered 503 and boards stand still at their last
//! value, which carries its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use schemas::WorkspaceId;
use schemas::api::analytics::{KpiSeriesQuery, SqlAnswer};
use schemas::kpi::{KpiBoard, KpiSeriesAnswer};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::config::Config;
use crate::http::analytics::{AnalyticsPort, QueryError};
use crate::http::internal::{Answer, KEEP_ALIVE, SeriesQuestion, SqlQuestion};
use crate::realtime::{BoardFeed, BoardSource};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long KPIs may take.
const KPIS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long KPIs over a range may take: what analytics allows them, the way there and back.
const SERIES_TIMEOUT: Duration = Duration::from_secs(20);
/// What a query may take beyond its own limit: the way there and back.
const SQL_MARGIN: Duration = Duration::from_secs(3);
/// How long a board's stream may be silent before it is taken for dead.
const SILENCE: Duration = Duration::from_secs(3 * KEEP_ALIVE.as_secs());
/// The pause after no process fed a board; doubles up to the second number.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// The largest answer and the largest board, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 20;
const MAX_BOARD_BYTES: usize = 4 << 20;

/// The processes that can be asked.
#[derive(Debug)]
pub(super) struct Remote {
    client: Client,
    urls: Vec<String>,
    token: String,
    /// Which of them answered last.
    preferred: AtomicUsize,
    sql_timeout: Duration,
}

/// Why one process did not answer; the next is asked.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("it cannot be reached or broke off")]
    Http(#[from] reqwest::Error),
    #[error("it answered {0}: check analytics.urls and analytics.token")]
    Status(StatusCode),
    #[error("its answer has more than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
    #[error("its answer cannot be read: the processes should run the same version")]
    Unreadable(#[from] serde_json::Error),
}

impl Remote {
    pub(super) fn new(config: &Config) -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: Client::builder()
                .user_agent(concat!("saler/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .build()?,
            urls: config.analytics.urls(),
            token: config.analytics.token.expose().unwrap_or_default().to_owned(),
            preferred: AtomicUsize::new(0),
            sql_timeout: Duration::from_millis(config.sql.timeout_ms) + SQL_MARGIN,
        })
    }

    /// The addresses with their places, the preferred first.
    fn in_turn(&self) -> impl Iterator<Item = (usize, &str)> {
        let first = self.preferred.load(Ordering::Relaxed) % self.urls.len().max(1);
        let places = (first..self.urls.len()).chain(0..first);
        places.filter_map(|place| Some((place, self.urls.get(place)?.as_str())))
    }

    /// Asks one process after the other until one answers.
    async fn ask<T: DeserializeOwned>(
        &self,
        request: impl Fn(&Client, &str) -> RequestBuilder,
    ) -> Result<T, QueryError> {
        for (place, url) in self.in_turn() {
            match self.ask_one(request(&self.client, url)).await {
                Ok(Answer::Failed(error @ QueryError::Unavailable { .. })) => {
                    tracing::warn!(url, %error, "analytics cannot answer now; asking the next");
                }
                Ok(answer) => {
                    self.preferred.store(place, Ordering::Relaxed);
                    return answer.into();
                }
                Err(error) => {
                    metrics::counter!("saler_analytics_unanswered_total").increment(1);
                    tracing::warn!(url, error = &error as &dyn std::error::Error, "analytics does not answer");
                }
            }
        }
        Err(QueryError::Unavailable { reason: self.nobody() })
    }

    fn nobody(&self) -> String {
        if self.urls.is_empty() {
            "no process with the role analytics is named: set analytics.urls".to_owned()
        } else {
            "no process with the role analytics answers".to_owned()
        }
    }

    async fn ask_one<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<Answer<T>, NoAnswer> {
        let mut response = request.bearer_auth(&self.token).send().await?;
        if response.status() != StatusCode::OK {
            return Err(NoAnswer::Status(response.status()));
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(NoAnswer::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(serde_json::from_value(exact(serde_json::from_slice(&body)?)?)?)
    }
}

/// A JSON value whose numbers are the very ones that were written: the usual reader rounds some in the last bit.
fn exact(raw: &RawValue) -> Result<Value, serde_json::Error> {
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            Value::Array(items.into_iter().map(exact).collect::<Result<_, _>>()?)
        }
        Some(b'{') => {
            let fields: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
            let fields = fields.into_iter().map(|(name, value)| Ok((name, exact(value)?)));
            Value::Object(fields.collect::<Result<Map<_, _>, serde_json::Error>>()?)
        }
        Some(b'-' | b'0'..=b'9') if text.contains(['.', 'e', 'E']) => match text.parse::<f64>() {
            Ok(number) => Value::from(number),
            Err(_not_a_number) => serde_json::from_str(text)?,
        },
        _ => serde_json::from_str(text)?,
    })
}

#[async_trait]
impl AnalyticsPort for Remote {
    async fn sql(&self, workspace_id: WorkspaceId, sql: &str) -> Result<SqlAnswer, QueryError> {
        let question = SqlQuestion { workspace_id, sql: sql.to_owned() };
        self.ask(|client, url| client.post(format!("{url}/internal/v1/sql")).timeout(self.sql_timeout).json(&question))
            .await
    }

    async fn kpis(&self, workspace_id: WorkspaceId) -> Result<KpiBoard, QueryError> {
        self.ask(|client, url| client.get(format!("{url}/internal/v1/kpis/{workspace_id}")).timeout(KPIS_TIMEOUT)).await
    }

    async fn kpi_series(
        &self,
        workspace_id: WorkspaceId,
        time_zone: &str,
        query: &KpiSeriesQuery,
    ) -> Result<KpiSeriesAnswer, QueryError> {
        let question = SeriesQuestion { workspace_id, time_zone: time_zone.to_owned(), query: query.clone() };
        self.ask(|client, url| {
            client.post(format!("{url}/internal/v1/kpis/series")).timeout(SERIES_TIMEOUT).json(&question)
        })
        .await
    }
}

/// Boards of other processes.
#[derive(Debug)]
pub(super) struct RemoteBoards(pub(super) Arc<Remote>);

impl BoardSource for RemoteBoards {
    fn subscribe(&self, workspace_id: WorkspaceId) -> Box<dyn BoardFeed> {
        Box::new(RemoteFeed { remote: Arc::clone(&self.0), workspace_id, stream: None, retry: RETRY.0 })
    }
}

/// A board that another process feeds, or the next one once that is gone.
struct RemoteFeed {
    remote: Arc<Remote>,
    workspace_id: WorkspaceId,
    /// What is being read, and what of it is no whole line yet.
    stream: Option<(Response, BytesMut)>,
    retry: Duration,
}

impl RemoteFeed {
    async fn connect(&mut self) {
        let remote = &self.remote;
        for (place, url) in remote.in_turn() {
            let request = remote.client.get(format!("{url}/internal/v1/boards/{}", self.workspace_id));
            let sent = tokio::time::timeout(SILENCE, request.bearer_auth(&remote.token).send()).await;
            match sent {
                Ok(Ok(response)) if response.status() == StatusCode::OK => {
                    remote.preferred.store(place, Ordering::Relaxed);
                    self.stream = Some((response, BytesMut::new()));
                    return;
                }
                Ok(Ok(response)) => tracing::warn!(url, status = %response.status(), "analytics does not feed a board"),
                Ok(Err(error)) => tracing::debug!(url, %error, "analytics does not answer"),
                Err(_silence) => tracing::debug!(url, "analytics does not answer in time"),
            }
        }
        tokio::time::sleep(self.retry).await;
        self.retry = (self.retry * 2).min(RETRY.1);
    }

    /// The next whole line that is not empty; `None` once the stream has ended.
    async fn read(&mut self) -> Option<Bytes> {
        let (response, buffer) = self.stream.as_mut()?;
        loop {
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(end + 1).freeze().slice(..end);
                if !line.is_empty() {
                    self.retry = RETRY.0;
                    return Some(line);
                }
            }
            if buffer.len() > MAX_BOARD_BYTES {
                return None;
            }
            let chunk = tokio::time::timeout(SILENCE, response.chunk()).await.ok()?.ok()??;
            buffer.extend_from_slice(&chunk);
        }
    }
}

#[async_trait]
impl BoardFeed for RemoteFeed {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.stream.is_none() {
                self.connect().await;
            } else if let Some(board) = self.read().await {
                return Some(board);
            } else {
                // The next that answers is asked; the one that broke off may be the first to do so.
                self.stream = None;
                tokio::time::sleep(self.retry).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::exact;

    #[test]
    fn numbers_are_read_as_they_were_written() {
        // 51.24817837550540_4 is read one bit off by a reader that multiplies by powers of ten.
        for number in [51.248_178_375_505_404_f64, 0.1 + 0.2, 1e300, -5e-324, 1.0 / 3.0, 123_456.789_012_345_67] {
            let text = serde_json::to_string(&serde_json::json!({ "a": [number, null, 7, "x"] })).unwrap();
            let raw: &serde_json::value::RawValue = serde_json::from_str(&text).unwrap();
            let value = exact(raw).unwrap();
            assert_eq!(value["a"][0].as_f64().map(f64::to_bits), Some(number.to_bits()), "{text}");
            assert_eq!(value["a"][2], 7);
        }
    }
}
