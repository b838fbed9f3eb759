//! `targets`.

use crate::config::reader::At;
use crate::retention::policy::Target;

pub(super) fn targets(at: &At<'_>) -> Vec<Target> {
    let mut targets: Vec<Target> = at.named().iter().filter_map(|(key, at)| target(&key.name, at)).collect();
    targets.sort_by(|a, b| a.key.cmp(&b.key));
    targets
}

fn target(key: &str, at: &At<'_>) -> Option<Target> {
    let mut map = at.map()?;
    let topic = map.need("topic", "where its commands go").and_then(|at| super::source::topic_name(&at));
    let within = map.need("acknowledge_within", "how long a command is valid, such as P3D, or none");
    let within = within.and_then(|at| match at.text()? {
        "none" => Some(None),
        _ => at.duration().map(Some),
    });
    map.finish();
    Some(Target { key: key.to_owned(), topic: topic?, acknowledge_within: within? })
}
