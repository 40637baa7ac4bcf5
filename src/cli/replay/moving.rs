use std::io::Write;
use std::num::NonZeroU32;

use indicatif::ProgressBar;
use jiff::Timestamp;

use super::ReplayError;
use super::filter::{Choice, Filter};
use super::in_flight::InFlight;
use super::letter::{Letter, Origin};
use super::pace::Pace;
use super::summary::Summary;
use crate::cli::CliError;
use crate::kafka::ReadError;
use crate::stream::{Epoch, Partition, Position, Record, RecordSink, StoredRecord};

/// What is put back, and how.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) filter: Filter,
    pub(super) limit: Option<u64>,
    pub(super) rate: Option<NonZeroU32>,
    pub(super) dry_run: bool,
}

/// A dead letter topic, and the inputs that its letters stand for.
pub(super) trait Letters {
    /// The next record; `None` at the end. Cancel-safe.
    async fn next(&mut self) -> Option<Result<StoredRecord, ReadError>>;
    /// The input, where it is still there.
    async fn original(&mut self, origin: &Origin) -> Result<Option<Record>, ReadError>;
}

/// A letter on its way back.
struct OnItsWay {
    place: String,
    code: String,
    time_ms: i64,
}

/// One run.
pub(super) struct Moving<'a, K, W> {
    plan: &'a Plan,
    sink: &'a K,
    /// Where a dry run says what it would send.
    out: W,
    bar: ProgressBar,
    pace: Pace,
    in_flight: InFlight<'a, OnItsWay>,
    taken: u64,
    /// When the last record that was looked at was set aside.
    reached_ms: Option<i64>,
    summary: Summary,
    failure: Option<ReplayError>,
}

// === impl Moving ===

impl<'a, K: RecordSink, W: Write> Moving<'a, K, W> {
    pub(super) fn new(plan: &'a Plan, sink: &'a K, out: W, bar: ProgressBar) -> Self {
        Self {
            plan,
            sink,
            out,
            bar,
            pace: Pace::new(plan.rate),
            in_flight: InFlight::new(),
            taken: 0,
            reached_ms: plan.filter.since_ms,
            summary: Summary { dry_run: plan.dry_run, ..Summary::default() },
            failure: None,
        }
    }

    /// Moves until the end, the limit, `stop` or a failure, and waits for what is on its way then.
    pub(super) async fn run(
        mut self,
        letters: &mut impl Letters,
        stop: impl Future<Output = ()>,
    ) -> Result<(Summary, Option<ReplayError>), CliError> {
        let mut stop = std::pin::pin!(stop);
        while self.failure.is_none() {
            let has_room = !self.in_flight.is_full();
            tokio::select! {
                biased;
                () = stop.as_mut() => self.failure = Some(ReplayError::Stopped),
                (letter, sent) = self.in_flight.next() => self.ended(letter, sent),
                next = letters.next(), if has_room => match next {
                    None => {
                        self.summary.is_whole = true;
                        break;
                    }
                    Some(Err(error)) => self.failure = Some(ReplayError::Read(error)),
                    Some(Ok(stored)) => {
                        let taking = self.take(letters, stored);
                        let goes_on = tokio::select! {
                            goes_on = taking => goes_on?,
                            () = stop.as_mut() => {
                                self.failure = Some(ReplayError::Stopped);
                                true
                            }
                        };
                        if !goes_on {
                            break;
                        }
                    }
                },
            }
        }
        while !self.in_flight.is_empty() {
            let (letter, sent) = self.in_flight.next().await;
            self.ended(letter, sent);
        }
        self.out.flush().map_err(CliError::Write)?;
        self.bar.finish_and_clear();
        // What failed to be sent was noted already: it comes before whatever was looked at last.
        let whole = self.summary.is_whole && self.failure.is_none();
        self.summary.is_whole = whole;
        self.summary.next_ms = match (self.summary.next_ms, whole) {
            (None, true) => Some(self.plan.filter.until_ms),
            (None, false) => self.reached_ms,
            (failed, _) => failed,
        };
        Ok((self.summary, self.failure))
    }

    /// Looks at one record, and sends it if it is to be sent. Whether there may be more: not where
    /// the limit is reached.
    async fn take(
        &mut self,
        letters: &mut impl Letters,
        stored: StoredRecord,
    ) -> Result<bool, CliError> {
        let (partition, offset) = (stored.partition, stored.offset);
        let place = format!("{partition}/{offset}");
        let time_ms = stored.record.timestamp_ms.unwrap_or(0);
        let letter = Letter::read(stored);
        let choice = letter.as_ref().map(|letter| self.plan.filter.choose(letter));
        if choice == Some(Choice::Taken) && self.plan.limit == Some(self.taken) {
            self.reached_ms = Some(time_ms);
            return Ok(false);
        }
        // Before it counts as looked at: a stop while it waits leaves it for the next time.
        if choice == Some(Choice::Taken) && !self.plan.dry_run {
            self.reached_ms = Some(time_ms);
            self.pace.turn().await;
        }
        self.reached_ms = Some(time_ms);
        self.summary.read += 1;
        self.bar.inc(1);
        match (letter, choice) {
            (Some(letter), Some(Choice::Taken)) => {
                self.send(letters, letter, OnItsWay { place, code: String::new(), time_ms })
                    .await?;
            }
            (_, Some(choice)) => self.summary.left(choice),
            (_, None) => self.summary.foreign += 1,
        }
        Ok(true)
    }

    async fn send(
        &mut self,
        letters: &mut impl Letters,
        mut letter: Letter,
        way: OnItsWay,
    ) -> Result<(), CliError> {
        let Origin { topic, partition, offset } = letter.origin.clone();
        if letter.left_out.is_some() {
            let original = match letters.original(&letter.origin).await {
                Ok(original) => original,
                Err(error) => {
                    self.failure = Some(ReplayError::Read(error));
                    return Ok(());
                }
            };
            if !letter.complete(original) {
                tracing::warn!(
                    dead_letter = way.place,
                    input = format!("{topic}/{partition}/{offset}"),
                    "its value was left out for its size, and the input is gone"
                );
                self.summary.gone += 1;
                return Ok(());
            }
        }
        self.taken += 1;
        let way = OnItsWay { code: letter.code.clone(), ..way };
        if self.plan.dry_run {
            let time = Timestamp::from_millisecond(way.time_ms).unwrap_or_default();
            let line =
                format!("{}\t{time}\t{}\t{topic}/{partition}/{offset}\n", way.place, way.code);
            self.summary.sent(&way.code);
            return self.out.write_all(line.as_bytes()).map_err(CliError::Write);
        }
        let (sink, to) = (self.sink, &self.plan.filter.topic);
        let record = letter.restore();
        let bytes = record.bytes();
        let partition = Partition { topic: topic.into(), index: partition };
        let answers = Position { partition, offset, epoch: Epoch::default() };
        let sending = async move { sink.publish(to, record, &answers).await };
        self.in_flight.push(way, bytes, sending);
        Ok(())
    }

    fn ended(&mut self, letter: OnItsWay, sent: Result<(), crate::stream::PublishError>) {
        match sent {
            Ok(()) => self.summary.sent(&letter.code),
            Err(source) => {
                self.summary.failed += 1;
                self.summary.next_ms.get_or_insert(letter.time_ms);
                // The first tells why; of the others it is counted how many they are.
                let failed = matches!(self.failure, Some(ReplayError::Publish { .. }));
                if !failed {
                    let place = letter.place;
                    self.failure = Some(ReplayError::Publish { place, source });
                }
            }
        }
        let sent = self.summary.sent;
        self.bar.set_message(format!("{sent} put back, {} on their way", self.in_flight.len()));
    }
}

#[cfg(test)]
#[path = "moving_tests.rs"]
mod tests;
