//! Which sources and rules policies and floors depend on.

use super::policy;
use super::rule::{RuleDraft, YieldDraft};
use super::source::Draft;
use crate::retention::calendar::Seconds;
use crate::retention::policy::{Mode, SourceIndex};

/// Sources with a rule that concerns something, retired ones left out; ordered, each once.
pub(super) fn live_sources(sources: &[Draft<'_>], concerns: impl Fn(&YieldDraft) -> bool) -> Vec<SourceIndex> {
    let live = (0..).zip(sources).filter(|(_, source)| !source.retired);
    let concerned = live.filter(|(_, source)| source.rules.iter().any(|rule| concerns(&rule.yields)));
    concerned.map(|(place, _)| SourceIndex(place)).collect()
}

/// Rules that yield one of these kinds, retired sources' included.
pub(super) fn history_rules(sources: &[Draft<'_>], kinds: &[String]) -> Vec<(SourceIndex, u16)> {
    let mut found = Vec::new();
    for (place, source) in (0..).zip(sources) {
        for (number, rule) in (0..).zip(&source.rules) {
            if rule.yields.kind().is_some_and(|kind| kinds.iter().any(|counted| counted == kind)) {
                found.push((SourceIndex(place), number));
            }
        }
    }
    found
}

/// The largest of these sources.
pub(super) fn lateness(sources: &[Draft<'_>], of: &[SourceIndex]) -> Seconds {
    let lateness = of.iter().map(|place| sources[usize::from(place.0)].allowed_lateness).max();
    lateness.unwrap_or(Seconds(0))
}

/// What was told before is missing where history doesn't go back to the beginning: a hold, a withdrawn
/// consent, an attribute that nobody knows of would let something go early. Of activity the latest is
/// assumed for everyone instead (known since).
pub(super) fn check_histories(sources: &[Draft<'_>], policies: &[policy::Draft]) {
    let rules = sources.iter().flat_map(|source| &source.rules);
    for rule in rules.filter(|rule| !rule.history_from_beginning) {
        let Some((what, mode)) = relied_on(rule, policies) else { continue };
        let message = format!(
            "{what}, and does not say history_from: beginning; what came before would be missing, and policies beyond \
             test can't do without it"
        );
        if mode == Mode::Test { rule.at.warning(message) } else { rule.at.error(message) }
    }
}

/// What a rule does that policies rely on, and the highest of their modes.
fn relied_on(rule: &RuleDraft<'_>, policies: &[policy::Draft]) -> Option<(&'static str, Mode)> {
    let highest = |reads: &dyn Fn(&policy::Draft) -> bool| {
        policies.iter().filter(|policy| reads(policy)).map(|policy| policy.mode).max()
    };
    let yields = &rule.yields;
    let reads_consent = |policy: &policy::Draft| policy.consent.iter().any(|name| yields.tells_consent(name));
    let reads_attribute =
        |policy: &policy::Draft| policy.applies_to.iter().any(|(name, _)| yields.tells_attribute(name));
    if yields.is_hold() {
        return highest(&|_| true).map(|mode| ("places or ends holds", mode));
    }
    highest(&reads_consent)
        .map(|mode| ("tells a consent", mode))
        .or_else(|| highest(&reads_attribute).map(|mode| ("tells an attribute", mode)))
}
