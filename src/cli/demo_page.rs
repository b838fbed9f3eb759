//! The status page of the demo: the same as the service's, over the shards in memory.

use crate::config::{Config, May, Secret, Token};
use crate::http::desk::Desk;
use crate::http::outside::{EvidenceOf, ForAudit, ForShard, Outside, OutsideError, PeerAnswer};
use crate::retention::calendar::Timestamp;
use crate::telemetry::metrics::Metrics;
use crate::track::questions::{Questions, queue};
use crate::track::shard::Shard;
use crate::track::status::TrackStatus;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The demo's token; it opens nothing that is real.
pub const TOKEN: &str = "demo";

/// Serves the page while the demo goes on.
pub struct DemoPage {
    pub address: SocketAddr,
    questions: Questions,
    track: Arc<TrackStatus>,
    now: Arc<AtomicI64>,
}

/// There is no cluster but the one in memory.
struct Town {
    now: Arc<AtomicI64>,
}

impl Town {
    fn nothing<T>() -> Result<T, OutsideError> {
        Err(OutsideError("the demo only shows; it takes no instructions and keeps no evidence".to_owned()))
    }
}

impl Outside for Town {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::Relaxed))
    }

    fn owners(&self, _fresh: bool) -> Result<BTreeMap<u32, String>, OutsideError> {
        Ok(BTreeMap::new())
    }

    fn ask_peer(&self, _: &str, _: &str, _: Option<&str>, _: &[u8]) -> Result<PeerAnswer, OutsideError> {
        Town::nothing()
    }

    fn append(&self, _: Vec<ForShard>) -> Result<(), OutsideError> {
        Town::nothing()
    }

    fn audit(&self, _records: Vec<ForAudit>) -> Result<(), OutsideError> {
        // Nobody in the town is real.
        Ok(())
    }

    fn evidence(&self, _: &Arc<Config>, _: &EvidenceOf, _as_text: bool) -> Result<Option<String>, OutsideError> {
        Ok(None)
    }
}

impl DemoPage {
    /// # Errors
    /// When the address can't be listened at.
    pub fn serve(config: &Config, listen: SocketAddr) -> std::io::Result<DemoPage> {
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mut config = config.clone();
        let token = Token { secret: Some(Secret(TOKEN.to_owned())), may: May::LookUp };
        config.http.tokens = BTreeMap::from([("demo".to_owned(), token)]);
        let track = Arc::new(TrackStatus::new(Arc::new(Metrics::new())));
        let now = Arc::new(AtomicI64::new(0));
        let (asker, questions) = queue();
        let outside = Arc::new(Town { now: now.clone() });
        let desk = Arc::new(Desk::new(Arc::new(config), asker, track.clone(), outside));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // It ends with the process.
        std::thread::Builder::new().name("http".to_owned()).spawn(move || {
            runtime.block_on(async {
                if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                    let _ = crate::http::serve(listener, None, desk).await;
                }
            });
        })?;
        Ok(DemoPage { address, questions, track, now })
    }

    /// Answers what has been asked meanwhile.
    pub fn turn(&mut self, shards: &[Shard], now: Timestamp) {
        self.now.store(now.0, Ordering::Relaxed);
        for shard in shards {
            let partition = shard.home().partition;
            self.track.running(partition);
            self.track.observe(partition, shard, true);
        }
        self.questions.turn(|partition| shards.get(usize::try_from(partition).ok()?));
    }
}
