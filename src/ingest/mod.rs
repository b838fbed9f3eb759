//! Records → signals and progress. Stateless, at-least-once, idempotent.

pub mod coalesce;
pub mod extract;
pub mod heard;
pub mod hour;
pub mod json;
pub mod note;
pub mod time;
