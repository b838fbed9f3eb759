//! Moves bytes; knows no retention.
