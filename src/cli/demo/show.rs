use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tokio::task::JoinSet;

use super::answer::Answer;
use super::sample::Sample;
use super::table;
use super::{CliError, Config, KafkaSink, KafkaSource, print};
use crate::stream::{Record, RecordSource};

/// Longer than the slowest real model takes for the samples on one core.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// Plays both neighbours of the worker: retrieval before it, prompt assembly behind it.
pub(super) struct Show {
    samples: Vec<Sample>,
    producer: Arc<KafkaSink>,
    consumer: KafkaSource,
    input_topic: String,
}

// === impl Show ===

impl Show {
    pub(super) fn start(config: &Config) -> Result<Self, CliError> {
        let reader = crate::kafka::Settings {
            input_topic: config.worker.output_topic.clone(),
            group: "prompt-assembly".to_owned(),
            ..config.kafka.clone()
        };
        Ok(Self {
            samples: Sample::all(&config.reranking.limits)?,
            producer: Arc::new(KafkaSink::start(&config.kafka).map_err(CliError::Kafka)?),
            consumer: KafkaSource::start(&reader).map_err(CliError::Kafka)?,
            input_topic: config.kafka.input_topic.clone(),
        })
    }

    /// Sends each sample once and prints its order before and after.
    pub(super) async fn before_and_after(&mut self) -> Result<(), CliError> {
        let count = self.samples.len();
        print(&format!("\n{count} candidate sets are sent; the group forms in a few seconds.\n"))?;
        self.send(0..count).await?;
        let mut answers = HashMap::new();
        while answers.len() < count {
            let answer = self.receive().await?;
            answers.insert(answer.request_id.clone(), answer);
        }
        if let Some(answer) = answers.values().next() {
            let model = &answer.model;
            let revision = model.revision.as_deref().unwrap_or("?");
            let (id, precision, backend) = (&model.id, &model.precision, &model.backend);
            print(&format!("Scored by {id} ({revision}), {precision} on {backend}.\n"))?;
        }
        let mut first = [0; 2];
        for sample in &self.samples {
            if let Some(answer) = answers.get(&sample.set.request_id) {
                print(&format!("\n{}", table::before_and_after(sample, answer)))?;
                let before = sample.set.candidates.first().map(|candidate| &candidate.id);
                let after = answer.results.first().map(|result| &result.id);
                for (first, id) in first.iter_mut().zip([before, after]) {
                    *first += usize::from(id.is_some_and(|id| sample.answers(id)));
                }
            }
        }
        let [before, after] = first;
        print(&format!(
            "\nA passage that answers (*) came first in {before} of {count} sets, and now does in {after}.\n"
        ))
    }

    /// Sends `sets` sets at once and prints how fast they came back.
    pub(super) async fn throughput(&mut self, sets: usize) -> Result<(), CliError> {
        let started = Instant::now();
        let shown = self.samples.len();
        self.send(shown..shown + sets).await?;
        let (mut pairs, mut tokens) = (0, 0);
        for _ in 0..sets {
            let usage = self.receive().await?.usage;
            pairs += usage.pairs;
            tokens += usage.tokens;
        }
        let seconds = started.elapsed().as_secs_f64();
        let per_second = |n: usize| n as f64 / seconds;
        print(&format!(
            "\nThroughput, from the input topic to the output topic: {sets} sets in {seconds:.2} s,\n\
             {:.0} sets/s, {:.0} pairs/s, {:.0} tokens/s.\n",
            per_second(sets),
            per_second(pairs),
            per_second(tokens)
        ))
    }

    /// Sends the samples round and round, without waiting for one after the other.
    async fn send(&self, numbers: Range<usize>) -> Result<(), CliError> {
        let mut sending = JoinSet::new();
        for number in numbers {
            let sample = &self.samples[number % self.samples.len()];
            let value = in_round(&sample.value, number / self.samples.len());
            let record = Record { value: Some(value), ..Record::default() };
            let (producer, topic) = (Arc::clone(&self.producer), self.input_topic.clone());
            sending.spawn(async move { producer.send(&topic, record).await });
        }
        while let Some(sent) = sending.join_next().await {
            let sent = sent.map_err(|error| CliError::Panicked { reason: error.to_string() })?;
            sent.map_err(|error| CliError::Demo { reason: crate::error_text(&error) })?;
        }
        Ok(())
    }

    async fn receive(&mut self) -> Result<Answer, CliError> {
        let failed = |reason: String| CliError::Demo { reason };
        let claimed = tokio::time::timeout(ANSWER_TIMEOUT, self.consumer.claim()).await;
        let claimed = claimed.map_err(|_| failed("no answer came in time".to_owned()))?;
        let claimed = claimed.map_err(|error| failed(crate::error_text(&error)))?;
        claimed.ack.published();
        let value = claimed.record.value.unwrap_or_default();
        serde_json::from_slice(&value).map_err(|error| failed(error.to_string()))
    }
}

/// The same set with a query of its own in every round: a pair that comes again is not scored again,
/// and what is timed is the scoring.
fn in_round(value: &Bytes, round: usize) -> Bytes {
    match serde_json::from_slice::<Value>(value) {
        Ok(mut set) if round > 0 => {
            let query = set["query"].as_str().unwrap_or_default();
            set["query"] = Value::from(format!("{round} {query}"));
            set.to_string().into()
        }
        Ok(_) | Err(_) => value.clone(),
    }
}
