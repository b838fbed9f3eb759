//! `targets`.

use super::Context;
use super::source::topic_name;
use crate::config::reader::{At, key_is_name};
use crate::retention::policy::Target;

pub(super) fn targets(at: &At<'_>, context: &Context) -> Vec<Target> {
    let named = at.named("a map of targets by name");
    let target = |(key, at)| if key_is_name(key, &at) { target(&key.name, &at, context) } else { None };
    let mut targets: Vec<Target> = named.into_iter().filter_map(target).collect();
    targets.sort_by(|a, b| a.key.cmp(&b.key));
    targets
}

fn target(key: &str, at: &At<'_>, context: &Context) -> Option<Target> {
    let mut map = at.map()?;
    let topic = map.need("topic", "where its commands go").and_then(|at| {
        let name = topic_name(&at)?;
        if context.own_topics.contains(&name) {
            at.error(format!("is '{}', which is one of our own topics", at.shown()));
        }
        Some(name)
    });
    let within = map.need("acknowledge_within", "how long a command is valid, such as P3D, or none");
    let within = within.and_then(|at| if at.text()? == "none" { Some(None) } else { at.duration().map(Some) });
    map.finish();
    Some(Target { key: key.to_owned(), topic: topic?, acknowledge_within: within? })
}
