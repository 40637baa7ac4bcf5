use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message, Offset, TopicPartitionList};

use super::context::Context;
use super::error::StartError;
use super::hand_out::to_record;
use super::reader::{ReadError, consumer, failed};
use super::settings::Settings;
use crate::stream::Record;

const LOOK_MAX: Duration = Duration::from_millis(100);

/// Reads single records where they stand, as long as they are there.
pub struct OffsetReader {
    consumer: Arc<BaseConsumer<Context>>,
    silence_max: Duration,
}

// === impl OffsetReader ===

impl OffsetReader {
    /// Reaches for nothing yet.
    pub fn new(settings: &Settings) -> Result<Self, StartError> {
        let (consumer, _) = consumer(settings, 1)?;
        Ok(Self { consumer, silence_max: settings.startup_timeout })
    }

    /// The record at this offset; `None` where it is not there any more. Blocks.
    pub fn read(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<Option<Record>, ReadError> {
        let refused = |error: KafkaError| ReadError::Refused {
            topic: topic.to_owned(),
            reason: error.to_string(),
        };
        let mut assignment = TopicPartitionList::new();
        let place = Offset::Offset(offset);
        assignment.add_partition_offset(topic, partition, place).map_err(refused)?;
        self.consumer.assign(&assignment).map_err(refused)?;
        let started = Instant::now();
        let mut last = String::from("no answer");
        loop {
            match self.consumer.poll(LOOK_MAX) {
                None => {}
                Some(Ok(message)) if message.topic() != topic => {}
                Some(Ok(message)) if message.partition() != partition => {}
                // An offset that is gone is passed over, by the log or by a reset to its beginning.
                Some(Ok(message)) => {
                    return Ok((message.offset() == offset).then(|| to_record(&message)));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
                Some(Err(error)) => {
                    let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                    last = failed(topic, code)?;
                }
            }
            let waited = started.elapsed();
            if waited > self.silence_max {
                let topic = topic.to_owned();
                return Err(ReadError::Stalled { topic, waited, detail: last });
            }
        }
    }
}

impl fmt::Debug for OffsetReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OffsetReader").finish_non_exhaustive()
    }
}
