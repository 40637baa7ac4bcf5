use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crossrank_model::{PairTokenizer, Query, TokenizerError, Window};
use tokio::sync::oneshot;

use super::key::{Keyed, Keyer};
use super::{Deadline, EngineError, LongPassages, ScoreRequest, SetScores, WindowScore};
use crate::telemetry::{Counts, SetSpan, Stage, names};

/// Passages of a set that are handed on together: some milliseconds of work, so that one large set on
/// an idle engine is being scored while its rest is tokenised.
const PART_PASSAGES: usize = 16;

/// A set on its way in.
pub(super) struct Incoming {
    pub(super) request: ScoreRequest,
    pub(super) since: Instant,
    /// See [`Header::taken`].
    pub(super) taken: Arc<AtomicBool>,
    pub(super) reply: oneshot::Sender<Result<SetScores, EngineError>>,
}

/// Passages of a set that are ready to be packed.
pub(super) struct Part {
    /// No two sets have the same.
    pub(super) set: u64,
    /// With the first part of the set.
    pub(super) header: Option<Header>,
    /// The next passages, in their windows; `None` where the tokenizer refused one.
    pub(super) passages: Vec<Option<Vec<KeyedWindow>>>,
}

/// A pair of a passage, or of a window of it.
pub(super) struct KeyedWindow {
    pub(super) keyed: Keyed,
    /// Where it is in the passage, where that is told.
    pub(super) bytes: Option<Range<usize>>,
}

/// What is known of a set before its pairs are.
pub(super) struct Header {
    pub(super) query_truncated: bool,
    /// How many passages there are in all parts.
    pub(super) passages: usize,
    /// Which logit one in windows gets.
    pub(super) score: WindowScore,
    pub(super) deadline: Option<Deadline>,
    pub(super) wanted: Box<dyn Fn() -> bool + Send + Sync>,
    pub(super) span: SetSpan,
    pub(super) since: Instant,
    /// Set where the dispatcher has the set, which then answers by the deadline, whatever is scored.
    pub(super) taken: Arc<AtomicBool>,
    pub(super) reply: oneshot::Sender<Result<SetScores, EngineError>>,
}

/// The dispatcher has ended, and with it the way on.
struct Gone;

/// What a tokenizer thread works with.
struct Tokenizer {
    tokenizer: PairTokenizer,
    long_passages: LongPassages,
    keyer: Keyer,
    parts: crossbeam_channel::Sender<Part>,
    counts: Arc<Counts>,
}

// === impl Tokenizer ===

impl Tokenizer {
    /// A tokenizer thread, whole: ends when the engine is dropped or the dispatcher is gone. `numbers`
    /// are for its sets.
    fn run(
        mut self,
        sets: async_channel::Receiver<Incoming>,
        mut numbers: impl Iterator<Item = u64>,
    ) {
        while let Ok(incoming) = sets.recv_blocking() {
            if incoming.reply.is_closed() {
                continue;
            }
            if !(incoming.request.wanted)() {
                let _gone = incoming.reply.send(Err(EngineError::Unwanted));
                continue;
            }
            let Some(number) = numbers.next() else { return };
            if let Err(Gone) = self.tokenize(number, incoming) {
                // Sets that are still in line would keep their callers waiting:
                // a closed channel is not an empty one.
                sets.close();
                while sets.try_recv().is_ok() {}
                return;
            }
        }
    }

    /// Hands the set on in parts.
    fn tokenize(&mut self, set: u64, incoming: Incoming) -> Result<(), Gone> {
        let begun = Instant::now();
        let Incoming { request, since, taken, reply } = incoming;
        let ScoreRequest { query, passages, deadline, wanted, span } = request;
        let query = self.tokenizer.query(&query).inspect_err(|error| {
            tracing::debug!(%error, "could not tokenise a query");
        });
        let query = query.ok();
        let query_truncated = query.as_ref().is_some_and(|query| query.truncated);
        let (count, score) = (passages.len(), self.long_passages.score());
        let header = Header {
            query_truncated,
            passages: count,
            score,
            deadline,
            wanted,
            span: span.clone(),
            since,
            taken,
            reply,
        };
        let mut header = Some(header);
        // Without the time that handing on takes, where the dispatcher has enough to do.
        let mut took = begun.elapsed();
        let mut chunks = passages.chunks(PART_PASSAGES).peekable();
        loop {
            let begun = Instant::now();
            let keyed = |passage: &String| self.passage(query.as_ref()?, passage);
            let passages = chunks.next().unwrap_or_default().iter().map(keyed).collect();
            took += begun.elapsed();
            let is_last = chunks.peek().is_none();
            if is_last {
                // Before the set can be answered, which ends its span.
                span.step(names::span::TOKENISE, took, Duration::ZERO);
                self.counts.took(Stage::Tokenise, took);
            }
            self.hand_on(Part { set, header: header.take(), passages })?;
            if is_last {
                return Ok(());
            }
        }
    }

    fn hand_on(&self, part: Part) -> Result<(), Gone> {
        self.parts.send(part).map_err(|_part| Gone)
    }

    /// `None` where the tokenizer refuses the passage.
    fn passage(&mut self, query: &Query, passage: &str) -> Option<Vec<KeyedWindow>> {
        let windows = guarded(passage, || match self.long_passages.windows() {
            Some(limits) => self.tokenizer.windows(query, passage, limits),
            None => {
                let pair = self.tokenizer.pair(query, passage)?;
                Ok(vec![Window { pair, bytes: 0..passage.len() }])
            }
        })?;
        let fits = windows.len() == 1 && !windows.iter().any(|window| window.pair.truncated);
        let is_told = !fits && self.long_passages != LongPassages::Truncate;
        let keyed = windows.into_iter().map(|window| KeyedWindow {
            keyed: self.keyer.keyed(window.pair),
            bytes: is_told.then_some(window.bytes),
        });
        Some(keyed.collect())
    }
}

/// A panic of the library on some odd text costs that passage its score, and no more.
fn guarded(
    passage: &str,
    tokenize: impl FnOnce() -> Result<Vec<Window>, TokenizerError>,
) -> Option<Vec<Window>> {
    match catch_unwind(AssertUnwindSafe(tokenize)) {
        Ok(Ok(windows)) => Some(windows),
        Ok(Err(error)) => {
            tracing::debug!(%error, "could not tokenise a passage");
            None
        }
        Err(_panic) => {
            tracing::warn!(chars = passage.chars().count(), "the tokenizer panicked on a passage");
            None
        }
    }
}

/// Starts `count` tokenizer threads between the two channels.
pub(super) fn start(
    count: usize,
    tokenizer: &PairTokenizer,
    long_passages: LongPassages,
    keyer: &Keyer,
    (sets, parts): (&async_channel::Receiver<Incoming>, &crossbeam_channel::Sender<Part>),
    counts: &Arc<Counts>,
) -> std::io::Result<Vec<std::thread::JoinHandle<()>>> {
    let start = |index: usize| {
        let (tokenizer, keyer, parts) = (tokenizer.clone(), keyer.clone(), parts.clone());
        let (counts, sets) = (Arc::clone(counts), sets.clone());
        let tokenizer = Tokenizer { tokenizer, long_passages, keyer, parts, counts };
        std::thread::Builder::new()
            .name(format!("tokenizer-{index}"))
            .spawn(move || tokenizer.run(sets, (index as u64..).step_by(count)))
    };
    (0..count).map(start).collect()
}
