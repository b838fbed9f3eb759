//! Systems that hold customers' data: they read commands, obey after a while, and say so.

use crate::retention::calendar::Timestamp;
use serde_json::{Value, json};
use std::collections::{HashSet, VecDeque};

/// What a target does with every command.
#[derive(Debug)]
pub struct TargetSystem {
    pub key: String,
    pub topic: String,
    /// How long it takes to obey, in seconds.
    pub delay_seconds: i64,
    /// By partition: the next offset to read.
    pub positions: Vec<i64>,
    waiting: VecDeque<(Timestamp, Value)>,
    /// Ids it has executed.
    executed: HashSet<String>,
}

impl TargetSystem {
    pub fn new(key: &str, topic: &str, partitions: u32, delay_seconds: i64) -> TargetSystem {
        TargetSystem {
            key: key.to_owned(),
            topic: topic.to_owned(),
            delay_seconds,
            positions: vec![0; usize::try_from(partitions).unwrap_or(0)],
            waiting: VecDeque::new(),
            executed: HashSet::new(),
        }
    }

    /// Takes a command off its topic.
    pub fn receive(&mut self, command: Value, now: Timestamp) {
        self.waiting.push_back((Timestamp(now.0 + self.delay_seconds), command));
    }

    /// What it has obeyed by `now`, as acknowledgements: (customer, JSON). A command that has expired is
    /// not obeyed, and one that was executed before is only acknowledged again.
    pub fn obey(&mut self, now: Timestamp) -> Vec<(String, Value)> {
        let mut answers = Vec::new();
        while self.waiting.front().is_some_and(|(ready, _)| *ready <= now) {
            let Some((_, command)) = self.waiting.pop_front() else { break };
            let expired = command["expirytime"].as_str().is_some_and(|expiry| expiry <= now.to_utc_string().as_str());
            if expired {
                continue;
            }
            self.executed.insert(command["id"].as_str().unwrap_or_default().to_owned());
            let customer = command["data"]["customer"].as_str().unwrap_or_default().to_owned();
            let answer = json!({
                "command": command["id"], "attempt": command["data"]["attempt"], "customer": customer,
                "target": self.key, "result": "done", "time": now.to_utc_string(),
            });
            answers.push((customer, answer));
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_command_is_not_obeyed() {
        let mut target = TargetSystem::new("crm", "crm.commands", 1, 60);
        let command = |id: &str, expiry: &str| json!({"id": id, "expirytime": expiry, "data": {"customer": "4711", "attempt": 1}});
        target.receive(command("a", "1970-01-01T00:00:30Z"), Timestamp(0));
        target.receive(command("b", "1970-01-02T00:00:00Z"), Timestamp(0));
        assert!(target.obey(Timestamp(59)).is_empty());
        let answers = target.obey(Timestamp(60));
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].1["command"], "b");
    }
}
