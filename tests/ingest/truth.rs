//! Whatever happens, progress claims only what is true.

use crate::world::{Arrived, CONFIG, Reader, START_MS, Source, config};
use lapsed::ingest::instance::Commit;
use lapsed::retention::calendar::Timestamp;
use lapsed::wire::partition::shard_of;
use lapsed::wire::signal::Signal;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
    /// A customer logs in on this partition, so many seconds after the step before.
    Append {
        partition: u32,
        customer: u8,
        seconds: i64,
    },
    Read {
        reader: usize,
        count: usize,
    },
    Look {
        reader: usize,
    },
    Deliver {
        reader: usize,
        shard: u32,
        count: usize,
    },
    Report {
        reader: usize,
    },
    Commit {
        reader: usize,
    },
    /// The partition goes to this reader; the one before lets go of it, or is not asked.
    Assign {
        reader: usize,
        partition: u32,
        is_revoked: bool,
    },
    Crash {
        reader: usize,
    },
    /// A delivery fails.
    Fail {
        reader: usize,
        shard: u32,
    },
    LookAtEnds {
        reader: usize,
    },
    AddPartition,
}

const READERS: usize = 2;
const SHARDS: u32 = 2;
const TOPIC: &str = "web.events";

fn steps() -> impl Strategy<Value = Step> {
    let reader = || 0..READERS;
    prop_oneof![
        6 => (0..3u32, 0..6u8, 0..40_000i64)
            .prop_map(|(partition, customer, seconds)| Step::Append { partition, customer, seconds }),
        6 => (reader(), 1..6usize).prop_map(|(reader, count)| Step::Read { reader, count }),
        2 => reader().prop_map(|reader| Step::Look { reader }),
        2 => reader().prop_map(|reader| Step::LookAtEnds { reader }),
        8 => (reader(), 0..SHARDS, 1..5usize)
            .prop_map(|(reader, shard, count)| Step::Deliver { reader, shard, count }),
        4 => reader().prop_map(|reader| Step::Report { reader }),
        3 => reader().prop_map(|reader| Step::Commit { reader }),
        2 => (reader(), 0..3u32, any::<bool>())
            .prop_map(|(reader, partition, is_revoked)| Step::Assign { reader, partition, is_revoked }),
        1 => reader().prop_map(|reader| Step::Crash { reader }),
        1 => (reader(), 0..SHARDS).prop_map(|(reader, shard)| Step::Fail { reader, shard }),
        1 => Just(Step::AddPartition),
    ]
}

struct World {
    now_ms: i64,
    partitions: u32,
    /// When each partition was made.
    made_ms: Vec<i64>,
    source: Source,
    readers: Vec<Reader>,
    committed: BTreeMap<(String, u32), Commit>,
    /// By shard.
    logs: Vec<Vec<Arrived>>,
    claims: usize,
}

impl World {
    fn new() -> World {
        let mut source = Source::default();
        source.create(TOPIC, 2);
        let config = config(CONFIG);
        World {
            now_ms: START_MS,
            partitions: 2,
            made_ms: vec![START_MS; 2],
            source,
            readers: (0..READERS).map(|_| Reader::started(&config, START_MS)).collect(),
            committed: BTreeMap::new(),
            logs: vec![Vec::new(); SHARDS as usize],
            claims: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Append { partition, customer, seconds } => {
                self.now_ms += seconds * 1000 + 7;
                let payload = format!(r#"{{"event": "login", "user": "c{customer}"}}"#);
                self.source.append(TOPIC, partition % self.partitions, self.now_ms, &payload);
            }
            Step::Read { reader, count } => self.readers[reader].read(&self.source, count, self.now_ms),
            Step::Look { reader } => self.readers[reader].look(&self.source, self.now_ms),
            Step::Deliver { reader, shard, count } => {
                let arrived = self.readers[reader].deliver(shard, count);
                arrived.into_iter().for_each(|arrived| self.arrive(shard, arrived));
            }
            Step::Report { reader } => {
                self.now_ms += 10_000;
                self.readers[reader].report(self.now_ms);
            }
            Step::Commit { reader } => self.readers[reader].commit(&mut self.committed, self.now_ms),
            Step::Assign { reader, partition, is_revoked } => {
                let partition = partition % self.partitions;
                if is_revoked {
                    self.readers.iter_mut().for_each(|reader| reader.revoke(TOPIC, partition));
                }
                self.readers[reader].assign(&self.source, TOPIC, partition, &self.committed, self.now_ms);
            }
            Step::LookAtEnds { reader } => self.readers[reader].look_at_ends(&self.source, self.now_ms),
            Step::Fail { reader, shard } => {
                let arrived = self.readers[reader].fail(shard);
                arrived.into_iter().for_each(|arrived| self.arrive(shard, arrived));
                self.step(&Step::Crash { reader });
            }
            Step::Crash { reader } => self.readers[reader] = Reader::started(&config(CONFIG), self.now_ms),
            Step::AddPartition => {
                if self.partitions < 3 {
                    self.now_ms += 1000;
                    self.partitions += 1;
                    self.made_ms.push(self.now_ms);
                    self.source.create(TOPIC, self.partitions);
                }
            }
        }
    }

    /// A claim that a shard knows everything up to W is held against the source itself.
    fn arrive(&mut self, shard: u32, arrived: Arrived) {
        let log = &mut self.logs[shard as usize];
        if let Arrived::Progress(progress) = &arrived {
            for report in &progress.partitions {
                let Some(complete_to) = report.complete_to else { continue };
                self.claims += 1;
                let before = |made_ms: &i64| Timestamp::from_millis_ceil(*made_ms) < complete_to;
                let partitions = self.made_ms.iter().filter(|made_ms| before(made_ms)).count() as u32;
                assert!(progress.topics[0].partitions >= partitions);
                for record in &self.source.logs[&(TOPIC.to_owned(), report.partition)] {
                    let is_before = Timestamp::from_millis_ceil(record.appended_ms) < complete_to;
                    let customer = record.payload.split('"').nth(7).unwrap();
                    if !is_before || shard_of(customer.as_bytes(), SHARDS) != shard {
                        continue;
                    }
                    let day = record.timestamp_ms.div_euclid(86_400_000);
                    let is_it = |arrived: &Arrived| match arrived {
                        Arrived::Signal(who, Signal::Activity { at, .. }) => {
                            who == customer && at.0.div_euclid(86_400) >= day
                        }
                        _ => false,
                    };
                    assert!(log.iter().any(is_it), "{customer} at {} of {report:?}", record.timestamp_ms);
                    let newest = report.rules[0].matched.unwrap().newest;
                    assert!(newest >= Timestamp::from_millis_floor(record.timestamp_ms));
                }
            }
        }
        log.push(arrived);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn progress_claims_only_what_is_true(steps in prop::collection::vec(steps(), 1..160)) {
        let mut world = World::new();
        for partition in 0..2 {
            let reader = partition as usize % READERS;
            world.readers[reader].assign(&world.source, TOPIC, partition, &world.committed, START_MS);
        }
        steps.iter().for_each(|step| world.step(step));
        // In the end everything that was written is known and claimed.
        world.now_ms += 60_000;
        world.readers = vec![Reader::started(&config(CONFIG), world.now_ms)];
        let claims = world.claims;
        for partition in 0..world.partitions {
            world.readers[0].assign(&world.source, TOPIC, partition, &world.committed, world.now_ms);
        }
        for _ in 0..4 {
            world.step(&Step::Look { reader: 0 });
            world.step(&Step::Read { reader: 0, count: 1000 });
            world.step(&Step::Commit { reader: 0 });
            world.step(&Step::Report { reader: 0 });
            (0..SHARDS).for_each(|shard| world.step(&Step::Deliver { reader: 0, shard, count: 1000 }));
        }
        prop_assert!(world.claims > claims);
    }
}
