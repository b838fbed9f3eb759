//! Section "Decisions": input → expected commands. One file a rule, readable by whoever answers for it.
//!
//! Each story runs through the offline simulation, which decides by the same code as the service.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod applies_to;
mod consent;
mod erasure;
mod floors;
mod forgetting;
mod holds;
mod keepers;
mod known_since;
mod leases;
mod recall;
mod retained;
mod stages;
mod story;
mod window;
