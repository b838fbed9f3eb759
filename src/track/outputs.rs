//! What a batch leaves to be produced in its transaction. Buffers are reused: clear, fill, produce.

use crate::retention::command::Command;
use std::ops::Range;

/// Commands and changelog records of one or several shards, in the order in which they must be produced.
#[derive(Debug, Default)]
pub struct Outputs {
    bytes: Vec<u8>,
    commands: Vec<(Range<usize>, Command)>,
    changelog: Vec<(Range<usize>, Option<Range<usize>>)>,
    audit: Vec<(Range<usize>, Range<usize>)>,
}

impl Outputs {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.commands.clear();
        self.changelog.clear();
        self.audit.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.changelog.is_empty() && self.audit.is_empty()
    }

    /// Commands with their customers. Indices in them are of the configuration they were decided under.
    pub fn commands(&self) -> impl ExactSizeIterator<Item = (&str, &Command)> {
        self.commands.iter().map(|(customer, command)| {
            let customer = std::str::from_utf8(&self.bytes[customer.clone()]).expect("it was text when it was added");
            (customer, command)
        })
    }

    /// Keys and values for the shard's partition of `state`; no value: a tombstone.
    pub fn changelog(&self) -> impl ExactSizeIterator<Item = (&[u8], Option<&[u8]>)> {
        self.changelog
            .iter()
            .map(|(key, value)| (&self.bytes[key.clone()], value.as_ref().map(|value| &self.bytes[value.clone()])))
    }

    /// Keys and values for audit.
    pub fn audit(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.audit.iter().map(|(key, value)| (&self.bytes[key.clone()], &self.bytes[value.clone()]))
    }

    /// How many bytes are held for keys, values and customers.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the commands that were decided for a customer.
    pub fn add_commands(&mut self, customer: &str, decided: &mut Vec<Command>) {
        if decided.is_empty() {
            return;
        }
        let customer = self.keep(|bytes| bytes.extend_from_slice(customer.as_bytes()));
        self.commands.extend(decided.drain(..).map(|command| (customer.clone(), command)));
    }

    /// Adds a changelog record.
    pub fn add_state(&mut self, key: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let key = self.keep(|bytes| bytes.extend_from_slice(key));
        let value = self.keep(write);
        self.changelog.push((key, Some(value)));
    }

    /// Adds a changelog record without a value.
    pub fn add_tombstone(&mut self, key: &[u8]) {
        let key = self.keep(|bytes| bytes.extend_from_slice(key));
        self.changelog.push((key, None));
    }

    /// Adds a record for audit.
    pub fn add_audit(&mut self, key: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let key = self.keep(|bytes| bytes.extend_from_slice(key));
        let value = self.keep(write);
        self.audit.push((key, value));
    }

    /// Takes over what another has for audit.
    pub fn take_audit(&mut self, other: &mut Outputs) {
        for (key, value) in other.audit() {
            self.add_audit(key, |bytes| bytes.extend_from_slice(value));
        }
        other.clear();
    }

    fn keep(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
        let start = self.bytes.len();
        write(&mut self.bytes);
        start..self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_keep_their_bytes_and_order() {
        let mut outputs = Outputs::default();
        outputs.add_state(b"a", |bytes| bytes.extend_from_slice(b"1"));
        outputs.add_state(b"bc", |_| {});
        let records: Vec<_> = outputs.changelog().collect();
        assert_eq!(records, [(&b"a"[..], Some(&b"1"[..])), (&b"bc"[..], Some(&b""[..]))]);
        outputs.clear();
        assert!(outputs.is_empty());
    }
}
