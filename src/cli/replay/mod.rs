//! Dead letters back onto the topic they came from.

mod filter;
mod in_flight;
mod letter;
mod moving;
mod pace;
mod summary;

use std::io::{self, BufWriter, Write};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use self::filter::{Filter, Moment};
use self::letter::{Letter, Origin};
use self::moving::{Letters, Moving, Plan};
use super::signals::Shutdown;
use super::{CliError, ConfigArguments, ModelArguments, progress};
use crate::config::Streaming;
use crate::kafka::{self, KafkaSink, OffsetReader, ReadError, StartError, TopicReader};
use crate::stream::{PublishError, Record, RecordSink, StoredRecord};
use crate::telemetry;

/// How long the end waits for what was sent; everything was acknowledged before.
const FLUSH_MAX: Duration = Duration::from_secs(5);

const EXAMPLE: &str = r#"First look, then put back what a correction has made good:
  crossrank replay --config crossrank.toml --code template_failed --since 2h --dry-run
  crossrank replay --config crossrank.toml --code template_failed --since 2h --rate 50
Dead letters stay where they are, and no group's position changes: what is put back twice is answered
twice. The summary says what to give as --since next time. A dead letter that was on its way while the
command started may carry an earlier time than that; go back a little if brokers were away just then.
A dry run lists partition/offset, time, code and the place of the input, never any text of a record."#;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// Only dead letters with this code (crossrank.dlq.code); can be given several times.
    #[arg(long = "code", value_name = "CODE")]
    codes: Vec<String>,
    /// Only dead letters of this stage; can be given several times.
    #[arg(long = "stage", value_name = "STAGE", value_parser = ["decode", "score", "assemble", "publish"])]
    stages: Vec<String>,
    /// Only dead letters with this record key; can be given several times.
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// Only what was set aside then or later: a time such as 2026-11-25T08:00:00Z, or how long ago
    /// (90m, 2h, 7d).
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    since: Option<Moment>,
    /// Only what was set aside before.
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    until: Option<Moment>,
    /// Put back no more than so many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Records a second; as fast as they are acknowledged where left out.
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<NonZeroU32>,
    /// Leave what was put back so often before.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    max_replays: u32,
    /// Dead letters that came from this topic, and back onto it, instead of kafka.input_topic.
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Send nothing: list what would be sent, and count it by code.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    config: ConfigArguments,
}

/// Why a replay ended before its end. The summary says what was sent.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The dead letters cannot be read any further.
    #[error("cannot read on; what was put back until then is told in the summary")]
    Read(#[source] ReadError),
    /// One was not taken.
    #[error(
        "dead letter {place} could not be put back; the summary says what was, and where to go on"
    )]
    Publish {
        /// `partition/offset` in the dead letter topic.
        place: String,
        /// Why.
        #[source]
        source: PublishError,
    },
    /// A signal came.
    #[error("stopped by a signal; the summary says where to go on")]
    Stopped,
}

/// The topics of a cluster.
struct Topics {
    letters: TopicReader,
    originals: Arc<Mutex<OffsetReader>>,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let Streaming { kafka, worker, telemetry } =
        arguments.config.load(&ModelArguments::default())?.streaming()?;
    let logs = telemetry::init(&telemetry).map_err(CliError::Telemetry)?;
    let mut shutdown = Shutdown::listen().map_err(CliError::Signals)?;
    let plan = arguments.plan(&kafka.input_topic, Timestamp::now());
    let (since_ms, to) = (plan.filter.since_ms, plan.filter.topic.clone());
    // Reaching the cluster blocks until it answers or the time is up.
    let connecting = tokio::task::spawn_blocking(move || {
        kafka::probe(&kafka, &[&worker.dead_letter_topic, &to])?;
        let sink = KafkaSink::start(&kafka)?;
        let originals = Arc::new(Mutex::new(OffsetReader::new(&kafka)?));
        let letters = TopicReader::start(&kafka, &worker.dead_letter_topic, since_ms)?;
        Ok::<_, StartError>((sink, Topics { letters, originals }))
    });
    let connected = tokio::select! {
        connected = connecting => connected,
        () = shutdown.asked() => return Err(ReplayError::Stopped.into()),
    };
    let connected = connected.map_err(|error| CliError::Panicked { reason: error.to_string() })?;
    let (sink, mut topics) = connected.map_err(CliError::Kafka)?;
    let bar = progress::bar(Some(topics.letters.total()));
    logs.keep_clear_of(bar.clone());
    let moving = Moving::new(&plan, &sink, BufWriter::new(io::stdout()), bar);
    let (summary, failure) = moving.run(&mut topics, shutdown.asked()).await?;
    io::stdout().write_all(summary.to_string().as_bytes()).map_err(CliError::Write)?;
    if let Err(error) = sink.flush(FLUSH_MAX).await {
        tracing::warn!(%error, "the producer did not end cleanly");
    }
    failure.map_or(Ok(()), |failure| Err(failure.into()))
}

// === impl Arguments ===

impl Arguments {
    fn plan(self, input_topic: &str, now: Timestamp) -> Plan {
        // What is set aside from now on, also of what is put back now, is for the next time.
        let now_ms = now.as_millisecond();
        let until_ms = self.until.map_or(now_ms, |until| until.millis(now).min(now_ms));
        let filter = Filter {
            topic: self.topic.unwrap_or_else(|| input_topic.to_owned()),
            codes: self.codes,
            stages: self.stages,
            keys: self.keys,
            since_ms: self.since.map(|since| since.millis(now)),
            until_ms,
            replays_max: self.max_replays,
        };
        Plan { filter, limit: self.limit, rate: self.rate, dry_run: self.dry_run }
    }
}

// === impl Topics ===

impl Letters for Topics {
    async fn next(&mut self) -> Option<Result<StoredRecord, ReadError>> {
        self.letters.next().await
    }

    async fn original(&mut self, origin: &Origin) -> Result<Option<Record>, ReadError> {
        let (originals, origin) = (Arc::clone(&self.originals), origin.clone());
        let topic = origin.topic.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let mut originals = originals.lock().unwrap_or_else(PoisonError::into_inner);
            originals.read(&origin.topic, origin.partition, origin.offset)
        });
        reading.await.unwrap_or_else(|error| {
            Err(ReadError::Refused { topic, reason: format!("its reader panicked: {error}") })
        })
    }
}

/// What is put back of a dead letter, where `original` is what stands at the place that it names; `None`
/// where nothing is. Public for the fuzzer's sake: this reads what anybody may have written.
pub fn put_back(stored: StoredRecord, original: Option<Record>) -> Option<Record> {
    let mut letter = Letter::read(stored)?;
    letter.complete(original).then(|| letter.restore())
}

fn rate(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| "write how many records a second, 1 or more".to_owned())
}
