//! Random configurations and logs. Times are chosen so that things meet: few days, few hours of a day,
//! periods about as long as what lies between events.

use crate::core::ZONES;
use crate::days::{Calendar, CountedFrom, Period};
use crate::oracle::GRID;
use crate::told::{
    Action, Answering, Arrived, CATEGORIES, Case, Configuration, Floor, KINDS, PlannedAnswer, PlannedResult, Policy,
    Stage, TARGETS, Told, Window,
};
use chrono::{Days, NaiveDate, NaiveTime, Weekday};
use chrono_tz::Tz;
use proptest::prelude::*;
use proptest::sample::subsequence;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// What of section 6 a run is about.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    pub policies_max: usize,
    pub floors: bool,
    pub holds: bool,
    pub requests: bool,
    pub consent: bool,
    pub attributes: bool,
    /// Targets answer as planned; else everything is done at once.
    pub answers: bool,
    pub window: bool,
    pub forgetting: bool,
    pub known_since: bool,
    pub by_second: bool,
}

pub const PERIODS: Area = Area {
    policies_max: 4,
    floors: false,
    holds: false,
    requests: false,
    consent: false,
    attributes: false,
    answers: false,
    window: false,
    forgetting: false,
    known_since: false,
    by_second: false,
};

pub const EVERYTHING: Area = Area {
    policies_max: 3,
    floors: true,
    holds: true,
    requests: true,
    consent: true,
    attributes: true,
    answers: true,
    window: true,
    forgetting: true,
    known_since: true,
    by_second: false,
};

pub fn case(area: Area) -> BoxedStrategy<Case> {
    let policies = prop::collection::vec(policy(area), 1..=area.policies_max);
    let floors = if area.floors { floors(area).boxed() } else { Just(Vec::new()).boxed() };
    let window = if area.window { prop::option::weighted(0.7, window()).boxed() } else { Just(None).boxed() };
    let zone = prop::sample::select(ZONES.to_vec());
    let configuration = (zone, policies, floors, window, acknowledge_within(area), forget_after(area));
    let configuration =
        configuration.prop_map(move |(zone, policies, floors, window, acknowledge_within, forget_after)| {
            let mut configuration = Configuration {
                zone,
                by_second: area.by_second,
                acknowledge_within,
                policies,
                floors,
                window,
                forget_after,
            };
            for (place, policy) in configuration.policies.iter_mut().enumerate() {
                policy.key = KEYS[place].to_owned();
            }
            configuration
        });
    let log = prop::collection::vec(event(area), 1..12);
    (configuration, log, answering(area))
        .prop_map(move |(configuration, log, answering)| {
            let mut case = Case { log: Vec::new(), answering, until: until(area, configuration.zone), configuration };
            let known_since = make_known_since_local(&mut case.configuration);
            case.log = log.into_iter().map(|event| event.arrived(&case.configuration, known_since)).collect();
            case.log.sort_by_key(|arrived| arrived.arrives);
            case
        })
        .boxed()
}

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// The first day of every log: the turn of the year, a leap day and the clock's change lie ahead.
fn first_day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2023, 11, 25).unwrap()
}

fn until(area: Area, zone: Tz) -> i64 {
    let days = if area.by_second { 9 } else { 250 };
    Calendar::of(zone).begin(first_day() + Days::new(days))
}

/// Days after the first become instants, and nothing arrives before everything's history is known: the
/// service was switched on then.
fn make_known_since_local(configuration: &mut Configuration) -> i64 {
    let calendar = configuration.calendar();
    let begin = calendar.begin(first_day());
    let policies = configuration.policies.iter_mut().map(|policy| &mut policy.known_since);
    let all = policies.chain(configuration.floors.iter_mut().map(|floor| &mut floor.known_since));
    let mut latest = begin;
    for known_since in all.flatten() {
        *known_since += begin;
        latest = latest.max(*known_since);
    }
    latest
}

/// An event before its zone is known.
#[derive(Clone, Debug)]
struct Event {
    what: Told,
    /// Days after the first, and seconds.
    happens: (u64, i64),
    late: i64,
    /// Of a hold: days and seconds after it was placed.
    lasts: Option<(u64, i64)>,
}

impl Event {
    fn arrived(self, configuration: &Configuration, known_since: i64) -> Arrived {
        let calendar = configuration.calendar();
        let happens = calendar.begin(first_day() + Days::new(self.happens.0)) + self.happens.1;
        let mut what = self.what;
        if let Told::Hold { until, .. } = &mut what {
            let end = |(days, seconds): (u64, i64)| match seconds {
                0 => calendar.begin(calendar.date(happens) + Days::new(days + 1)),
                seconds => happens + i64::try_from(days).unwrap() * DAY + seconds,
            };
            *until = self.lasts.map(end);
        }
        match &mut what {
            Told::Activity { at, .. }
            | Told::Consent { at, .. }
            | Told::Hold { at, .. }
            | Told::Unhold { at, .. }
            | Told::Erasure { at }
            | Told::Attribute { at, .. } => *at = happens,
            Told::Answer { .. } => {}
        }
        Arrived { arrives: (happens + self.late).max(known_since), what }
    }
}

fn event(area: Area) -> impl Strategy<Value = Event> {
    let grid = |range: std::ops::Range<i64>| range.prop_map(|steps| steps * GRID);
    let happens = match (area.by_second, area.forgetting) {
        (true, _) => (0..4_u64, grid(0..48)).boxed(),
        (false, true) => (0..130_u64, hour()).boxed(),
        (false, false) => (0..70_u64, hour()).boxed(),
    };
    let late = match area.by_second {
        true => prop_oneof![3 => Just(0), 1 => grid(0..6), 1 => grid(0..60)].boxed(),
        false => {
            prop_oneof![4 => Just(0), 2 => (0..72_i64).prop_map(|h| h * HOUR), 1 => (0..60_i64).prop_map(|d| d * DAY)]
                .boxed()
        }
    };
    let lasts = match area.by_second {
        true => prop::option::weighted(0.7, (Just(0_u64), grid(1..80))).boxed(),
        false => prop::option::weighted(0.7, (0..40_u64, prop_oneof![Just(0), Just(5 * HOUR), Just(DAY)])).boxed(),
    };
    (told(area), happens, late, lasts).prop_map(|(what, happens, late, lasts)| Event { what, happens, late, lasts })
}

/// Among them midnight itself, and its last minutes.
fn hour() -> impl Strategy<Value = i64> {
    prop::sample::select(vec![12 * HOUR, 0, 8 * HOUR + 1800, 20 * HOUR, DAY - 2 * HOUR - 1])
}

fn told(area: Area) -> BoxedStrategy<Told> {
    let activity = (0..KINDS.len()).prop_map(|kind| Told::Activity { kind, at: 0 });
    let mut all = vec![(6, activity.boxed())];
    if area.holds {
        let policies = subsequence(KEYS.map(str::to_owned).to_vec(), 1..=2);
        let policies = prop::option::weighted(0.4, policies);
        let id = prop::sample::select(vec!["h1", "h2"]);
        let reason = prop::sample::select(vec!["dispute", "contract"]);
        let hold = (id.clone(), reason, policies).prop_map(|(id, reason, policies)| Told::Hold {
            id,
            at: 0,
            until: None,
            reason,
            policies,
        });
        all.push((3, hold.boxed()));
        all.push((1, id.prop_map(|id| Told::Unhold { id, at: 0 }).boxed()));
    }
    if area.requests {
        all.push((1, Just(Told::Erasure { at: 0 }).boxed()));
    }
    if area.consent {
        let consent = (prop::sample::select(CONSENTS.to_vec()), any::<bool>());
        all.push((3, consent.prop_map(|(name, given)| Told::Consent { name, given, at: 0 }).boxed()));
    }
    if area.attributes {
        let value = prop::sample::select(vec![Some("consumer"), Some("business"), None]);
        let attribute = (prop::sample::select(ATTRIBUTES.to_vec()), value);
        all.push((2, attribute.prop_map(|(name, value)| Told::Attribute { name, value, at: 0 }).boxed()));
    }
    proptest::strategy::Union::new_weighted(all).boxed()
}

const CONSENTS: [&str; 2] = ["news", "offers"];
const ATTRIBUTES: [&str; 2] = ["segment", "region"];

/// First warnings, then removals, and less usual orders.
const SHAPES: [&[Action]; 6] = [
    &[Action::Expire],
    &[Action::Warn, Action::Expire],
    &[Action::Warn, Action::Anonymise, Action::Expire],
    &[Action::Anonymise, Action::Expire],
    &[Action::Warn, Action::Warn, Action::Expire],
    &[Action::Expire, Action::Warn, Action::Expire],
];

fn policy(area: Area) -> impl Strategy<Value = Policy> {
    let subset = |count: usize| subsequence((0..count).collect::<Vec<_>>(), 1..=count.min(3)).prop_shuffle();
    let shape = prop_oneof![3 => Just(0_usize), 5 => Just(1), 3 => 2..SHAPES.len()];
    let stages = (shape, periods(area), prop::collection::vec(targets(), 3)).prop_map(|(shape, periods, targets)| {
        let stages = SHAPES[shape].iter().zip(periods).zip(targets);
        let stages = stages.map(|((action, after), targets)| Stage { after, action: *action, targets });
        stages.collect::<Vec<Stage>>()
    });
    let counted_from = match area.by_second {
        true => Just(CountedFrom::Event).boxed(),
        false => counted_from().boxed(),
    };
    let consent = prop::sample::select(CONSENTS.to_vec());
    let consent = if area.consent { prop::option::weighted(0.7, consent).boxed() } else { Just(None).boxed() };
    let applies_to = if area.attributes { applies_to().boxed() } else { Just(Vec::new()).boxed() };
    let promise = (subset(KINDS.len()), subset(CATEGORIES.len()), stages, counted_from);
    (promise, lateness(area), consent, applies_to, known_since(area)).prop_map(
        |((kinds, categories, stages, counted_from), lateness, consent, applies_to, known_since)| Policy {
            key: String::new(),
            categories,
            kinds,
            counted_from,
            stages,
            lateness,
            consent,
            applies_to,
            known_since,
        },
    )
}

/// Growing for every starting point.
fn periods(area: Area) -> BoxedStrategy<Vec<Period>> {
    let more = prop::collection::vec(1..12_u32, 2);
    if area.by_second {
        let growing = |first: u32, more: Vec<u32>| [0, more[0], more[0] + more[1]].map(|more| first + more);
        let exact = (1..40_u32, more.clone()).prop_map(move |(first, more)| {
            growing(first, more).map(|steps| Period::Exact { seconds: i64::from(steps) * GRID }).to_vec()
        });
        let calendar = (1..2_u32, prop::collection::vec(1..2_u32, 2)).prop_map(move |(first, more)| {
            growing(first, more).map(|days| Period::Calendar { months: 0, days }).to_vec()
        });
        return prop_oneof![4 => exact, 1 => calendar].boxed();
    }
    let months = prop_oneof![2 => Just(0_u32), 1 => 1..3_u32];
    (months, 1..40_u32, more)
        .prop_map(|(months, first, more)| {
            [0, more[0], more[0] + more[1]].map(|more| Period::Calendar { months, days: first + more }).to_vec()
        })
        .boxed()
}

fn targets() -> impl Strategy<Value = Vec<usize>> {
    let all: Vec<usize> = (0..TARGETS.len()).collect();
    prop_oneof![4 => subsequence(vec![0, 1], 1..=2), 1 => subsequence(all, 1..=3)]
}

fn counted_from() -> impl Strategy<Value = CountedFrom> {
    prop_oneof![8 => Just(CountedFrom::Event), 1 => Just(CountedFrom::EndOfMonth), 1 => Just(CountedFrom::EndOfYear)]
}

fn applies_to() -> impl Strategy<Value = Vec<(&'static str, Vec<Option<&'static str>>)>> {
    let values = subsequence(vec![None, Some("consumer"), Some("business")], 1..=2);
    let one = (prop::sample::select(ATTRIBUTES.to_vec()), values);
    prop_oneof![1 => Just(Vec::new()), 3 => prop::collection::vec(one, 1..=2)].prop_map(|mut all| {
        all.sort_by_key(|(name, _)| *name);
        all.dedup_by_key(|(name, _)| *name);
        all
    })
}

fn lateness(area: Area) -> impl Strategy<Value = i64> {
    prop::sample::select(if area.by_second { vec![GRID, 3 * GRID] } else { vec![2 * DAY, 12 * HOUR, 600] })
}

/// After the first day.
fn known_since(area: Area) -> BoxedStrategy<Option<i64>> {
    if !area.known_since {
        return Just(None).boxed();
    }
    let steps = if area.by_second {
        (0..80_i64).prop_map(|n| n * GRID).boxed()
    } else {
        (0..700_i64).prop_map(|n| n * HOUR).boxed()
    };
    prop::option::weighted(0.2, steps).boxed()
}

fn floors(area: Area) -> impl Strategy<Value = Vec<Floor>> {
    let kinds = subsequence((0..KINDS.len()).collect::<Vec<_>>(), 1..=2);
    let keep = periods(area).prop_map(|periods| periods[2]);
    let counted_from = if area.by_second { Just(CountedFrom::Event).boxed() } else { counted_from().boxed() };
    let floor = (0..CATEGORIES.len(), kinds, counted_from, keep, known_since(area)).prop_map(
        |(category, kinds, counted_from, keep, known_since)| Floor { category, kinds, counted_from, keep, known_since },
    );
    prop::collection::vec(floor, 0..3).prop_map(|mut floors| {
        floors.sort_by_key(|floor| floor.category);
        floors.dedup_by_key(|floor| floor.category);
        floors
    })
}

fn window() -> impl Strategy<Value = Window> {
    use Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
    let days = subsequence(vec![Mon, Tue, Wed, Thu, Fri, Sat, Sun], 1..=7);
    let time = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
    let from = prop::sample::select(vec![time(9, 0), time(0, 0), time(2, 30)]);
    let to = prop::sample::select(vec![Some(time(17, 0)), None, Some(time(12, 30))]);
    (days, from, to).prop_map(|(days, from, to)| Window { days, from, to })
}

fn acknowledge_within(area: Area) -> impl Strategy<Value = [Option<i64>; TARGETS.len()]> {
    let within = if area.by_second { vec![2 * GRID, 9 * GRID] } else { vec![3 * DAY, DAY, 36 * HOUR] };
    let within = prop::sample::select(within);
    (within.clone(), within).prop_map(|(crm, mailing)| [Some(crm), Some(mailing), None])
}

fn forget_after(area: Area) -> BoxedStrategy<Period> {
    match (area.forgetting, area.by_second) {
        (false, _) => Just(Period::Calendar { months: 60, days: 0 }).boxed(),
        (true, false) => (1..25_u32).prop_map(|days| Period::Calendar { months: 0, days }).boxed(),
        (true, true) => (4..40_i64).prop_map(|steps| Period::Exact { seconds: steps * GRID }).boxed(),
    }
}

fn answering(area: Area) -> BoxedStrategy<Answering> {
    if !area.answers {
        return Just(Answering::AtOnce).boxed();
    }
    let lengths = if area.by_second { vec![GRID, 5 * GRID, 20 * GRID] } else { vec![HOUR, DAY, 2 * DAY, 5 * DAY] };
    let length = prop::sample::select(lengths);
    let result = (length.clone(), 1..4_i64).prop_map(|(length, times)| PlannedResult::Retained(length * times));
    let result = prop_oneof![6 => Just(PlannedResult::Done), 1 => Just(PlannedResult::Failed), 1 => result];
    let claimed = prop_oneof![4 => Just(0), 1 => length.clone(), 1 => Just(-DAY)];
    let answer =
        (length, result, claimed).prop_map(|(after, result, claimed)| PlannedAnswer { after, result, claimed });
    let answers = prop_oneof![5 => prop::collection::vec(answer.clone(), 1), 2 => prop::collection::vec(answer, 0..=2)];
    let later = if area.by_second { GRID } else { HOUR };
    let later = PlannedAnswer { after: later, result: PlannedResult::Done, claimed: 0 };
    let plan = prop::collection::vec(answers, 1..12);
    let plan = plan.prop_map(move |plan| Answering::Planned { plan, later: later.clone() });
    prop_oneof![1 => Just(Answering::AtOnce), 5 => plan].boxed()
}
