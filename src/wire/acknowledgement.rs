//! A target's answer to a command: JSON on `<app>.acks`.
