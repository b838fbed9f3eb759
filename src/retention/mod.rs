//! The deciding part, pure: state, an input, the policies, the gate and `now` in; changed state, the
//! next wake and commands out. Nothing here reads a clock, does I/O or logs.
//!
//! * [`calendar`]: periods, deadlines, local days
//! * [`almanac`]: deadlines looked up instead of computed
//! * [`activity`]: kinds of activity, and when a customer was last seen doing each
//! * [`claims`]: what is told beyond activity: consents, holds, attributes, erasure requests
//! * [`policy`]: what was promised: policies, stages, targets
//! * [`customer`]: what has been sent to whom, and what came back
//! * [`pseudonym`]: what stands for a customer where their id must not
//! * [`progress`]: facts about sources
//! * [`gate`]: what progress proves
//! * [`decide`]: what leaves now, and when to look again
//! * [`brake`]: how much may leave, and what waits for a person
//! * [`forecast`]: how much falls due per day, policy and target
//! * [`window`]: days and hours at which commands leave
//! * [`command`]: what a target is told, and the identity of it

pub mod activity;
pub mod almanac;
pub mod brake;
pub mod calendar;
pub mod claims;
pub mod command;
pub mod customer;
pub mod decide;
pub mod forecast;
pub mod gate;
pub mod policy;
pub mod progress;
pub mod pseudonym;
pub mod window;
