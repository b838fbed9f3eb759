//! What the API needs of the world beyond this process. Calls block: they are made from threads that may.

use crate::config::Config;
use crate::retention::calendar::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Not now; in words that say what is wrong, and name no customer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OutsideError(pub String);

/// A record for a shard's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForShard {
    pub shard: u32,
    pub key: Option<Vec<u8>>,
    pub value: Vec<u8>,
}

/// A record for audit; an empty key is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForAudit {
    pub key: String,
    pub value: Vec<u8>,
}

/// Evidence as it is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvidenceOf {
    Customer(String),
    /// First and last day.
    Policy(String, chrono::NaiveDate, chrono::NaiveDate),
}

/// What another instance has answered: status and body.
pub type PeerAnswer = (u16, Vec<u8>);

pub trait Outside: Send + Sync + 'static {
    /// This machine's clock.
    fn now(&self) -> Timestamp;

    /// The address of the instance that owns each shard, as the consumer group has it. `fresh`: not from
    /// memory.
    ///
    /// # Errors
    /// When the group can't be asked now.
    fn owners(&self, fresh: bool) -> Result<BTreeMap<u32, String>, OutsideError>;

    /// Asks another instance: a POST of JSON.
    ///
    /// # Errors
    /// When it can't be reached, or answers too much or too late.
    fn ask_peer(
        &self,
        address: &str,
        path: &str,
        authorization: Option<&str>,
        body: &[u8],
    ) -> Result<PeerAnswer, OutsideError>;

    /// Appends to `signals`; they are there when this returns.
    ///
    /// # Errors
    /// When not all of them were acknowledged.
    fn append(&self, records: Vec<ForShard>) -> Result<(), OutsideError>;

    /// Appends to audit; they are there when this returns.
    ///
    /// # Errors
    /// When not all of them were acknowledged.
    fn audit(&self, records: Vec<ForAudit>) -> Result<(), OutsideError>;

    /// Evidence, as text or as JSON; `None`: there is none.
    ///
    /// # Errors
    /// When audit can't be read to its end.
    fn evidence(&self, config: &Arc<Config>, of: &EvidenceOf, as_text: bool) -> Result<Option<String>, OutsideError>;
}
