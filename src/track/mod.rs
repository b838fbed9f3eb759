//! Signals → state and commands, exactly once.
