//! What was promised: policies with their stages, and the targets that must keep the promise.

use super::activity::{KindIndex, KindTag};
use super::calendar::{CountedFrom, Period, Resolution, Seconds};
use chrono::NaiveTime;
use chrono_tz::Tz;

/// Everything of a configuration that deciding needs, checked: indices are in range, names unique.
#[derive(Clone, Debug)]
pub struct Rulebook {
    /// Part of every command's identity.
    pub application: String,
    /// The calendar of periods.
    pub zone: Tz,
    pub resolution: Resolution,
    /// Namespace of command ids, derived from the evidence key.
    pub command_namespace: uuid::Uuid,
    /// Ordered by name.
    pub kinds: Vec<Kind>,
    /// Names of categories; at most [`CATEGORIES_MAX`].
    pub categories: Vec<String>,
    /// Ordered by key.
    pub targets: Vec<Target>,
    /// Ordered by key.
    pub sources: Vec<Trust>,
    /// Ordered by key.
    pub policies: Vec<Policy>,
    /// Ordered by category, at most one each.
    pub floors: Vec<Floor>,
    /// Sources that place holds: everyone's commands depend on them. Retired ones left out.
    pub hold_sources: Vec<SourceIndex>,
    /// `None`: commands leave at any time.
    pub window: Option<Window>,
    pub forget: Forget,
    /// How far what progress proves may lie behind now (`max_gate_lag`).
    pub gate_lag_max: Seconds,
}

/// Categories are held as bits of a `u64`.
pub const CATEGORIES_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    pub name: String,
    pub tag: KindTag,
}

/// Place in [`Rulebook::targets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetIndex(pub u16);

/// Place in [`Rulebook::policies`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyIndex(pub u16);

/// Place in [`Rulebook::sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceIndex(pub u16);

/// Place in [`Rulebook::floors`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FloorIndex(pub u16);

/// A set of categories, as bits at their places in [`Rulebook::categories`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CategorySet(pub u64);

impl CategorySet {
    pub const EMPTY: CategorySet = CategorySet(0);
    pub fn contains(self, category: u8) -> bool {
        self.0 >> category & 1 == 1
    }
    pub fn insert(&mut self, category: u8) {
        self.0 |= 1 << category;
    }
    pub fn without(self, other: CategorySet) -> CategorySet {
        CategorySet(self.0 & !other.0)
    }
    pub fn and(self, other: CategorySet) -> CategorySet {
        CategorySet(self.0 & other.0)
    }
    pub fn or(self, other: CategorySet) -> CategorySet {
        CategorySet(self.0 | other.0)
    }
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A downstream system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub key: String,
    /// Where its commands go.
    pub topic: String,
    /// How long a command is valid, and after which it is sent again; `None`: the target cannot
    /// acknowledge, and counts as done when sent.
    pub acknowledge_within: Option<Seconds>,
}

/// What the gate needs to know of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Trust {
    pub key: String,
    pub allowed_lateness: Seconds,
    /// Share of the last hour's records that may be rejects, 0 to 1; at least ten always may.
    pub rejects_max: f64,
    /// An ended source: its kinds stay, it is neither read nor waited for.
    pub retired: bool,
    /// In the order of the source's rules.
    pub rules: Vec<RuleTrust>,
}

/// What the gate needs to know of one rule of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleTrust {
    /// The kind of activity this rule yields, if it yields one.
    pub kind: Option<KindIndex>,
    /// Longest silence believed; `None`: this rule is not guarded. Set only on rules that guard: those
    /// that make activity, or any in a source without such.
    pub silence_max: Option<Seconds>,
    /// `history_from: beginning`: nothing that happened before is missing.
    pub history_from_beginning: bool,
}

/// For one purpose and its categories: starting point, stages, targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub key: String,
    /// Hash of what decides, in lower-case hex.
    pub version: String,
    /// In the order of the configuration: what commands name.
    pub categories: Vec<u8>,
    pub category_set: CategorySet,
    /// In the order of the configuration: on a tie the first is named.
    pub since_last: Vec<KindIndex>,
    pub counted_from: CountedFrom,
    /// At least one.
    pub stages: Vec<Stage>,
    pub mode: Mode,
    /// Name of the consent it rests on: `false` ends it at once, `true` counts as an activity.
    pub consent: Option<String>,
    /// Attributes that must all match, as text; among the values `None`: not set. Empty: everyone.
    pub applies_to: Vec<(String, Vec<Option<String>>)>,
    pub brake: Brake,
    /// The sources it depends on (that yield its kinds, its floors' kinds, its consent or attributes, or
    /// holds), retired ones left out.
    pub sources: Vec<SourceIndex>,
    /// The largest of those sources' lateness.
    pub lateness: Seconds,
    /// Rules whose history bounds what is known for this policy: those that yield its kinds, retired
    /// sources' included: (source, rule in [`Trust::rules`]).
    pub history_rules: Vec<(SourceIndex, u16)>,
}

/// A statutory holding period of a category: nobody removes it earlier, not even on request (DIN 66398
/// *Vorhaltefrist*).
#[derive(Clone, Debug, PartialEq)]
pub struct Floor {
    pub category: u8,
    /// In the order of the configuration.
    pub since_last: Vec<KindIndex>,
    pub counted_from: CountedFrom,
    pub keep: Period,
    /// The law that demands it.
    pub because: String,
    /// Sources that yield its kinds, retired ones left out.
    pub sources: Vec<SourceIndex>,
    /// As [`Policy::history_rules`].
    pub history_rules: Vec<(SourceIndex, u16)>,
}

/// How many customers a policy may send something in one shard and local day, requests apart, before a
/// person has to look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Brake {
    /// Share of the customers covered there, 0 to 1.
    pub per_day: f64,
    pub at_least: u32,
}

impl Default for Brake {
    fn default() -> Brake {
        Brake { per_day: 0.01, at_least: 10 }
    }
}

/// When our own record of a customer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forget {
    /// After the last command was decided.
    pub after: Period,
    /// For how long a keyed hash is kept, at least, so that late events don't revive a customer.
    pub suppress_for: Period,
}

impl Default for Forget {
    fn default() -> Forget {
        Forget {
            after: Period::Calendar { months: 0, days: 30 },
            suppress_for: Period::Calendar { months: 24, days: 0 },
        }
    }
}

/// Days and hours at which commands leave, in the rulebook's zone. Requests and recalls ignore it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Monday first.
    pub days: [bool; 7],
    /// In from here on …
    pub from: NaiveTime,
    /// … and out from here on; `None`: midnight.
    pub to: Option<NaiveTime>,
}

/// A period and the command that falls due when it has run out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    pub after: Period,
    pub action: Action,
    /// Ordered, each once.
    pub targets: Vec<TargetIndex>,
}

/// A stage's identity across configurations: its action, and which of the policy's stages with that
/// action it is, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId {
    pub action: Action,
    pub nth: u8,
}

/// What a stage tells its targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Tell the customer what is about to happen.
    Warn,
    /// Delete.
    Expire,
    /// Remove what identifies the person.
    Anonymise,
}

impl Action {
    pub fn name(self) -> &'static str {
        match self {
            Action::Warn => "warn",
            Action::Expire => "expire",
            Action::Anonymise => "anonymise",
        }
    }
    pub fn removes(self) -> bool {
        self != Action::Warn
    }
}

/// How much of what a policy decides leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Decides, sends nothing.
    #[default]
    Test,
    /// Sends only `warn`.
    Notify,
    Enforce,
}

impl Mode {
    pub fn allows(self, action: Action) -> bool {
        match self {
            Mode::Test => false,
            Mode::Notify => action == Action::Warn,
            Mode::Enforce => true,
        }
    }
}

impl Policy {
    pub fn stage_id(&self, place: usize) -> StageId {
        let action = self.stages[place].action;
        let nth = self.stages[..place].iter().filter(|stage| stage.action == action).count();
        StageId { action, nth: u8::try_from(nth).unwrap_or(u8::MAX) }
    }

    /// The place of a stage in [`Policy::stages`], if the policy still has it.
    pub fn stage_by_id(&self, id: StageId) -> Option<usize> {
        (0..self.stages.len()).filter(|&place| self.stages[place].action == id.action).nth(usize::from(id.nth))
    }
}

/// Longest time between two reports of an ingest instance to a shard.
const REPORT_EVERY_MAX: Seconds = Seconds(10);
/// Where `max_gate_lag` is short, this part of it lies between two reports.
const REPORTS_PER_LAG: i64 = 10;

impl Rulebook {
    /// Time between two reports of an ingest instance to a shard.
    pub fn report_every(&self) -> Seconds {
        Seconds(self.gate_lag_max.0 / REPORTS_PER_LAG).clamp(Seconds(1), REPORT_EVERY_MAX)
    }

    pub fn kind_by_tag(&self, tag: KindTag) -> Option<KindIndex> {
        let place = self.kinds.iter().position(|kind| kind.tag == tag)?;
        u8::try_from(place).ok().map(KindIndex)
    }
    /// The floor of a category, if it has one.
    pub fn floor_of(&self, category: u8) -> Option<FloorIndex> {
        let place = self.floors.binary_search_by_key(&category, |floor| floor.category).ok()?;
        u16::try_from(place).ok().map(FloorIndex)
    }
    pub fn target(&self, index: TargetIndex) -> &Target {
        &self.targets[usize::from(index.0)]
    }
    pub fn target_by_key(&self, key: &str) -> Option<TargetIndex> {
        let place = self.targets.iter().position(|target| target.key == key)?;
        u16::try_from(place).ok().map(TargetIndex)
    }
    pub fn policy_by_key(&self, key: &str) -> Option<PolicyIndex> {
        let place = self.policies.iter().position(|policy| policy.key == key)?;
        u16::try_from(place).ok().map(PolicyIndex)
    }
}
