//! Questions to shards, wherever they are: this instance's own are asked directly, others through the
//! instance that owns them, which never asks on.

use super::answers;
use super::outside::{Outside, OutsideError};
use super::problem::Problem;
use super::tokens::Tokens;
use crate::config::load::{self, Environment};
use crate::config::{Config, Http};
use crate::retention::calendar::Timestamp;
use crate::track::questions::{Answer, Answered, Asker, Question, Reply, Unanswered};
use crate::track::status::{ShardState, TrackStatus};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Semaphore, oneshot};

/// Where instances ask each other.
pub const PEER_PATH: &str = "/api/v1/shards";
/// How often a question is put again that met a shard on its way from one instance to another.
const ATTEMPTS: u32 = 4;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(500);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many calls that block may be under way.
const CALLS_MAX: usize = 16;
/// For so long a forecast is shown again.
const FORECAST_KEPT: Duration = Duration::from_secs(60);

/// A question to one shard, as instances put it to each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum ShardQuestion {
    Explain {
        customer: String,
    },
    Overview,
    Due {
        policy: String,
        /// Unix seconds.
        before: i64,
        rows_max: usize,
    },
    Forecast {
        /// Names and texts of another configuration's files.
        configuration: Option<Vec<(String, String)>>,
    },
    Reconcile {
        target: String,
        customers: Vec<String>,
    },
}

impl ShardQuestion {
    /// It names no customer, and is answered with none.
    pub fn is_open(&self) -> bool {
        matches!(self, ShardQuestion::Overview | ShardQuestion::Forecast { configuration: None })
    }
}

/// A question, and the shard it is for.
#[derive(Clone, Debug, PartialEq)]
pub struct ForPeer {
    pub shard: u32,
    pub question: ShardQuestion,
}

/// The same question for several shards, as it is sent: another configuration is long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForPeers {
    pub shards: Vec<u32>,
    pub question: ShardQuestion,
}

impl ForPeers {
    fn of(asked: &[ForPeer]) -> Vec<ForPeers> {
        let mut grouped: Vec<ForPeers> = Vec::new();
        for asked in asked {
            match grouped.last_mut().filter(|last| last.question == asked.question) {
                Some(last) => last.shards.push(asked.shard),
                None => grouped.push(ForPeers { shards: vec![asked.shard], question: asked.question.clone() }),
            }
        }
        grouped
    }

    fn each(self) -> impl Iterator<Item = ForPeer> {
        let question = self.question;
        self.shards.into_iter().map(move |shard| ForPeer { shard, question: question.clone() })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FromPeer {
    pub shard: u32,
    pub answer: Value,
}

/// What the API works with.
pub struct Desk {
    config: RwLock<Arc<Config>>,
    asker: Asker,
    track: Arc<TrackStatus>,
    pub outside: Arc<dyn Outside>,
    pub tokens: Tokens,
    calls: Semaphore,
    /// One at a time: it reads a topic from its beginning.
    pub evidence: Semaphore,
    forecast: Mutex<Option<(Instant, answers::Forecast)>>,
}

impl Desk {
    pub fn new(config: Arc<Config>, asker: Asker, track: Arc<TrackStatus>, outside: Arc<dyn Outside>) -> Desk {
        let tokens = Tokens::new(&config.http.tokens);
        Desk {
            config: RwLock::new(config),
            asker,
            track,
            outside,
            tokens,
            calls: Semaphore::new(CALLS_MAX),
            evidence: Semaphore::new(1),
            forecast: Mutex::new(None),
        }
    }

    pub fn config(&self) -> Arc<Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Another configuration is in force.
    pub fn reconfigure(&self, config: Arc<Config>) {
        self.tokens.replace(&config.http.tokens);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Secrets were read anew.
    pub fn take_tokens(&self, http: &Http) {
        self.tokens.replace(&http.tokens);
    }

    /// Makes a call that blocks, on a thread that may.
    pub async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn Outside) -> Result<T, OutsideError> + Send + 'static,
    ) -> Result<T, Problem> {
        let _permit = self.calls.acquire().await.map_err(|_| Problem::unavailable("stopping"))?;
        let outside = self.outside.clone();
        let called = tokio::task::spawn_blocking(move || call(&*outside)).await;
        called.map_err(|_| Problem::unavailable("stopping"))?.map_err(|error| Problem::unavailable(error.0))
    }

    /// Asks each shard its question; the answers in no particular order.
    pub async fn ask(&self, questions: Vec<ForPeer>, authorization: Option<&str>) -> Result<Vec<FromPeer>, Problem> {
        let (mut answers, mut left) = (Vec::new(), questions);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (answered, failed, why) = self.ask_once(left, authorization, attempt > 1).await?;
            answers.extend(answered);
            let Some(why) = why else { return Ok(answers) };
            if attempt == ATTEMPTS {
                return Err(why);
            }
            left = failed;
            tokio::time::sleep(BETWEEN_ATTEMPTS).await;
        }
    }

    /// Answers, the questions that may be put again, and why.
    async fn ask_once(
        &self,
        questions: Vec<ForPeer>,
        authorization: Option<&str>,
        fresh: bool,
    ) -> Result<(Vec<FromPeer>, Vec<ForPeer>, Option<Problem>), Problem> {
        let own = self.track.shards();
        let is_own = |asked: &ForPeer| own.get(&asked.shard) == Some(&ShardState::Running);
        let (here, elsewhere): (Vec<ForPeer>, Vec<ForPeer>) = questions.into_iter().partition(is_own);
        let (mut answers, mut failed, mut why) = (Vec::new(), Vec::new(), None);
        let asked = here.iter().map(|asked| self.begin_here(asked)).collect::<Result<Vec<_>, Problem>>()?;
        let peers = self.ask_peers(elsewhere, authorization, fresh).await?;
        for (asked, waiting) in here.into_iter().zip(asked) {
            match self.finish_here(&asked, waiting).await {
                Ok(answer) => answers.push(FromPeer { shard: asked.shard, answer }),
                Err(problem) if problem.is_passing() => {
                    failed.push(asked);
                    why = Some(problem);
                }
                Err(problem) => return Err(problem),
            }
        }
        answers.extend(peers.0);
        failed.extend(peers.1);
        Ok((answers, failed, why.or(peers.2)))
    }

    /// Answers for shards of this instance, for another one.
    pub async fn answer_peer(&self, questions: Vec<ForPeers>) -> Result<Vec<FromPeer>, Problem> {
        let questions: Vec<ForPeer> = questions.into_iter().flat_map(ForPeers::each).collect();
        let asked = questions.iter().map(|asked| self.begin_here(asked)).collect::<Result<Vec<_>, Problem>>()?;
        let mut answers = Vec::new();
        for (question, waiting) in questions.into_iter().zip(asked) {
            let answer = self.finish_here(&question, waiting).await?;
            answers.push(FromPeer { shard: question.shard, answer });
        }
        Ok(answers)
    }

    fn begin_here(&self, asked: &ForPeer) -> Result<oneshot::Receiver<Answered>, Problem> {
        let question = question(&asked.question)?;
        let (sender, receiver) = oneshot::channel();
        self.asker.ask(asked.shard, self.outside.now(), question, Box::new(Waiting(sender)));
        Ok(receiver)
    }

    async fn finish_here(&self, asked: &ForPeer, waiting: oneshot::Receiver<Answered>) -> Result<Value, Problem> {
        let answered = tokio::time::timeout(PATIENCE, waiting).await;
        let late = || Problem::unavailable("the shard did not answer in time");
        let (answer, config) = answered.map_err(|_| late())?.map_err(|_| late())?.map_err(unanswered)?;
        let told = match answer {
            Answer::Explained(explained) => Ok(answers::explained(&explained, asked.shard, &config)),
            Answer::Overview(overview) => {
                let closed_since = self.track.closed_since(asked.shard);
                serde_json::to_value(answers::Status::of(&overview, &config, &closed_since))
            }
            Answer::Due(listing) => {
                let ShardQuestion::Due { policy, .. } = &asked.question else { return Err(late()) };
                serde_json::to_value(answers::Due::of(listing, policy, &config))
            }
            Answer::Forecast(foretold) => serde_json::to_value(answers::Forecast::of(*foretold)),
            Answer::Reconciled(stands) => Ok(stands.into_iter().map(answers::reconciled).collect()),
        };
        told.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
    }

    async fn ask_peers(
        &self,
        questions: Vec<ForPeer>,
        authorization: Option<&str>,
        fresh: bool,
    ) -> Result<(Vec<FromPeer>, Vec<ForPeer>, Option<Problem>), Problem> {
        let (mut answers, mut failed, mut why) = (Vec::new(), Vec::new(), None);
        if questions.is_empty() {
            return Ok((answers, failed, why));
        }
        let owners = self.call(move |outside| outside.owners(fresh)).await?;
        let mut by_owner: BTreeMap<String, Vec<ForPeer>> = BTreeMap::new();
        for asked in questions {
            match owners.get(&asked.shard) {
                Some(owner) => by_owner.entry(owner.clone()).or_default().push(asked),
                None => {
                    why = Some(Problem::unavailable(format!("no instance owns shard {} now", asked.shard)));
                    failed.push(asked);
                }
            }
        }
        let calls = by_owner.into_iter().map(|(owner, asked)| async {
            let outcome = self.ask_peer(owner, &asked, authorization).await;
            (asked, outcome)
        });
        for (asked, outcome) in join_all(calls).await {
            match outcome {
                Ok(told) => answers.extend(told),
                Err(problem) if problem.is_passing() => {
                    failed.extend(asked);
                    why = Some(problem);
                }
                Err(problem) => return Err(problem),
            }
        }
        Ok((answers, failed, why))
    }

    async fn ask_peer(
        &self,
        owner: String,
        asked: &[ForPeer],
        authorization: Option<&str>,
    ) -> Result<Vec<FromPeer>, Problem> {
        let body = serde_json::to_vec(&ForPeers::of(asked)).map_err(|error| Problem::bad(error.to_string()))?;
        let authorization = authorization.map(str::to_owned);
        let answered =
            self.call(move |outside| outside.ask_peer(&owner, PEER_PATH, authorization.as_deref(), &body)).await?;
        let unreadable = || Problem::unavailable("another instance has answered something that can't be read");
        match answered {
            (200, body) => serde_json::from_slice(&body).map_err(|_| unreadable()),
            (status, body) => {
                let told: Value = serde_json::from_slice(&body).unwrap_or_default();
                let detail = told["detail"].as_str().unwrap_or("another instance could not answer").to_owned();
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
                // An instance that has not read a new token yet will have in a moment.
                let passes = status.is_server_error() || status == StatusCode::UNAUTHORIZED;
                Err(if passes { Problem::unavailable(detail) } else { Problem::new(status, detail) })
            }
        }
    }

    /// Asks all shards the same.
    pub async fn ask_all<T: for<'de> Deserialize<'de>>(
        &self,
        question: &ShardQuestion,
        authorization: Option<&str>,
    ) -> Result<BTreeMap<u32, T>, Problem> {
        let shards = 0..self.config().topics.partitions;
        let questions = shards.map(|shard| ForPeer { shard, question: question.clone() }).collect();
        read(self.ask(questions, authorization).await?)
    }

    /// The state of things, of as many shards as can be asked now.
    pub async fn status(&self, authorization: Option<&str>) -> answers::Status {
        let shards = 0..self.config().topics.partitions;
        let questions = shards.map(|shard| ForPeer { shard, question: ShardQuestion::Overview }).collect();
        let told = self.ask_once(questions, authorization, false).await.map(|(told, ..)| told).unwrap_or_default();
        let mut told: Vec<(u32, answers::Status)> =
            read(told).map_or_else(|_| Vec::new(), |by_shard: BTreeMap<_, _>| by_shard.into_iter().collect());
        let mut sum = told.pop().map_or_else(answers::Status::default, |(_, status)| status);
        told.into_iter().for_each(|(_, status)| sum.add(status));
        sum
    }

    /// A year ahead under the configuration in force; not older than a minute.
    pub async fn forecast(&self, authorization: Option<&str>) -> Result<answers::Forecast, Problem> {
        let mut kept = self.forecast.lock().await;
        if let Some((at, forecast)) = &*kept
            && at.elapsed() < FORECAST_KEPT
        {
            return Ok(forecast.clone());
        }
        let forecast = self.forecast_of(None, authorization).await?;
        *kept = Some((Instant::now(), forecast.clone()));
        Ok(forecast)
    }

    /// The same, and what another configuration would change about it.
    pub async fn forecast_of(
        &self,
        configuration: Option<Vec<(String, String)>>,
        authorization: Option<&str>,
    ) -> Result<answers::Forecast, Problem> {
        let question = ShardQuestion::Forecast { configuration };
        let told: BTreeMap<u32, answers::Forecast> = self.ask_all(&question, authorization).await?;
        let mut sum = answers::Forecast::default();
        told.into_values().for_each(|forecast| sum.add(forecast));
        Ok(sum)
    }
}

fn read<T: for<'de> Deserialize<'de>>(told: Vec<FromPeer>) -> Result<BTreeMap<u32, T>, Problem> {
    let read = |told: FromPeer| Ok((told.shard, serde_json::from_value(told.answer)?));
    let told: Result<BTreeMap<u32, T>, serde_json::Error> = told.into_iter().map(read).collect();
    told.map_err(|_| Problem::unavailable("another instance has answered something that can't be read"))
}

/// All at once.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(move |context| {
        let mut is_done = true;
        for (future, output) in &mut futures {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(found) => *output = Some(found),
                    std::task::Poll::Pending => is_done = false,
                }
            }
        }
        if is_done {
            std::task::Poll::Ready(futures.iter_mut().filter_map(|(_, output)| output.take()).collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

struct Waiting(oneshot::Sender<Answered>);

impl Reply for Waiting {
    fn is_wanted(&self) -> bool {
        !self.0.is_closed()
    }

    fn give(self: Box<Self>, answer: Answered) {
        // Whoever asked may have gone.
        let _ = self.0.send(answer);
    }
}

fn question(asked: &ShardQuestion) -> Result<Question, Problem> {
    Ok(match asked.clone() {
        ShardQuestion::Explain { customer } => Question::Explain { customer },
        ShardQuestion::Overview => Question::Overview,
        ShardQuestion::Due { policy, before, rows_max } => {
            Question::Due { policy, before: Timestamp(before), rows_max }
        }
        ShardQuestion::Forecast { configuration } => {
            let other = configuration.map(|texts| another(&texts).map(Arc::new)).transpose()?;
            Question::Forecast { other }
        }
        ShardQuestion::Reconcile { target, customers } => Question::Reconcile { target, customers },
    })
}

/// Another configuration, of which nothing is taken from this process's environment or files.
pub fn another(texts: &[(String, String)]) -> Result<Config, Problem> {
    let today = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()).date_naive();
    let wrong = |error: load::LoadErrors| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("the configuration is wrong\n{error}"))
    };
    Ok(load::from_texts(texts, Environment::Refuse, today).map_err(wrong)?.config)
}

fn unanswered(why: Unanswered) -> Problem {
    let told = why.to_string();
    match why {
        Unanswered::NotHere | Unanswered::Interrupted | Unanswered::Busy => Problem::unavailable(told),
        Unanswered::NoPolicy(_) | Unanswered::NoTarget(_) => Problem::not_found(told),
        Unanswered::TooMany => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, told),
    }
}
