//! Known mistakes, planted by tests to prove that the simulator finds each of them.
//!
//! Without `cfg(test)` and without the feature `plant` no mistake can be planted: [`is_planted`] is a
//! constant, and nothing of it is left in the product.

/// A mistake that somebody could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Commands leave whatever the gate proves.
    SendBeforeGate,
    /// A restore ends at the last stable offset, where an end of partition is raised.
    TrustEof,
    /// After an abort what was decided is believed all the same.
    SkipUndo,
    /// A revoked shard and what was buffered of it is kept and written for.
    KeepRevoked,
    /// A transaction sends no offsets, which no broker refuses.
    EmptyOffsets,
    /// The moment up to which a partition is complete is taken after its end was asked for.
    MomentAfterEnd,
    /// The end of a source's partition is asked as a `read_committed` client.
    EndReadCommitted,
    /// Progress under another configuration counts.
    BelieveOtherProgress,
    /// A command's id doesn't hold its round.
    ForgetRound,
    /// The brake counts recalls.
    CountRecalls,
    /// A shard that is behind sends.
    FireWhileBehind,
    /// The group's metadata is read when a transaction ends instead of when its batch began.
    MembershipAtSending,
}

impl Plant {
    pub const ALL: [Plant; 12] = [
        Plant::SendBeforeGate,
        Plant::TrustEof,
        Plant::SkipUndo,
        Plant::KeepRevoked,
        Plant::EmptyOffsets,
        Plant::MomentAfterEnd,
        Plant::EndReadCommitted,
        Plant::BelieveOtherProgress,
        Plant::ForgetRound,
        Plant::CountRecalls,
        Plant::FireWhileBehind,
        Plant::MembershipAtSending,
    ];

    /// As the command line says it.
    pub fn name(self) -> &'static str {
        match self {
            Plant::SendBeforeGate => "send-before-gate",
            Plant::TrustEof => "trust-eof",
            Plant::SkipUndo => "skip-undo",
            Plant::KeepRevoked => "keep-revoked",
            Plant::EmptyOffsets => "empty-offsets",
            Plant::MomentAfterEnd => "moment-after-end",
            Plant::EndReadCommitted => "end-read-committed",
            Plant::BelieveOtherProgress => "believe-other-progress",
            Plant::ForgetRound => "forget-round",
            Plant::CountRecalls => "count-recalls",
            Plant::FireWhileBehind => "fire-while-behind",
            Plant::MembershipAtSending => "membership-at-sending",
        }
    }
}

#[cfg(any(test, feature = "plant"))]
mod planted {
    use super::Plant;
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Plant>> = const { Cell::new(None) };
    }

    /// Plants a mistake in this thread, or none.
    pub fn plant(plant: Option<Plant>) {
        PLANTED.set(plant);
    }

    pub fn is_planted(plant: Plant) -> bool {
        PLANTED.get() == Some(plant)
    }
}

#[cfg(any(test, feature = "plant"))]
pub use planted::{is_planted, plant};

/// No mistake is planted in the product.
#[cfg(not(any(test, feature = "plant")))]
#[inline(always)]
pub const fn is_planted(_plant: Plant) -> bool {
    false
}
