//! Consumers and producers: the user's properties, and over them those that the promises need.

use super::polled::PolledProducer;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, FromClientConfig, FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext, DefaultConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::producer::ProducerContext;
use std::collections::BTreeMap;

/// How long a transaction may be open; a restore waits as long for one that nobody ends.
pub const TRANSACTION_TIMEOUT_MS: u64 = 15_000;
/// How long a record may take within a transaction. If that were as long as the transaction, the broker would
/// end it first, and to its producer that looks as if another instance had taken over.
const TRANSACTION_RECORD_TIMEOUT_MS: u64 = 10_000;

/// What `read_committed` hides from a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    ReadCommitted,
    ReadUncommitted,
}

/// Makes clients.
#[derive(Clone, Debug)]
pub struct Clients {
    properties: BTreeMap<String, String>,
    /// Tells who owns what: the address at which the instance answers.
    client_id: String,
    track_group: String,
}

impl Clients {
    /// `properties` are the checked ones of the configuration.
    pub fn new(properties: BTreeMap<String, String>, application: &str, client_id: String) -> Clients {
        Clients { properties, client_id, track_group: format!("{application}-track") }
    }

    pub fn bootstrap(&self) -> &str {
        let servers = self.properties.get("bootstrap.servers").or_else(|| self.properties.get("metadata.broker.list"));
        servers.map_or("", String::as_str)
    }

    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        config.set("client.id", &self.client_id).set_log_level(RDKafkaLogLevel::Warning);
        config
    }

    fn consumer_base(&self, isolation: Isolation) -> ClientConfig {
        let mut config = self.base();
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false")
            // The defaults hold a reader back to 200,000 records a second.
            .set("fetch.queue.backoff.ms", "20")
            // As much as the fastest reader reads in that time, twice: more would only take memory, and have left
            // the processor's caches before it is read.
            .set("queued.min.messages", "100000")
            .set("queued.max.messages.kbytes", "32768")
            .set(
                "isolation.level",
                match isolation {
                    Isolation::ReadCommitted => "read_committed",
                    Isolation::ReadUncommitted => "read_uncommitted",
                },
            );
        config
    }

    /// A member of a consumer group: classic protocol, cooperative, static where `instance` names it.
    pub fn group_member<C: ConsumerContext>(
        &self,
        group: &str,
        instance: Option<&str>,
        context: C,
    ) -> KafkaResult<BaseConsumer<C>> {
        let mut config = self.consumer_base(Isolation::ReadCommitted);
        config
            .set("group.id", group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            // New partitions of a topic must be seen soon: until then the gate is closed.
            .set("topic.metadata.refresh.interval.ms", "30000");
        if let Some(instance) = instance {
            config.set("group.instance.id", instance);
        }
        BaseConsumer::from_config_and_context(&config, context)
    }

    /// A reader outside any group: for restores, watermarks and look-ups of a group's offsets.
    pub fn reader(&self, isolation: Isolation, group: Option<&str>) -> KafkaResult<BaseConsumer> {
        self.reader_with(isolation, group, DefaultConsumerContext)
    }

    /// The same, and `context` hears what becomes of its connections.
    pub fn reader_with<C: ConsumerContext>(
        &self,
        isolation: Isolation,
        group: Option<&str>,
        context: C,
    ) -> KafkaResult<BaseConsumer<C>> {
        let mut config = self.consumer_base(isolation);
        // librdkafka wants a name, and looks for that group's coordinator; it never joins. One that the user has
        // a right to: a refusal would end a restore.
        config.set("group.id", group.unwrap_or(&self.track_group));
        BaseConsumer::from_config_and_context(&config, context)
    }

    /// An idempotent producer that delivers in order or reports a failure.
    pub fn producer<C: ProducerContext + 'static>(&self, context: C) -> KafkaResult<PolledProducer<C>> {
        PolledProducer::new(&self.producer_base(), context)
    }

    fn producer_base(&self) -> ClientConfig {
        let mut config = self.base();
        let compressed = ["compression.codec", "compression.type"];
        if !compressed.iter().any(|name| self.properties.contains_key(*name)) {
            config.set("compression.type", "lz4");
        }
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // Where five requests of a partition are under way, librdkafka turns in circles until the oldest is
            // answered; few large requests seldom come to that. A transaction's commit doesn't wait for it.
            .set("linger.ms", "50")
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", "262144")
            .set("partitioner", "murmur2_random");
        config
    }

    /// A transactional producer; not initialised yet.
    pub fn transactional_producer<C: ProducerContext + 'static>(
        &self,
        transactional_id: &str,
        context: C,
    ) -> KafkaResult<PolledProducer<C>> {
        let mut config = self.producer_base();
        config
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS.to_string())
            .set("message.timeout.ms", TRANSACTION_RECORD_TIMEOUT_MS.to_string())
            // What became of its records the commit sums up; a report of each would cost more than to merge it.
            .set("delivery.report.only.error", "true");
        PolledProducer::new(&config, context)
    }

    pub fn admin(&self) -> KafkaResult<AdminClient<DefaultClientContext>> {
        AdminClient::from_config(&self.base())
    }
}
