//! What the API needs of the brokers and of other instances.

use super::super::evidence;
use crate::config::Config;
use crate::http::outside::{EvidenceOf, ForAudit, ForShard, Outside, OutsideError, PeerAnswer};
use crate::kafka::clients::{Clients, Isolation};
use crate::kafka::owners;
use crate::kafka::polled::PolledProducer;
use crate::retention::calendar::Timestamp;
use rdkafka::ClientContext;
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext};
use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the brokers may take to acknowledge.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long another instance may take.
const PEER_PATIENCE: Duration = Duration::from_secs(90);
/// How long it may take to reach it: it is near, or gone.
const PEER_CONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// For so long it is believed who owns what.
const OWNERS_KEPT: Duration = Duration::from_secs(10);
/// Another instance's answer may be this long.
const PEER_BYTES_MAX: u64 = 64 << 20;

/// Tells whoever waits for it that a record was acknowledged, or that it wasn't.
struct Told;

impl ClientContext for Told {}

impl ProducerContext for Told {
    type DeliveryOpaque = Box<Sender<Result<(), String>>>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        // Whoever waited may have given up.
        let _ = waiting.send(result.as_ref().map(|_| ()).map_err(|(error, _)| error.to_string()));
    }
}

pub struct Brokers {
    clients: Clients,
    application: String,
    producer: PolledProducer<Told>,
    reader: BaseConsumer,
    owners: Mutex<Option<(Instant, BTreeMap<u32, String>)>>,
    peers: ureq::Agent,
}

impl Brokers {
    /// # Errors
    /// When the clients' properties are refused.
    pub fn new(clients: &Clients, application: &str) -> anyhow::Result<Brokers> {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(PEER_PATIENCE))
            .timeout_connect(Some(PEER_CONNECT_PATIENCE))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .build();
        Ok(Brokers {
            producer: clients.producer(Told)?,
            reader: clients.reader(Isolation::ReadCommitted, None)?,
            clients: clients.clone(),
            application: application.to_owned(),
            owners: Mutex::new(None),
            peers: agent.into(),
        })
    }

    fn produce(&self, topic: &str, records: Vec<Produced<'_>>) -> Result<(), OutsideError> {
        let (sender, acknowledged) = channel();
        let number = records.len();
        for Produced { partition, key, value } in records {
            let mut record = BaseRecord::with_opaque_to(topic, Box::new(sender.clone())).payload(value);
            record.partition = partition.map(|partition| i32::try_from(partition).unwrap_or(i32::MAX));
            record.key = key;
            let sent = self.producer.send(record);
            sent.map_err(|(error, _)| OutsideError(format!("the brokers take nothing now: {error}")))?;
        }
        let deadline = Instant::now() + PATIENCE;
        for _ in 0..number {
            let left = deadline.saturating_duration_since(Instant::now());
            let late = || Err("no acknowledgement came in time; it may be there all the same".to_owned());
            acknowledged.recv_timeout(left).unwrap_or_else(|_| late()).map_err(OutsideError)?;
        }
        Ok(())
    }
}

struct Produced<'r> {
    partition: Option<u32>,
    key: Option<&'r [u8]>,
    value: &'r [u8],
}

impl Produced<'_> {
    fn for_audit(record: &ForAudit) -> Produced<'_> {
        let key = (!record.key.is_empty()).then_some(record.key.as_bytes());
        Produced { partition: None, key, value: &record.value }
    }

    fn for_shard(record: &ForShard) -> Produced<'_> {
        Produced { partition: Some(record.shard), key: record.key.as_deref(), value: &record.value }
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        // Whatever is not acknowledged yet was not told to be.
        let _ = self.producer.flush(Duration::from_secs(1));
    }
}

impl Outside for Brokers {
    fn now(&self) -> Timestamp {
        super::super::shards::now()
    }

    fn owners(&self, fresh: bool) -> Result<BTreeMap<u32, String>, OutsideError> {
        let mut kept = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, owners)) = kept.as_ref().filter(|_| !fresh)
            && at.elapsed() < OWNERS_KEPT
        {
            return Ok(owners.clone());
        }
        let (group, topic) = (format!("{}-track", self.application), format!("{}.signals", self.application));
        let found = owners::owners(&self.reader, &group, &topic, PATIENCE);
        let found = found.map_err(|error| OutsideError(format!("the group {group} can't be asked: {error}")))?;
        *kept = Some((Instant::now(), found.clone()));
        Ok(found)
    }

    fn ask_peer(
        &self,
        address: &str,
        path: &str,
        authorization: Option<&str>,
        body: &[u8],
    ) -> Result<PeerAnswer, OutsideError> {
        let unreachable =
            |error: ureq::Error| OutsideError(format!("the instance at {address} can't be asked: {error}"));
        let mut request = self.peers.post(format!("http://{address}{path}")).header("content-type", "application/json");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let mut response = request.send(body).map_err(unreachable)?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(PEER_BYTES_MAX).read_to_vec().map_err(unreachable)?;
        Ok((status, body))
    }

    fn append(&self, records: Vec<ForShard>) -> Result<(), OutsideError> {
        let records = records.iter().map(Produced::for_shard).collect();
        self.produce(&format!("{}.signals", self.application), records)
    }

    fn audit(&self, records: Vec<ForAudit>) -> Result<(), OutsideError> {
        let records = records.iter().map(Produced::for_audit).collect();
        self.produce(&format!("{}.audit", self.application), records)
    }

    fn evidence(&self, config: &Arc<Config>, of: &EvidenceOf, as_text: bool) -> Result<Option<String>, OutsideError> {
        evidence::found(&self.clients, config, of, as_text).map_err(|error| OutsideError(format!("{error:#}")))
    }
}
