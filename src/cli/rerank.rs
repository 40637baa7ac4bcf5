//! Candidate sets from files or standard input, answers to standard output.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::input::{Content, Inputs};
use super::lines::Line;
use super::output::{Answer, Manner, Output};
use super::score::PairError;
use super::{CliError, ConfigArguments, ModelArguments, start};
use crate::context::AssembleError;
use crate::engine::Engine;
use crate::evaluation::LineError;
use crate::telemetry::{self, Counts};
use crate::wire::{self, DecodeError};
use crate::worker::{AnswerError, Reranker};

const MANNER: Manner = Manner {
    noun: "sets",
    in_flight_max: 64,
    empty: "the input is empty: one candidate set a line is answered, as JSON\n",
    strict: false,
};

const EXAMPLE: &str = r#"A candidate set is one line of JSON:
  {"request_id": "r-1", "query": "…", "candidates": [{"id": "d1", "text": "…"}, {"id": "d2", "text": "…"}]}
An answer is one line too: the candidates in their new order with logit and score, and the text for
a prompt. schemas/ in the sources describes both in full."#;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// Files of candidate sets, one JSON object a line, also gzipped; `-` is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<PathBuf>,
    /// Stop at the first line that has no answer, instead of reporting it and going on.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    config: ConfigArguments,
    #[command(flatten)]
    model: ModelArguments,
}

/// Why a line has no answer, though others may have one.
#[derive(Debug, thiserror::Error)]
pub enum BadLine {
    /// It is not a candidate set.
    #[error("{error} [{code}]", code = error.code())]
    Decode {
        /// What is wrong with it.
        error: DecodeError,
    },
    /// It is not a pair of a query and a passage.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// It is not a line of qrels, or of a run.
    #[error(transparent)]
    Trec(#[from] LineError),
    /// A line of qrels or of a run that is far longer than any.
    #[error("the line has {bytes} bytes, at most {limit} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// Measures are told by request id, and this one was there before.
    #[error("the same request_id as {first}; what is evaluated needs one for each query")]
    SameRequest {
        /// `file:line` of the earlier one.
        first: String,
    },
    /// A label that is no grade.
    #[error("candidate {id:?}: relevance must be a whole number, the grade of the candidate")]
    Relevance {
        /// The candidate.
        id: String,
    },
    /// A name that a TREC run file cannot hold.
    #[error(
        "{name:?} has white space, which no TREC run file can hold; leave out --run and --first-stage-run"
    )]
    NoField {
        /// The request's id, or a candidate's.
        name: String,
    },
    /// Its context could not be put together.
    #[error("the context could not be put together; correct context.template")]
    Context(#[source] AssembleError),
    /// It is late, and `worker.late` says that it has no answer then.
    #[error("no answer [deadline_missed]")]
    Late(#[source] AnswerError),
    /// The rest of its file cannot be read.
    #[error("cannot read on; what follows in this file is left out")]
    Unreadable(#[source] io::Error),
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let settings = arguments.config.load_or_bundled(&arguments.model)?.reranking()?;
    let logs = telemetry::init(&settings.telemetry).map_err(CliError::Telemetry)?;
    let bytes_max = settings.limits.record_bytes_max;
    let inputs = Inputs::open(&arguments.files)?;
    let (reranker, _) = start::reranker(settings, Arc::new(Counts::default()), &logs).await?;
    let reranker = Arc::new(reranker);

    if inputs.waits_for_a_person() && io::stderr().is_terminal() {
        let hint =
            "reading candidate sets from the terminal, one JSON object a line; Ctrl-D ends\n";
        io::stderr().write_all(hint.as_bytes()).map_err(CliError::Write)?;
    }
    let manner = Manner { strict: arguments.strict, ..MANNER };
    let output = Output::new(io::stdout(), inputs.bytes(), manner);
    logs.keep_clear_of(output.bar());
    let answer = |content| {
        let reranker = Arc::clone(&reranker);
        async move { answer(&reranker, content).await }
    };
    output.answer_all(inputs, bytes_max, answer).await
}

async fn answer(reranker: &Reranker<Engine>, content: Content) -> Answer {
    let set = match content {
        Content::Line(Line::Whole(line)) => wire::decode(Some(&line), reranker.limits()),
        Content::Line(Line::TooLong { bytes }) => {
            let limit = reranker.limits().record_bytes_max;
            Err(DecodeError::RecordTooLarge { actual: bytes, limit })
        }
        Content::Unreadable(error) => return Ok(Err(BadLine::Unreadable(error))),
    };
    let set = match set {
        Ok(set) => set,
        Err(error) => return Ok(Err(BadLine::Decode { error })),
    };
    match reranker.answer(set, Box::new(|| true), reranker.now()).await {
        Ok(answered) => Ok(Ok(answered.value)),
        Err(AnswerError::Context(error)) => Ok(Err(BadLine::Context(error))),
        Err(late @ (AnswerError::Expired { .. } | AnswerError::DeadlineMissed)) => {
            Ok(Err(BadLine::Late(late)))
        }
        Err(AnswerError::Engine(error)) => Err(error),
    }
}
