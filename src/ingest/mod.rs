//! Records → signals and progress. Stateless, at-least-once, idempotent.
pub mod extract;
pub mod json;
pub mod time;
