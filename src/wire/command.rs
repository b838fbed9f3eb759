//! A command as a CloudEvent (CloudEvents 1.0, JSON event format, structured mode).
