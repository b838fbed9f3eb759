//! What lies on the source's topic, and what is to be found in it.

use clap::ValueEnum;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer};
use std::fmt::Write;
use std::time::Duration;

/// A source of events of about 300 bytes, without keys, in the order of their time over three days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Each customer forty times: about thirteen times a day.
    Repeated,
    /// Each customer once; three tenths of the events.
    Distinct,
    /// As repeated, with one event in a hundred that is no activity: consent, attributes, holds.
    Mixed,
}

/// What a workload comes to.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    pub events: usize,
    pub customers: usize,
    /// How often a customer was seen on a day for the first time, and what was told beyond activity.
    pub signals: usize,
}

const DAYS: usize = 3;
const DAY_MS: i64 = 86_400_000;
const REPEATED: usize = 40;
/// How long a full producer may take.
const PATIENCE: Duration = Duration::from_secs(300);

impl Workload {
    pub fn name(self) -> &'static str {
        match self {
            Workload::Repeated => "repeated",
            Workload::Distinct => "distinct",
            Workload::Mixed => "mixed",
        }
    }

    fn size(self, events: usize) -> (usize, usize) {
        match self {
            Workload::Repeated | Workload::Mixed => (events, (events / REPEATED).max(1)),
            Workload::Distinct => (events * 3 / 10, events * 3 / 10),
        }
    }

    /// Produces the events to the partitions of `topic` in turn.
    ///
    /// # Errors
    /// When the brokers don't take them.
    pub fn fill(
        self,
        clients: &lapsed::kafka::clients::Clients,
        topic: &str,
        partitions: usize,
        events: usize,
        now_ms: i64,
    ) -> anyhow::Result<Expected> {
        let (events, customers) = self.size(events);
        let producer = clients.producer(DefaultProducerContext)?;
        let begin_ms = (now_ms / DAY_MS - DAYS as i64) * DAY_MS;
        let mut random = fastrand::Rng::with_seed(7);
        let mut payload = String::new();
        let mut seen = vec![0_u8; customers];
        let mut signals = 0;
        for event in 0..events {
            let customer = if self == Workload::Distinct { event } else { random.usize(..customers) };
            let at_ms = begin_ms + DAYS as i64 * DAY_MS * event as i64 / events as i64;
            payload.clear();
            if self == Workload::Mixed && event % 100 == 99 {
                write_other(&mut payload, &mut random, event, customer, at_ms)?;
                signals += 1;
            } else {
                write_login(&mut payload, &mut random, customer, at_ms)?;
                let day = 1 << ((at_ms - begin_ms) / DAY_MS);
                signals += usize::from(seen[customer] & day == 0);
                seen[customer] |= day;
            }
            let partition = i32::try_from(event % partitions)?;
            let mut record = BaseRecord::<(), str>::to(topic).payload(&payload).partition(partition).timestamp(at_ms);
            while let Err((error, again)) = producer.send(record) {
                anyhow::ensure!(error.to_string().contains("ull"), "{error}");
                std::thread::sleep(Duration::from_millis(1));
                record = again;
            }
        }
        producer.flush(PATIENCE)?;
        Ok(Expected { events, customers: seen.iter().filter(|days| **days != 0).count(), signals })
    }
}

/// The customer of a number: 36 characters.
pub fn write_customer(to: &mut String, customer: usize) -> std::fmt::Result {
    let id = fastrand::Rng::with_seed(customer as u64).u128(..);
    write!(to, "{}", uuid::Uuid::from_u128(id).hyphenated())
}

/// A login, the kind of event that a shop's web server writes.
pub fn write_login(to: &mut String, random: &mut fastrand::Rng, customer: usize, at_ms: i64) -> std::fmt::Result {
    write!(to, "{{\"event\":\"login\",\"id\":\"{:032x}\",\"user\":\"", random.u128(..))?;
    write_customer(to, customer)?;
    write!(
        to,
        "\",\"at\":{at_ms},\"session\":\"{:016x}\",\"page\":\"/account/orders?page={}\",\"agent\":\"Mozilla/5.0 (X11; \
         Linux x86_64; rv:{}.0) Gecko/20100101 Firefox\",\"ip\":\"10.{}.{}.{}\",\"ms\":{},\"ok\":true}}",
        random.u64(..),
        random.u16(..1000),
        random.u8(90..150),
        random.u8(..),
        random.u8(..),
        random.u8(..),
        random.u16(..)
    )
}

fn write_other(
    to: &mut String,
    random: &mut fastrand::Rng,
    event: usize,
    customer: usize,
    at_ms: i64,
) -> std::fmt::Result {
    to.push_str("{\"user\":\"");
    write_customer(to, customer)?;
    write!(to, "\",\"at\":{at_ms},\"id\":\"{:032x}\",", random.u128(..))?;
    match event / 100 % 4 {
        0 => write!(to, "\"event\":\"preference\",\"newsletter\":true}}"),
        1 => write!(to, "\"event\":\"segment\",\"segment\":\"{}\"}}", ["consumer", "business"][random.usize(..2)]),
        2 => write!(to, "\"event\":\"case_opened\",\"case\":\"{}\",\"reason\":\"dispute\"}}", customer % 7),
        _ => write!(to, "\"event\":\"case_closed\",\"case\":\"{}\"}}", customer % 7),
    }
}
