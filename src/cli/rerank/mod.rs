//! Candidate sets from files or standard input, answers to standard output.

mod output;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::sync::mpsc;

use self::output::{Answer, Output};
use super::input::{Content, Inputs};
use super::lines::Line;
use super::{CliError, ConfigArguments, ModelArguments, start};
use crate::config;
use crate::context::AssembleError;
use crate::engine::Engine;
use crate::telemetry::{self, Counts};
use crate::wire::{self, DecodeError};
use crate::worker::{AnswerError, Reranker};

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
    let sources = arguments.config.sources_or_bundled(&arguments.model);
    let settings = config::load(sources)?.reranking()?;
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
    let mut output = Output::new(io::stdout(), inputs.bytes(), arguments.strict);
    logs.keep_clear_of(output.bar());
    let (into_lines, mut lines) = mpsc::channel(1);
    let reading = tokio::task::spawn_blocking(move || inputs.read(bytes_max, &into_lines));
    loop {
        tokio::select! {
            written = output.write_oldest(), if !output.is_idle() => written?,
            Some(numbered) = lines.recv(), if !output.is_full() => {
                let reranker = Arc::clone(&reranker);
                let content = numbered.content;
                let answer = tokio::spawn(async move { answer(&reranker, content).await });
                output.expect(numbered.place, numbered.read_to, answer);
            }
            else => break,
        }
    }
    reading.await.map_err(|error| CliError::Panicked { reason: error.to_string() })?;
    output.finish()
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
