//! Records → signals and progress. Stateless, at-least-once, idempotent.
//!
//! * [`extract`]: a record → its signals, or why it has none (a [`reason`]); [`json`], [`cloud_event`] and
//!   [`time`] read for it, [`places`] finds what belongs together, [`yields`] makes claims of it
//! * [`coalesce`]: what was forwarded already
//! * [`instance`]: all of one instance, pure
//! * [`partition`]: how far one partition has been read, and what that proves
//! * [`facts`]: what was seen in it; [`heard`] keeps its silences, [`hour`] its counts
//! * [`note`]: what a commit keeps of that
//! * [`lanes`]: what is in flight
//! * [`clocks`]: whether our clock can be trusted
//! * [`sight`]: when what the brokers said was true
//! * [`topics`]: which topics are read

pub mod clocks;
pub mod cloud_event;
pub mod coalesce;
pub mod extract;
pub mod facts;
pub mod heard;
pub mod hour;
pub mod instance;
pub mod json;
pub mod lanes;
pub mod note;
pub mod partition;
pub mod places;
pub mod reason;
pub mod sight;
pub mod status;
pub mod time;
pub mod topics;
pub mod worker;
pub mod yields;
