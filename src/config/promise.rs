//! What was promised, word for word: a policy as evidence keeps it.

use super::Config;
use crate::retention::activity::KindIndex;
use crate::retention::brake::TextHash;
use crate::retention::calendar::Timestamp;
use crate::retention::policy::{self, PolicyIndex, TargetIndex};
use crate::wire::audit;
use sha2::{Digest, Sha256};

impl Config {
    /// A policy in full, and since when it is in force in a shard.
    pub fn policy_in_full(&self, index: PolicyIndex, shard: u32, effective: Timestamp) -> audit::Policy {
        let place = usize::from(index.0);
        let (policy, text) = (&self.rules.policies[place], &self.texts[place]);
        let floors = policy.categories.iter().filter_map(|category| self.rules.floor_of(*category));
        let floors = floors.map(|floor| self.floor_in_full(&self.rules.floors[usize::from(floor.0)]));
        audit::Policy {
            policy: policy.key.clone(),
            policy_version: policy.version.clone(),
            effective,
            shard,
            purpose: text.purpose.clone(),
            lawful_basis: text.lawful_basis.name().to_owned(),
            interest: text.interest.clone(),
            consent: policy.consent.clone(),
            categories: policy.categories.iter().map(|category| self.category(*category).to_owned()).collect(),
            applies_to: policy.applies_to.iter().cloned().collect(),
            since_last: self.kinds(&policy.since_last),
            counted_from: policy.counted_from,
            stages: policy.stages.iter().map(|stage| self.stage_in_full(stage)).collect(),
            floors: floors.collect(),
            mode: policy.mode,
            review_by: text.review_by,
            time_zone: self.zone.name().to_owned(),
        }
    }

    /// By policy: the hash of all that evidence says of it, reworded purposes included.
    pub fn text_hashes(&self) -> Vec<TextHash> {
        let hash = |place: usize| {
            let index = PolicyIndex(u16::try_from(place).unwrap_or(u16::MAX));
            // Where and since when it is in force is no part of the text.
            let text = self.policy_in_full(index, 0, Timestamp(0));
            let digest = Sha256::digest(serde_json::to_vec(&text).expect("names and numbers are JSON"));
            let mut first = [0; 16];
            first.copy_from_slice(&digest[..16]);
            TextHash(first)
        };
        (0..self.rules.policies.len()).map(hash).collect()
    }

    fn stage_in_full(&self, stage: &policy::Stage) -> audit::Stage {
        let key = |target: &TargetIndex| self.rules.target(*target).key.clone();
        audit::Stage { after: stage.after, command: stage.action, targets: stage.targets.iter().map(key).collect() }
    }

    fn floor_in_full(&self, floor: &policy::Floor) -> audit::Floor {
        audit::Floor {
            category: self.category(floor.category).to_owned(),
            since_last: self.kinds(&floor.since_last),
            counted_from: floor.counted_from,
            keep: floor.keep,
            because: floor.because.clone(),
        }
    }

    /// A category's name.
    pub fn category(&self, category: u8) -> &str {
        &self.rules.categories[usize::from(category)]
    }

    /// Names of kinds of activity.
    fn kinds(&self, kinds: &[KindIndex]) -> Vec<String> {
        kinds.iter().map(|kind| self.rules.kinds[usize::from(kind.0)].name.clone()).collect()
    }
}
