//! A producer with a thread of its own that takes in what librdkafka tells of it: reports of records, errors.

use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{BaseProducer, ProducerContext};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// As rdkafka's `ThreadedProducer`, which asks ten times a second and turns in circles for the last millisecond of
/// each time: three of them took a twentieth of a processor while nothing happened.
pub struct PolledProducer<C: ProducerContext + 'static> {
    producer: Arc<BaseProducer<C>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What there is comes at once; this is how seldom it is asked for where there is nothing, and how long giving the
/// producer up may take.
const POLL_TIME: Duration = Duration::from_millis(500);

impl<C: ProducerContext + 'static> PolledProducer<C> {
    /// # Errors
    /// When the properties are refused, or no thread can be had.
    pub fn new(config: &ClientConfig, context: C) -> KafkaResult<PolledProducer<C>> {
        let producer = Arc::new(BaseProducer::from_config_and_context(config, context)?);
        let stop = Arc::new(AtomicBool::new(false));
        let (polled, stopped) = (producer.clone(), stop.clone());
        let poll = move || {
            while !stopped.load(Ordering::Relaxed) {
                polled.poll(POLL_TIME);
            }
        };
        let thread = std::thread::Builder::new().name("producer-poll".to_owned()).spawn(poll);
        let thread = thread.map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(PolledProducer { producer, stop, thread: Some(thread) })
    }
}

impl<C: ProducerContext + 'static> Deref for PolledProducer<C> {
    type Target = BaseProducer<C>;
    fn deref(&self) -> &BaseProducer<C> {
        &self.producer
    }
}

impl<C: ProducerContext + 'static> Drop for PolledProducer<C> {
    /// After this nothing of it is left, and nothing more is sent.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::warn!("a producer's thread has panicked");
        }
    }
}
