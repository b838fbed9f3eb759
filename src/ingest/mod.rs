//! Records → signals and progress. Stateless, at-least-once, idempotent.
