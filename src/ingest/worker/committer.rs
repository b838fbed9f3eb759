//! Commits on a thread of its own: librdkafka tells nobody what became of an asynchronous commit, and a
//! synchronous one may wait for a coordinator for as long as a session lasts.

use super::membership::Membership;
use crate::ingest::instance::Commit;
use crate::kafka::offsets::list;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaResult;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// What was asked to be committed, and whether it was.
pub struct Committed {
    pub commits: Vec<Commit>,
    pub outcome: KafkaResult<()>,
}

/// The loop's end of it; the thread ends with it. At most one commit is under way.
pub struct Committer {
    to_commit: SyncSender<Vec<Commit>>,
    committed: Receiver<Committed>,
    is_busy: bool,
}

impl Committer {
    pub fn begin(consumer: Arc<BaseConsumer<Membership>>) -> std::io::Result<Committer> {
        let (to_commit, waiting) = sync_channel::<Vec<Commit>>(1);
        let (done, committed) = sync_channel(1);
        std::thread::Builder::new().name("ingest-commit".to_owned()).spawn(move || {
            for commits in waiting {
                let outcome = commit(&consumer, &commits);
                if done.send(Committed { commits, outcome }).is_err() {
                    return;
                }
            }
        })?;
        Ok(Committer { to_commit, committed, is_busy: false })
    }

    pub fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Must not be busy.
    pub fn commit(&mut self, commits: Vec<Commit>) {
        self.is_busy = self.to_commit.try_send(commits).is_ok();
    }

    /// What became of the commit under way, as soon as that is known, or `patience` has passed.
    pub fn outcome(&mut self, patience: Duration) -> Option<Committed> {
        if !self.is_busy {
            return None;
        }
        match self.committed.recv_timeout(patience) {
            Ok(committed) => {
                self.is_busy = false;
                Some(committed)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }
}

fn commit(consumer: &BaseConsumer<Membership>, commits: &[Commit]) -> KafkaResult<()> {
    let offsets = commits.iter().map(|commit| (commit.topic.as_str(), commit.partition, Some(commit.offset)));
    let list = list(offsets)?;
    for commit in commits {
        let partition = i32::try_from(commit.partition).unwrap_or(i32::MAX);
        if let Some(mut element) = list.find_partition(&commit.topic, partition) {
            element.set_metadata(&commit.metadata);
        }
    }
    consumer.commit(&list, CommitMode::Sync)
}
