//! Questions about shards, put by other threads and answered by the one that owns them, between batches:
//! a bounded queue in, bounded work a turn. What takes longer goes on in the next turn.

use super::shard::{Explained, Foretelling, Foretold, Listing, Overview, Reconciled, Shard, Survey};
use crate::config::Config;
use crate::retention::calendar::Timestamp;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// How many questions may wait, and how many may be under way.
const QUESTIONS_MAX: usize = 256;
/// What is done in one turn, in customers of whom nothing but activity is known: about as long as a transaction takes, so
/// that a forecast of ten million costs a busy service a few turns, and half its pace for less than a second.
const STEPS_PER_TURN: usize = 2_000_000;
/// Finding a customer and hashing their id cost about as much as looking at so many.
const LOOK_UP_STEPS: usize = 50;
/// So many ids may be held against ours at once.
pub const RECONCILE_MAX: usize = 10_000;

/// What may be asked of one shard.
#[derive(Debug)]
pub enum Question {
    /// Where a customer stands.
    Explain { customer: String },
    /// Gate, brakes and counts.
    Overview,
    /// Who is due in a policy before an instant; at most so many rows are listed.
    Due { policy: String, before: Timestamp, rows_max: usize },
    /// What falls due per day; also under another configuration.
    Forecast { other: Option<Arc<Config>> },
    /// How each id on a target's list stands; at most [`RECONCILE_MAX`].
    Reconcile { target: String, customers: Vec<String> },
}

#[derive(Debug)]
pub enum Answer {
    Explained(Box<Explained>),
    Overview(Box<Overview>),
    Due(Listing),
    Forecast(Box<Foretold>),
    /// In the order of the question.
    Reconciled(Vec<Reconciled>),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    #[error("the shard is not here, or is being restored")]
    NotHere,
    #[error("the shard moved, or its configuration changed, while it was being looked at")]
    Interrupted,
    #[error("too many questions are waiting")]
    Busy,
    #[error("there is no policy '{0}'")]
    NoPolicy(String),
    #[error("there is no target '{0}'")]
    NoTarget(String),
    #[error("more than {RECONCILE_MAX} ids at once")]
    TooMany,
}

/// An answer, and the configuration it was given under: its indices are of those rules.
pub type Answered = Result<(Answer, Arc<Config>), Unanswered>;

/// Where an answer goes.
pub trait Reply: Send {
    /// Somebody still waits for it.
    fn is_wanted(&self) -> bool;
    fn give(self: Box<Self>, answer: Answered);
}

struct Asked {
    shard: u32,
    wall: Timestamp,
    question: Question,
    reply: Box<dyn Reply>,
}

/// Puts questions.
#[derive(Clone)]
pub struct Asker(SyncSender<Asked>);

impl Asker {
    /// Asks a shard; `wall` is the asker's clock. The reply is always given, be it at once.
    pub fn ask(&self, shard: u32, wall: Timestamp, question: Question, reply: Box<dyn Reply>) {
        match self.0.try_send(Asked { shard, wall, question, reply }) {
            Ok(()) => {}
            Err(TrySendError::Full(asked)) => asked.reply.give(Err(Unanswered::Busy)),
            Err(TrySendError::Disconnected(asked)) => asked.reply.give(Err(Unanswered::NotHere)),
        }
    }
}

/// Belongs to whoever owns the shards.
pub struct Questions {
    asked: Receiver<Asked>,
    under_way: VecDeque<UnderWay>,
}

struct UnderWay {
    shard: u32,
    work: Work,
    reply: Box<dyn Reply>,
}

enum Work {
    Survey(Survey),
    Foretelling(Box<Foretelling>),
}

/// Both ends of a queue.
pub fn queue() -> (Asker, Questions) {
    let (sender, asked) = sync_channel(QUESTIONS_MAX);
    (Asker(sender), Questions { asked, under_way: VecDeque::new() })
}

impl Questions {
    /// Whether an answer is being worked out: come back soon.
    pub fn are_under_way(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Answers for a bounded while. `shard` tells the running shards.
    pub fn turn<'s>(&mut self, shard: impl Fn(u32) -> Option<&'s Shard>) {
        let mut steps = STEPS_PER_TURN;
        // Short answers first: most are given as they are asked for.
        while steps > 0 && self.under_way.len() < QUESTIONS_MAX {
            let Ok(asked) = self.asked.try_recv() else { break };
            if asked.reply.is_wanted() {
                self.begin(asked, &shard, &mut steps);
            }
        }
        self.go_on(&shard, &mut steps);
    }

    /// A shard is no longer what it was: half of an answer is none.
    pub fn interrupt(&mut self, shard: u32) {
        self.interrupt_where(|of| of == shard);
    }

    /// The same, of all shards.
    pub fn interrupt_all(&mut self) {
        self.interrupt_where(|_| true);
    }

    fn interrupt_where(&mut self, is_over: impl Fn(u32) -> bool) {
        for _ in 0..self.under_way.len() {
            let Some(under_way) = self.under_way.pop_front() else { return };
            if is_over(under_way.shard) {
                under_way.reply.give(Err(Unanswered::Interrupted));
            } else {
                self.under_way.push_back(under_way);
            }
        }
    }

    /// In turn, so that a long answer does not keep a short one waiting.
    fn go_on<'s>(&mut self, shard: &impl Fn(u32) -> Option<&'s Shard>, steps: &mut usize) {
        while *steps > 0 {
            let Some(mut under_way) = self.under_way.pop_front() else { return };
            if !under_way.reply.is_wanted() {
                continue;
            }
            match shard(under_way.shard) {
                None => under_way.reply.give(Err(Unanswered::NotHere)),
                Some(shard) => match under_way.work.step(shard, steps) {
                    Some(answer) => under_way.reply.give(Ok((answer, shard.config().clone()))),
                    None => self.under_way.push_back(under_way),
                },
            }
        }
    }

    fn begin<'s>(&mut self, asked: Asked, shard: &impl Fn(u32) -> Option<&'s Shard>, steps: &mut usize) {
        let Asked { shard: partition, wall, question, reply } = asked;
        let Some(shard) = shard(partition) else { return reply.give(Err(Unanswered::NotHere)) };
        let begun = begin(shard, wall, question, steps);
        match begun {
            Err(why) => reply.give(Err(why)),
            Ok(Begun::Answered(answer)) => reply.give(Ok((answer, shard.config().clone()))),
            Ok(Begun::UnderWay(work)) => self.under_way.push_back(UnderWay { shard: partition, work, reply }),
        }
    }
}

enum Begun {
    Answered(Answer),
    UnderWay(Work),
}

fn begin(shard: &Shard, wall: Timestamp, question: Question, steps: &mut usize) -> Result<Begun, Unanswered> {
    let rules = &shard.config().rules;
    *steps = steps.saturating_sub(LOOK_UP_STEPS);
    let answer = match question {
        Question::Explain { customer } => Answer::Explained(Box::new(shard.explain(customer.as_bytes(), wall))),
        Question::Overview => Answer::Overview(Box::new(shard.overview())),
        Question::Due { policy, before, rows_max } => {
            let index = rules.policy_by_key(&policy).ok_or(Unanswered::NoPolicy(policy))?;
            let now = shard.now().unwrap_or(wall);
            return Ok(Begun::UnderWay(Work::Survey(Survey::new(index, before, now, rows_max))));
        }
        Question::Forecast { other } => {
            let foretelling = Foretelling::new(shard, wall, other);
            return Ok(Begun::UnderWay(Work::Foretelling(Box::new(foretelling))));
        }
        Question::Reconcile { target, customers } => {
            let index = rules.target_by_key(&target).ok_or(Unanswered::NoTarget(target))?;
            if customers.len() > RECONCILE_MAX {
                return Err(Unanswered::TooMany);
            }
            *steps = steps.saturating_sub(customers.len() * LOOK_UP_STEPS);
            let reconcile = |customer: &String| shard.reconcile(index, customer.as_bytes(), wall);
            Answer::Reconciled(customers.iter().map(reconcile).collect())
        }
    };
    Ok(Begun::Answered(answer))
}

impl Work {
    fn step(&mut self, shard: &Shard, steps: &mut usize) -> Option<Answer> {
        match self {
            Work::Survey(survey) => survey.step(shard, steps).map(Answer::Due),
            Work::Foretelling(foretelling) => {
                foretelling.step(shard, steps).map(|foretold| Answer::Forecast(Box::new(foretold)))
            }
        }
    }
}
