//! Bytes ↔ types. Pure. Signals, progress and state are a compact versioned binary format of our own;
//! commands, acknowledgements and evidence are JSON.

pub mod acknowledgement;
pub mod audit;
pub mod bytes;
pub mod command;
pub mod instruction;
pub mod partition;
pub mod progress;
pub mod signal;
pub mod state;
pub mod time;
