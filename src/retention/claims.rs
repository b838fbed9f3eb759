//! What is told about a customer beyond activity: consents, holds, attributes, an erasure request.
//!
//! Each part merges by a rule that is associative, commutative and idempotent, so that neither order nor
//! repetition matters. Times are true ones, not rounded to days: of two words of one day the later counts.

use super::calendar::Timestamp;
use sha2::{Digest, Sha256};

/// At most so many holds in force, consents and attributes each.
pub const CLAIMS_MAX: usize = 64;

/// Of holds that hold no longer at most so many are remembered. A customer's record must fit into one record of
/// the changelog, however many holds they have had.
pub const PAST_HOLDS_MAX: usize = 256;

/// The id of the hold that stands for those there was no room for; only `unhold` with this id ends it.
pub const OVERFLOW_HOLD: &str = "*";

/// One thing told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    Consent {
        name: String,
        given: bool,
        at: Timestamp,
    },
    Hold {
        id: String,
        at: Timestamp,
        until: Option<Timestamp>,
        reason: String,
        /// `None`: all; ordered, each once.
        policies: Option<Vec<String>>,
    },
    Unhold {
        id: String,
        at: Timestamp,
    },
    Erasure {
        at: Timestamp,
    },
    Attribute {
        name: String,
        /// `None`: no longer set.
        value: Option<String>,
        at: Timestamp,
    },
}

impl Claim {
    /// When it was said.
    pub fn at(&self) -> Timestamp {
        match self {
            Claim::Consent { at, .. }
            | Claim::Hold { at, .. }
            | Claim::Unhold { at, .. }
            | Claim::Erasure { at }
            | Claim::Attribute { at, .. } => *at,
        }
    }
}

/// All that was told of one customer. Default: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Ordered by name.
    pub consents: Vec<Consent>,
    /// Ordered by tag.
    pub holds: Vec<Hold>,
    /// Ordered by name.
    pub attributes: Vec<Attribute>,
    /// When erasure was last asked for.
    pub erasure: Option<Timestamp>,
}

/// When consent of one name was last given and last withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    pub name: String,
    pub given: Option<Timestamp>,
    pub withdrawn: Option<Timestamp>,
}

impl Consent {
    /// When it was withdrawn, if that was the last word; on a tie it was.
    pub fn withdrawn_last(&self) -> Option<Timestamp> {
        self.withdrawn.filter(|withdrawn| self.given.is_none_or(|given| given <= *withdrawn))
    }
}

/// First 8 bytes of the SHA-256 of a hold's id: what is left of a released one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldTag(pub u64);

impl HoldTag {
    pub fn of(id: &str) -> HoldTag {
        let digest = Sha256::digest(id.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        HoldTag(u64::from_be_bytes(first))
    }
}

/// The last word on one hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub tag: HoldTag,
    /// When that was.
    pub at: Timestamp,
    /// `None`: released, or over.
    pub placed: Option<Placed>,
}

/// A hold that was placed and not released. On a tie of event times the greater one counts, so the order
/// of the fields is that of the merge rule: longest until, then greater reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub id: String,
    /// The first instant at which it no longer holds; `None`: it has no end.
    pub until: Option<Timestamp>,
    pub reason: String,
    /// `None`: all policies; ordered, each once.
    pub policies: Option<Vec<String>>,
}

impl Placed {
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    pub fn concerns(&self, policy: &str) -> bool {
        self.policies.as_ref().is_none_or(|policies| policies.iter().any(|limited| limited == policy))
    }

    /// Greater counts; `None` as an end, and as a limit, is the greatest.
    fn rank(&self) -> (Timestamp, &str, bool, Option<&[String]>) {
        let until = self.until.unwrap_or(Timestamp::MAX);
        (until, &self.reason, self.policies.is_none(), self.policies.as_deref())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub name: String,
    pub at: Timestamp,
    pub value: Option<String>,
}

impl Claims {
    /// Nothing was told.
    pub const NONE: Claims = Claims { consents: Vec::new(), holds: Vec::new(), attributes: Vec::new(), erasure: None };

    pub fn is_empty(&self) -> bool {
        self.consents.is_empty() && self.holds.is_empty() && self.attributes.is_empty() && self.erasure.is_none()
    }

    pub fn consent(&self, name: &str) -> Option<&Consent> {
        let place = self.consents.binary_search_by(|consent| consent.name.as_str().cmp(name)).ok()?;
        Some(&self.consents[place])
    }

    /// An attribute's value; `None`: not set.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let place = self.attributes.binary_search_by(|attribute| attribute.name.as_str().cmp(name)).ok()?;
        self.attributes[place].value.as_deref()
    }

    /// Holds in force at an instant.
    pub fn holds_in_force(&self, now: Timestamp) -> impl Iterator<Item = &Placed> {
        self.holds.iter().filter_map(|hold| hold.placed.as_ref()).filter(move |placed| placed.is_in_force(now))
    }

    /// Takes in a claim; whether it changed anything. What there is no room for makes the customer held,
    /// so that it errs late.
    pub fn merge(&mut self, claim: &Claim, now: Timestamp) -> bool {
        let changed = match claim {
            Claim::Consent { name, given, at } => self.merge_consent(name, *given, *at),
            Claim::Hold { id, at, until, reason, policies } => {
                let placed =
                    Placed { id: id.clone(), until: *until, reason: reason.clone(), policies: policies.clone() };
                let is_full = placed.is_in_force(now) && self.holds_in_force(now).count() >= CLAIMS_MAX;
                self.merge_hold(Hold { tag: HoldTag::of(id), at: *at, placed: Some(placed) }, is_full)
            }
            Claim::Unhold { id, at } => self.merge_hold(Hold { tag: HoldTag::of(id), at: *at, placed: None }, false),
            Claim::Erasure { at } => {
                let later = self.erasure.is_none_or(|before| before < *at);
                if later {
                    self.erasure = Some(*at);
                }
                later
            }
            Claim::Attribute { name, value, at } => self.merge_attribute(name, value.as_deref(), *at),
        };
        if changed && matches!(claim, Claim::Hold { .. } | Claim::Unhold { .. }) {
            self.bound_past_holds(now);
        }
        changed
    }

    /// Latest event time; on a tie, false. Both sides are kept as maxima.
    fn merge_consent(&mut self, name: &str, given: bool, at: Timestamp) -> bool {
        let place = match self.consents.binary_search_by(|consent| consent.name.as_str().cmp(name)) {
            Ok(place) => place,
            Err(_) if self.consents.len() >= CLAIMS_MAX => return self.overflow(at),
            Err(place) => {
                self.consents.insert(place, Consent { name: name.to_owned(), given: None, withdrawn: None });
                place
            }
        };
        let consent = &mut self.consents[place];
        let side = if given { &mut consent.given } else { &mut consent.withdrawn };
        let later = side.is_none_or(|before| before < at);
        if later {
            *side = Some(at);
        }
        later
    }

    /// Latest event time; on a tie placed wins, then longest until, then greater reason.
    fn merge_hold(&mut self, hold: Hold, is_full: bool) -> bool {
        match self.holds.binary_search_by_key(&hold.tag, |hold| hold.tag) {
            Ok(place) => {
                let before = &mut self.holds[place];
                let rank = |hold: &Hold| (hold.at, hold.placed.is_some());
                let wins = match (rank(&hold).cmp(&rank(before)), &hold.placed, &before.placed) {
                    (std::cmp::Ordering::Equal, Some(new), Some(old)) => new.rank() > old.rank(),
                    (order, ..) => order.is_gt(),
                };
                let takes_room = is_full && before.placed.is_none();
                if wins && takes_room {
                    return self.overflow(hold.at);
                }
                if wins {
                    *before = hold;
                }
                wins
            }
            Err(_) if is_full => self.overflow(hold.at),
            Err(place) => {
                self.holds.insert(place, hold);
                true
            }
        }
    }

    /// Forgets the oldest of too many that hold no longer. Should one of them be heard of again, by a record
    /// that comes twice or out of order, it holds until it is released: late, and visible.
    fn bound_past_holds(&mut self, now: Timestamp) {
        if self.holds.len() <= PAST_HOLDS_MAX {
            return;
        }
        let holds_no_longer = |hold: &Hold| hold.placed.as_ref().is_none_or(|placed| !placed.is_in_force(now));
        let past = || self.holds.iter().enumerate().filter(|(_, hold)| holds_no_longer(hold));
        if past().count() > PAST_HOLDS_MAX
            && let Some((oldest, _)) = past().min_by_key(|(_, hold)| (hold.at, hold.tag))
        {
            self.holds.remove(oldest);
        }
    }

    /// Latest event time; on a tie, the greater value.
    fn merge_attribute(&mut self, name: &str, value: Option<&str>, at: Timestamp) -> bool {
        match self.attributes.binary_search_by(|attribute| attribute.name.as_str().cmp(name)) {
            Ok(place) => {
                let before = &mut self.attributes[place];
                let wins = (at, value) > (before.at, before.value.as_deref());
                if wins {
                    (before.at, before.value) = (at, value.map(str::to_owned));
                }
                wins
            }
            Err(_) if self.attributes.len() >= CLAIMS_MAX => self.overflow(at),
            Err(place) => {
                let attribute = Attribute { name: name.to_owned(), at, value: value.map(str::to_owned) };
                self.attributes.insert(place, attribute);
                true
            }
        }
    }

    fn overflow(&mut self, at: Timestamp) -> bool {
        let reason = format!("more than {CLAIMS_MAX} holds, consents or attributes");
        let placed = Placed { id: OVERFLOW_HOLD.to_owned(), until: None, reason, policies: None };
        let tag = HoldTag::of(OVERFLOW_HOLD);
        // Older than the last word on it as the claim may be, it is news.
        let before = self.holds.iter().find(|hold| hold.tag == tag);
        let at = before.map_or(at, |before| before.at.max(at));
        self.merge_hold(Hold { tag, at, placed: Some(placed) }, false)
    }

    /// Whether the customer is held because there was no room for something.
    pub fn has_overflowed(&self) -> bool {
        // Hardly anybody has a hold, and a tag costs as much as to take in a signal.
        if self.holds.is_empty() {
            return false;
        }
        let tag = HoldTag::of(OVERFLOW_HOLD);
        self.holds.iter().any(|hold| hold.tag == tag && hold.placed.is_some())
    }
}
