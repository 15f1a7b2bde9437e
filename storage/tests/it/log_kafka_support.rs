//! A log on the Kafka that `SALER_TEST_KAFKA` names, with topics of its own.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use storage::contract::log::Engine;
use storage::log::kafka::{KafkaLog, KafkaOptions};
use storage::log::{Log, Topic};

/// What the variable names, if it is set.
#[expect(clippy::disallowed_methods, reason = "the tests' servers are named by the environment")]
fn brokers() -> Option<Vec<String>> {
    let Ok(list) = std::env::var("SALER_TEST_KAFKA") else {
        println!("skipped: no Kafka server (set SALER_TEST_KAFKA)");
        return None;
    };
    Some(list.split(',').map(str::to_owned).collect())
}

/// A log with a prefix that nobody else uses. Its topics are deleted at the end.
pub(crate) struct Kafka {
    pub(crate) options: KafkaOptions,
    opened: Mutex<Weak<KafkaLog>>,
}

impl Kafka {
    /// None, and a line that says so, if there is no server.
    pub(crate) fn start() -> Option<Self> {
        let random = RandomState::new().hash_one(0);
        let options = KafkaOptions {
            topic_prefix: format!("test-{random:016x}"),
            partitions: 2,
            append_timeout: Duration::from_mins(1),
            ..KafkaOptions::new(brokers()?)
        };
        Some(Self { options, opened: Mutex::default() })
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut KafkaOptions)) -> Self {
        change(&mut self.options);
        self
    }

    /// Another process, of this name, on the same log.
    pub(crate) async fn process(&self, node: &str) -> Arc<KafkaLog> {
        Arc::new(KafkaLog::open(KafkaOptions { node: node.to_owned(), ..self.options.clone() }).await.unwrap())
    }

    pub(crate) fn topics(&self) -> Vec<String> {
        let records = Topic::ALL.into_iter().map(Topic::name);
        records.chain(["meta"]).map(|name| format!("{}.{name}", self.options.topic_prefix)).collect()
    }

    pub(crate) fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", self.options.brokers.join(",")).create().unwrap()
    }

    pub(crate) async fn delete(&self, topics: &[&str]) {
        let limits = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
        self.admin().delete_topics(topics, &limits).await.unwrap();
    }

    /// Makes a topic with these settings alone.
    pub(crate) async fn make(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (setting, value) in settings {
            topic = topic.set(setting, value);
        }
        let limits = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
        let made = self.admin().create_topics([&topic], &limits).await.unwrap();
        assert!(made.iter().all(Result::is_ok), "{made:?}");
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        let topics = self.topics();
        let admin = self.admin();
        let deleting = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let names: Vec<&str> = topics.iter().map(String::as_str).collect();
            runtime.block_on(admin.delete_topics(&names, &AdminOptions::new()))
        });
        // Topics that are left behind on a server for tests do no harm.
        let _left = deleting.join();
    }
}

#[async_trait]
impl Engine for Kafka {
    async fn open(&self) -> Arc<dyn Log> {
        let earlier = self.opened.lock().unwrap().upgrade();
        if let Some(log) = earlier {
            return log;
        }
        let log = self.process("").await;
        *self.opened.lock().unwrap() = Arc::downgrade(&log);
        log
    }

    fn is_persistent(&self) -> bool {
        true
    }

    async fn expire(&self, _log: &dyn Log, _topic: Topic, _partition: u32) -> bool {
        // Retention is the brokers' own, and looks only every few minutes.
        false
    }
}
