//! Which topics the sources read, of those that there are.

use crate::config::{Config, TopicPattern};
use crate::retention::progress::TopicPartitions;

/// Where targets answer.
pub fn acknowledgements(config: &Config) -> String {
    format!("{}.acks", config.application)
}

/// What patterns never mean: our own topics, and Kafka's.
fn is_internal(config: &Config, topic: &str) -> bool {
    let own = topic.strip_prefix(&config.application).and_then(|rest| rest.strip_prefix('.'));
    topic.starts_with("__") || own.is_some_and(|name| ["signals", "state", "audit", "acks", "rejects"].contains(&name))
}

/// The place of the source that reads a topic.
pub fn source_of(config: &Config, topic: &str) -> Option<usize> {
    if is_internal(config, topic) { None } else { config.source_of_topic(topic) }
}

/// The sources' topics, ordered by name. `known` are all topics that the brokers know of, with their partition counts. A
/// topic that the configuration names and that is not among them has 0 partitions.
pub fn resolve<'t>(config: &Config, known: impl Iterator<Item = (&'t str, u32)>) -> Vec<TopicPartitions> {
    let mut topics = Vec::new();
    for (topic, partitions) in known {
        if let Some(source) = source_of(config, topic) {
            let source = config.sources[source].key.clone();
            topics.push(TopicPartitions { topic: topic.to_owned(), source, partitions, kept_for: None });
        }
    }
    for source in config.sources.iter().filter(|source| !source.retired) {
        for pattern in &source.topics {
            if let TopicPattern::Name(name) = pattern
                && !topics.iter().any(|topic| topic.topic == *name)
            {
                topics.push(TopicPartitions {
                    topic: name.clone(),
                    source: source.key.clone(),
                    partitions: 0,
                    kept_for: None,
                });
            }
        }
    }
    topics.sort_by(|a, b| a.topic.cmp(&b.topic));
    topics
}

/// Whether a topic is read by pattern: then all that its source reads tell whether it joins later.
pub fn is_read_by_pattern(config: &Config, topic: &str) -> bool {
    source_of(config, topic).is_some_and(|source| {
        !config.sources[source]
            .topics
            .iter()
            .any(|pattern| matches!(pattern, TopicPattern::Name(name) if name == topic))
    })
}
