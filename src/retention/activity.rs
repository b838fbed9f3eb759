//! Kinds of activity and when a customer was last seen doing each.

use super::calendar::Timestamp;
use sha2::{Digest, Sha256};

/// A kind's place in [`super::policy::Rulebook::kinds`]; changes with the configuration, so it is
/// never stored or sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindIndex(pub u8);

/// A kind's lasting identity in signals and changelog: the first four bytes of its name's SHA-256.
/// The configuration refuses two kinds with one tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindTag(pub u32);

impl KindTag {
    pub fn of(name: &str) -> KindTag {
        let digest = Sha256::digest(name.as_bytes());
        KindTag(u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]))
    }
}

/// When a customer was last seen doing one kind of activity: Unix seconds, 0 for never. Merges by
/// maximum, so it is associative, commutative and idempotent. Events from before 1973 are rejected
/// long before they get here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LastSeen(pub u32);

impl LastSeen {
    pub const NEVER: LastSeen = LastSeen(0);

    /// Later than the year 2106 is held at its end, which errs late.
    pub fn at(at: Timestamp) -> LastSeen {
        LastSeen(u32::try_from(at.0.max(1)).unwrap_or(u32::MAX))
    }

    pub fn merge(self, other: LastSeen) -> LastSeen {
        self.max(other)
    }

    pub fn timestamp(self) -> Option<Timestamp> {
        (self != LastSeen::NEVER).then_some(Timestamp(i64::from(self.0)))
    }
}
