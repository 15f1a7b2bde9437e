//! The topics of a log: made if they are not there, and else compared with what they should be.
//!
//! `{prefix}.commands` and `{prefix}.events` are made first, then `{prefix}.meta`, and its first record last: where that
//! record is, the log is whole. Two processes that open a new log at once may both write one; the first counts.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::super::{LogError, Topic};
use super::options::{KafkaOptions, TOPIC_MAX_BATCH_BYTES};
use super::reach::{Context, Reach};

/// The version of the record in the topic `meta`.
const META_VERSION: u32 = 1;
/// How long one question to the cluster may take.
const CALL_PATIENCE: Duration = Duration::from_secs(10);
/// How long new topics may take to be led by somebody.
const READY_PATIENCE: Duration = Duration::from_secs(30);
/// How long brokers may take to hear of a topic that another one has made.
const HEARSAY_PATIENCE: Duration = Duration::from_secs(10);
/// How often a client is asked at most what is wrong with its connections, and for how long each time.
const ERRORS_HEARD: usize = 8;
const ERRORS_PATIENCE: Duration = Duration::from_millis(100);
/// The pause between two looks whether they are.
const READY_POLL: Duration = Duration::from_millis(50);

/// The names of the topics.
#[derive(Clone, Debug)]
pub(super) struct Names {
    commands: String,
    events: String,
    pub(super) meta: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        let name = |topic: Topic| format!("{prefix}.{}", topic.name());
        Self { commands: name(Topic::Commands), events: name(Topic::Events), meta: format!("{prefix}.meta") }
    }

    pub(super) fn of(&self, topic: Topic) -> &str {
        match topic {
            Topic::Commands => &self.commands,
            Topic::Events => &self.events,
        }
    }

    /// Which topic has this name.
    pub(super) fn topic(&self, name: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| self.of(*topic) == name)
    }
}

/// The first record of the topic `meta`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    version: u32,
    /// Names this history of records.
    pub(super) epoch: String,
    /// Partitions of each topic.
    partitions: u32,
}

impl Meta {
    fn new(partitions: u32) -> std::io::Result<Self> {
        let mut random = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let hex = format!("{:032x}", u128::from_be_bytes(random));
        Ok(Self { version: META_VERSION, epoch: hex, partitions })
    }
}

/// What a topic must be.
struct Wanted {
    name: String,
    partitions: u32,
    settings: Vec<(&'static str, String)>,
}

fn invalid(reason: String) -> LogError {
    LogError::Invalid { reason }
}

/// What opens the topics. All of it blocks.
pub(super) struct Opener<'a> {
    options: &'a KafkaOptions,
    names: &'a Names,
    reach: &'a Arc<Reach>,
    query: &'a BaseConsumer<Context>,
    runtime: &'a Handle,
}

impl<'a> Opener<'a> {
    pub(super) const fn new(
        options: &'a KafkaOptions,
        names: &'a Names,
        reach: &'a Arc<Reach>,
        query: &'a BaseConsumer<Context>,
        runtime: &'a Handle,
    ) -> Self {
        Self { options, names, reach, query, runtime }
    }

    /// Finds or makes the log.
    pub(super) fn open(&self) -> Result<Meta, LogError> {
        let mut meta = self.read_meta()?;
        if meta.is_none() {
            // In this order: who finds a record here, and then still no meta, knows that the meta was lost.
            let used = self.find_used_topic()?;
            meta = self.read_meta()?;
            if let (None, Some(used)) = (&meta, used) {
                let missing = &self.names.meta;
                return Err(invalid(format!(
                    "the topic {used} holds records, but {missing}, which says whose they are, is missing or empty: \
                     bring {missing} back, or delete {used}, or choose another topic_prefix"
                )));
            }
        }
        if let Some(meta) = meta {
            self.check_meta(&meta)?;
            self.check_topics(true)?;
            return Ok(meta);
        }
        self.create_topics()?;
        self.wait_until_led()?;
        self.check_topics(false)?;
        self.append_meta()?;
        let meta = self.read_meta()?.ok_or_else(|| {
            self.reach.unavailable(format_args!("{} is still empty after its first record was kept", self.names.meta))
        })?;
        self.check_meta(&meta)?;
        Ok(meta)
    }

    fn failed(&self, what: &str, error: &KafkaError) -> LogError {
        let code = match error {
            KafkaError::AdminOp(code) => Some(*code),
            other => other.rdkafka_error_code(),
        };
        match code {
            Some(
                RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed,
            ) => {
                let prefix = &self.options.topic_prefix;
                self.reach.unavailable(format_args!(
                    "{what}: {error}; allow the hub Create, Describe, DescribeConfigs, Read and Write on topics, and Read \
                     on groups, whose names begin with {prefix}."
                ))
            }
            Some(RDKafkaErrorCode::InvalidReplicationFactor) => {
                let replication = self.options.replication;
                invalid(format!(
                    "{what}: {replication} brokers are needed for replication = {replication}: start more, or set \
                     replication lower"
                ))
            }
            _ => {
                self.hear();
                // A broker that wants TLS ends a connection without it, and says nothing.
                let or_else = match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::BrokerTransportFailure) if self.reach.has_heard_nothing() => {
                        "; they are away, or do not speak what security in [kafka] says"
                    }
                    _ => "",
                };
                self.reach.unavailable(format_args!("{what}: {error}{or_else}"))
            }
        }
    }

    /// Takes in what the client has to say of its connections: it tells only when it is asked for records.
    fn hear(&self) {
        for _ in 0..ERRORS_HEARD {
            if self.query.poll(ERRORS_PATIENCE).is_none() {
                return;
            }
        }
    }

    /// A topic as the cluster describes it; none if it is not there.
    fn describe<T>(&self, name: &str, look: impl FnOnce(&MetadataTopic) -> T) -> Result<Option<T>, LogError> {
        let what = format!("{name} cannot be looked up");
        let metadata =
            self.query.fetch_metadata(Some(name), CALL_PATIENCE).map_err(|error| self.failed(&what, &error))?;
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else { return Ok(None) };
        match topic.error().map(RDKafkaErrorCode::from) {
            // Without leaders it is being made.
            None | Some(RDKafkaErrorCode::LeaderNotAvailable) => Ok(Some(look(topic))),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(None),
            Some(code) => Err(self.failed(&what, &KafkaError::MetadataFetch(code))),
        }
    }

    /// A topic of records that has any.
    fn find_used_topic(&self) -> Result<Option<String>, LogError> {
        for topic in Topic::ALL {
            let name = self.names.of(topic);
            let count = self.describe(name, |topic| topic.partitions().len())?.unwrap_or(0);
            for number in 0..i32::try_from(count).unwrap_or(i32::MAX) {
                let what = format!("the bounds of {name}/{number} cannot be asked for");
                let bounds = self.query.fetch_watermarks(name, number, CALL_PATIENCE);
                let (_, next) = bounds.map_err(|error| self.failed(&what, &error))?;
                if next > 0 {
                    return Ok(Some(name.to_owned()));
                }
            }
        }
        Ok(None)
    }

    /// The first record of the topic `meta`.
    fn read_meta(&self) -> Result<Option<Meta>, LogError> {
        let name = self.names.meta.as_str();
        if self.describe(name, |_| ())?.is_none() {
            return Ok(None);
        }
        let what = format!("{name} cannot be read");
        let failed = |error: KafkaError| self.failed(&what, &error);
        let (earliest, next) = self.query.fetch_watermarks(name, 0, CALL_PATIENCE).map_err(failed)?;
        if earliest > 0 {
            return Err(invalid(format!(
                "the first record of {name} was removed, which names the log and its partitions: it must be kept for ever \
                 (retention.ms=-1); begin a new log with another topic_prefix"
            )));
        }
        if next == 0 {
            return Ok(None);
        }
        let context = Context(Arc::clone(self.reach));
        let reader = BaseConsumer::from_config_and_context(&self.options.catch_up(), context).map_err(failed)?;
        let mut places = TopicPartitionList::with_capacity(1);
        places.add_partition_offset(name, 0, Offset::Offset(0)).map_err(failed)?;
        reader.assign(&places).map_err(failed)?;
        let begun = Instant::now();
        let mut last_error = None;
        while begun.elapsed() < CALL_PATIENCE {
            match reader.poll(READY_POLL) {
                None => {}
                Some(Err(error)) => last_error = Some(error),
                Some(Ok(message)) => {
                    let json = message.payload().unwrap_or_default();
                    let meta = serde_json::from_slice(json).map_err(|error| LogError::Corrupt {
                        topic: Topic::Commands,
                        partition: 0,
                        file: name.to_owned(),
                        position: 0,
                        reason: format!("its first record does not describe a log: {error}"),
                    })?;
                    return Ok(Some(meta));
                }
            }
        }
        let error = last_error.unwrap_or(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
        Err(failed(error))
    }

    fn check_meta(&self, meta: &Meta) -> Result<(), LogError> {
        let name = &self.names.meta;
        if meta.version != META_VERSION {
            let version = meta.version;
            return Err(invalid(format!(
                "{name} is of version {version}, this hub knows version {META_VERSION}: use the hub that made it"
            )));
        }
        if meta.partitions != self.options.partitions {
            return Err(invalid(format!(
                "partitions is {}, but the log {} was made with {}: set it back, since records would be looked for in the \
                 wrong partition; or begin a new log with another topic_prefix",
                self.options.partitions, self.options.topic_prefix, meta.partitions
            )));
        }
        Ok(())
    }

    fn wanted(&self) -> [Wanted; 3] {
        let settings = |retention_ms: String| {
            vec![
                ("cleanup.policy", "delete".to_owned()),
                ("retention.ms", retention_ms),
                ("retention.bytes", "-1".to_owned()),
                ("min.insync.replicas", self.options.min_in_sync.to_string()),
                ("max.message.bytes", TOPIC_MAX_BATCH_BYTES.to_string()),
                // Retention goes by the brokers' clocks.
                ("message.timestamp.type", "LogAppendTime".to_owned()),
                // An election of a replica that lacks records would lose what was acknowledged.
                ("unclean.leader.election.enable", "false".to_owned()),
            ]
        };
        let records = |topic: Topic| Wanted {
            name: self.names.of(topic).to_owned(),
            partitions: self.options.partitions,
            settings: settings(self.options.retention.as_millis().to_string()),
        };
        let meta = Wanted { name: self.names.meta.clone(), partitions: 1, settings: settings("-1".to_owned()) };
        [records(Topic::Commands), records(Topic::Events), meta]
    }

    fn admin(&self) -> Result<AdminClient<Context>, LogError> {
        let context = Context(Arc::clone(self.reach));
        AdminClient::from_config_and_context(&self.options.client("admin"), context)
            .map_err(|error| self.failed("a client for the topics cannot be made", &error))
    }

    fn create_topics(&self) -> Result<(), LogError> {
        let admin = self.admin()?;
        let limits = AdminOptions::new().request_timeout(Some(READY_PATIENCE)).operation_timeout(Some(READY_PATIENCE));
        // One after the other: the meta last.
        for wanted in self.wanted() {
            if self.describe(&wanted.name, |_| ())?.is_some() {
                continue;
            }
            let partitions = i32::try_from(wanted.partitions).unwrap_or(i32::MAX);
            let replication = TopicReplication::Fixed(self.options.replication);
            let mut topic = NewTopic::new(&wanted.name, partitions, replication);
            for (setting, value) in &wanted.settings {
                topic = topic.set(setting, value);
            }
            let what = format!("{} cannot be made", wanted.name);
            let made = self.runtime.block_on(admin.create_topics([&topic], &limits));
            let made = made.map_err(|error| self.failed(&what, &error))?;
            for result in made {
                match result {
                    // Another process was faster.
                    Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                    Err((_, code)) => return Err(self.failed(&what, &KafkaError::AdminOp(code))),
                }
            }
            tracing::info!(topic = wanted.name, "a topic was made");
        }
        Ok(())
    }

    /// Waits until every partition has a leader.
    fn wait_until_led(&self) -> Result<(), LogError> {
        let begun = Instant::now();
        for wanted in self.wanted() {
            loop {
                let led = self.describe(&wanted.name, |topic| {
                    let partitions = topic.partitions();
                    partitions.len() >= wanted.partitions as usize
                        && partitions.iter().all(|partition| partition.leader() >= 0)
                })?;
                if led == Some(true) {
                    break;
                }
                if begun.elapsed() >= READY_PATIENCE {
                    let name = &wanted.name;
                    return Err(self.reach.unavailable(format_args!(
                        "{name} has partitions without a leader after {READY_PATIENCE:?}: look at the brokers"
                    )));
                }
                std::thread::sleep(READY_POLL);
            }
        }
        Ok(())
    }

    /// Compares the topics with what they should be; `made` says that the log was made before.
    fn check_topics(&self, made: bool) -> Result<(), LogError> {
        let wanted = self.wanted();
        let mut faults = Vec::new();
        for topic in &wanted {
            let Some((partitions, replicas)) = self.shape_of(&topic.name)? else {
                return Err(invalid(format!(
                    "the topic {} is missing, but {} says that the log was made: its records are lost; bring it back, or \
                     begin a new log with another topic_prefix",
                    topic.name, self.names.meta
                )));
            };
            self.check_shape(topic, partitions, replicas, made, &mut faults);
        }
        self.check_settings(&wanted, &mut faults)?;
        if faults.is_empty() { Ok(()) } else { Err(invalid(faults.join("; "))) }
    }

    /// How many partitions a topic has, and on how many brokers the least kept of them is; none if it is not there. A broker may
    /// hear of a new topic later than the one that made it, so it is missing only if it stays so.
    fn shape_of(&self, name: &str) -> Result<Option<(usize, usize)>, LogError> {
        let begun = Instant::now();
        loop {
            let shape = self.describe(name, |found| {
                (found.partitions().len(), found.partitions().iter().map(|p| p.replicas().len()).min().unwrap_or(0))
            })?;
            if shape.is_some() || begun.elapsed() >= HEARSAY_PATIENCE {
                return Ok(shape);
            }
            std::thread::sleep(READY_POLL);
        }
    }

    fn check_shape(&self, topic: &Wanted, partitions: usize, replicas: usize, made: bool, faults: &mut Vec<String>) {
        let Wanted { name, partitions: wanted, .. } = topic;
        let count = u32::try_from(partitions).unwrap_or(u32::MAX);
        if count < *wanted && made {
            faults.push(format!(
                "the topic {name} has {count} partitions, but the log was made with {wanted}: it was made again, and its \
                 records are lost; begin a new log with another topic_prefix"
            ));
        } else if count != *wanted && !made {
            faults.push(format!(
                "the topic {name} has {count} partitions, {wanted} are wanted: set partitions to {count}, or delete the topic"
            ));
        } else if count > *wanted {
            tracing::warn!(
                topic = name,
                count,
                wanted,
                "the topic has been given partitions that the log will not use"
            );
        }
        let wanted = usize::try_from(self.options.replication).unwrap_or(0);
        if replicas != wanted {
            faults.push(format!(
                "the topic {name} has {replicas} replicas of a partition, {wanted} are wanted: set replication to \
                 {replicas}, or move its partitions with kafka-reassign-partitions.sh"
            ));
        }
    }

    fn check_settings(&self, topics: &[Wanted], faults: &mut Vec<String>) -> Result<(), LogError> {
        let admin = self.admin()?;
        let limits = AdminOptions::new().request_timeout(Some(CALL_PATIENCE));
        let resources: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(&topic.name)).collect();
        let what = "the settings of the topics cannot be looked up";
        let found = self.runtime.block_on(admin.describe_configs(&resources, &limits));
        let found = found.map_err(|error| self.failed(what, &error))?;
        for (topic, resource) in topics.iter().zip(found) {
            let resource = resource.map_err(|code| self.failed(what, &KafkaError::AdminOp(code)))?;
            for (setting, wanted) in &topic.settings {
                let found = resource.get(setting).and_then(|entry| entry.value.as_deref()).unwrap_or("not set");
                if !fits(setting, wanted, found) {
                    faults.push(self.differs(&topic.name, setting, wanted, found));
                }
            }
        }
        Ok(())
    }

    fn differs(&self, topic: &str, setting: &str, wanted: &str, found: &str) -> String {
        let option = match setting {
            "retention.ms" if topic != self.names.meta => format!("set retention to {found} ms, or "),
            "min.insync.replicas" => format!("set min_in_sync to {found}, or "),
            _ => String::new(),
        };
        let broker = self.options.brokers.first().map_or("", String::as_str);
        format!(
            "the topic {topic} has {setting} = {found}, wanted is {wanted}: {option}change it with kafka-configs.sh \
             --bootstrap-server {broker} --alter --entity-type topics --entity-name {topic} --add-config {setting}={wanted}"
        )
    }

    /// Appends the record that names a new log.
    fn append_meta(&self) -> Result<(), LogError> {
        let name = self.names.meta.as_str();
        let json = Meta::new(self.options.partitions)
            .and_then(|meta| serde_json::to_vec(&meta).map_err(std::io::Error::other))
            .map_err(|source| LogError::Io { action: "identify", path: name.to_owned(), source })?;
        let what = format!("{name} cannot be written");
        let producer: BaseProducer<DefaultProducerContext> =
            BaseProducer::from_config_and_context(&self.options.producer(), DefaultProducerContext)
                .map_err(|error| self.failed(&what, &error))?;
        let record = BaseRecord::<(), [u8]>::to(name).partition(0).payload(json.as_slice());
        producer.send(record).map_err(|(error, _)| self.failed(&what, &error))?;
        producer.flush(CALL_PATIENCE).map_err(|error| self.failed(&what, &error))
    }
}

/// Whether what a topic has is as good as what is wanted.
fn fits(setting: &str, wanted: &str, found: &str) -> bool {
    if setting == "max.message.bytes" {
        let number = |text: &str| text.parse::<u64>().unwrap_or(0);
        return number(found) >= number(wanted);
    }
    found == wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_record_limit_does_no_harm_and_anything_else_must_be_the_same() {
        assert!(fits("max.message.bytes", "100", "1000"));
        assert!(!fits("max.message.bytes", "100", "99"));
        assert!(fits("retention.ms", "100", "100"));
        assert!(!fits("retention.ms", "100", "1000"));
    }

    #[test]
    fn the_record_that_names_a_log_is_what_the_documentation_says() {
        let meta = Meta::new(4).unwrap();
        let json = serde_json::to_value(&meta).unwrap();
        assert_eq!(json["version"], 1);
        assert_eq!(json["partitions"], 4);
        assert_eq!(json["epoch"].as_str().unwrap().len(), 32);
        assert_ne!(Meta::new(4).unwrap().epoch, meta.epoch);
    }
}
