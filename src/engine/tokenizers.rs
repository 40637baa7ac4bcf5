use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crossrank_model::{Pair, PairTokenizer, Query};
use tokio::sync::oneshot;

use super::key::{Keyed, Keyer};
use super::{EngineError, ScoreRequest, SetScores};

/// A set on its way in.
pub(super) struct Incoming {
    pub(super) request: ScoreRequest,
    pub(super) since: Instant,
    pub(super) reply: oneshot::Sender<Result<SetScores, EngineError>>,
}

/// A set whose pairs are ready to be packed.
pub(super) struct Tokenized {
    pub(super) query_truncated: bool,
    /// `None` where the tokenizer refused the passage.
    pub(super) pairs: Vec<Option<Keyed>>,
    pub(super) deadline: Option<Instant>,
    pub(super) wanted: Box<dyn Fn() -> bool + Send + Sync>,
    pub(super) since: Instant,
    pub(super) reply: oneshot::Sender<Result<SetScores, EngineError>>,
}

/// A tokenizer thread, whole: ends when the engine is dropped or the dispatcher is gone.
pub(super) fn run(
    tokenizer: PairTokenizer,
    mut keyer: Keyer,
    sets: async_channel::Receiver<Incoming>,
    tokenized: crossbeam_channel::Sender<Tokenized>,
) {
    while let Ok(incoming) = sets.recv_blocking() {
        if incoming.reply.is_closed() {
            continue;
        }
        if !(incoming.request.wanted)() {
            let _gone = incoming.reply.send(Err(EngineError::Unwanted));
            continue;
        }
        if tokenized.send(tokenize(&tokenizer, &mut keyer, incoming)).is_err() {
            // The dispatcher is gone. Sets that are still in line would keep their callers waiting:
            // a closed channel is not an empty one.
            sets.close();
            while sets.try_recv().is_ok() {}
            return;
        }
    }
}

fn tokenize(tokenizer: &PairTokenizer, keyer: &mut Keyer, incoming: Incoming) -> Tokenized {
    let Incoming { request, since, reply } = incoming;
    let count = request.passages.len();
    let (query_truncated, pairs) = match tokenizer.query(&request.query) {
        Ok(query) => {
            let pairs = request.passages.iter().map(|passage| pair(tokenizer, &query, passage));
            (query.truncated, pairs.map(|pair| Some(keyer.keyed(pair?))).collect())
        }
        Err(error) => {
            tracing::debug!(%error, "could not tokenise a query");
            (false, std::iter::repeat_with(|| None).take(count).collect())
        }
    };
    let ScoreRequest { wanted, deadline, .. } = request;
    Tokenized { query_truncated, pairs, deadline, wanted, since, reply }
}

/// `None` where the tokenizer refuses the passage. A panic of the library on some odd text costs that
/// passage its score, and no more.
fn pair(tokenizer: &PairTokenizer, query: &Query, passage: &str) -> Option<Pair> {
    match catch_unwind(AssertUnwindSafe(|| tokenizer.pair(query, passage))) {
        Ok(Ok(pair)) => Some(pair),
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
    keyer: &Keyer,
    sets: &async_channel::Receiver<Incoming>,
    tokenized: &crossbeam_channel::Sender<Tokenized>,
) -> std::io::Result<Vec<std::thread::JoinHandle<()>>> {
    let start = |index| {
        let (tokenizer, keyer) = (tokenizer.clone(), keyer.clone());
        let (sets, tokenized) = (sets.clone(), tokenized.clone());
        std::thread::Builder::new()
            .name(format!("tokenizer-{index}"))
            .spawn(move || run(tokenizer, keyer, sets, tokenized))
    };
    (0..count).map(start).collect()
}
