//! `floors`: how long the law has a category kept, whatever anybody asks.

use super::{Context, Parts, category_index, dependence, kind_index, policy, stage};
use crate::config::reader::{At, key_is_name, suggestion};
use crate::retention::calendar::{CountedFrom, Period};
use crate::retention::policy::{Floor, Mode};

/// A floor as it is written, its kinds and category still names.
pub(super) struct Draft {
    pub category: String,
    pub since_last: Vec<String>,
    pub counted_from: CountedFrom,
    pub keep: Period,
    because: String,
}

/// In the order of their categories.
pub(super) fn drafts(at: &At<'_>, context: &Context, policies: &[policy::Draft]) -> Vec<Draft> {
    let draft = |(key, at)| {
        if key_is_name(key, &at) { draft(&key.name, &at, context, policies) } else { None }
    };
    let mut drafts: Vec<Draft> = at.named("a map of floors by category").into_iter().filter_map(draft).collect();
    drafts.sort_by(|a, b| a.category.cmp(&b.category));
    drafts
}

fn draft(category: &str, at: &At<'_>, context: &Context, policies: &[policy::Draft]) -> Option<Draft> {
    let named: Vec<_> = policies.iter().filter(|policy| policy.names(category)).collect();
    if named.is_empty() && !policies.is_empty() {
        let near = suggestion(category, policies.iter().flat_map(|policy| &policy.categories).map(String::as_str));
        at.warning(format!("is the floor of a category that no policy names{near}"));
    }
    // One whose kinds nobody tells holds nothing: what it should have kept would go.
    let is_harmless = named.iter().all(|policy| policy.mode == Mode::Test);
    let mut map = at.map()?;
    let since_last = map.need("since_last", "the kinds of activity from which the period runs");
    let since_last = since_last.and_then(|at| policy::kinds(&at, is_harmless, context));
    let counted_from = map.optional("counted_from_end_of", CountedFrom::Event, |at| policy::counted_from(&at));
    let keep = map.need("keep", "the period, such as P7Y").and_then(|at| stage::period(&at, context));
    let because = map.need("because", "the law that has it kept").and_then(|at| because(&at));
    map.finish();
    Some(Draft {
        category: category.to_owned(),
        since_last: since_last?,
        counted_from: counted_from?,
        keep: keep?,
        because: because?,
    })
}

fn because(at: &At<'_>) -> Option<String> {
    let text = at.text()?;
    if text.trim().is_empty() {
        at.error("is empty; name the law that has it kept");
        return None;
    }
    Some(text.to_owned())
}

impl Draft {
    pub fn build(&self, parts: &Parts<'_>) -> Floor {
        let counts = |kind: &str| self.since_last.iter().any(|counted| counted == kind);
        Floor {
            category: category_index(&parts.categories, &self.category),
            since_last: self.since_last.iter().map(|kind| kind_index(&parts.kinds, kind)).collect(),
            counted_from: self.counted_from,
            keep: self.keep,
            because: self.because.clone(),
            sources: dependence::live_sources(&parts.sources, |yields| yields.kind().is_some_and(counts)),
            history_rules: dependence::history_rules(&parts.sources, &self.since_last),
        }
    }
}
