use std::error::Error;
use std::io;
use std::iter;

use crossrank_model::{QuantizeError, TokenizerError};

use super::replay::ReplayError;
use super::rerank::BadLine;
use crate::{admin, config, context, engine, hub, kafka, telemetry, worker};

/// Why a subcommand ended early. [`CliError::exit_code`] tells usage from failure.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration is not usable; all its problems are in there.
    #[error(transparent)]
    Config(#[from] config::Errors),
    /// Logging could not be set up.
    #[error("cannot set up logging")]
    Telemetry(#[source] telemetry::Error),
    /// The model cannot be had.
    #[error("cannot get the model")]
    Hub(#[source] hub::HubError),
    /// A file of expected scores cannot be used.
    #[error("cannot test the model")]
    Expected(#[source] hub::ExpectedError),
    /// The model does not give the scores that it should.
    #[error("the model is not served")]
    Proof(#[source] hub::ProofError),
    /// The admin port cannot be opened.
    #[error("cannot open the admin port")]
    Admin(#[source] admin::StartError),
    /// The engine did not start.
    #[error("cannot start the engine")]
    Engine(#[source] engine::StartError),
    /// The context's own settings cannot be used.
    #[error("cannot set up the context")]
    Context(#[source] context::TemplateError),
    /// The cluster cannot be used.
    #[error("cannot use the Kafka cluster")]
    Kafka(#[source] kafka::StartError),
    /// Neither the engine nor the cluster can be used.
    #[error("{}\nand {}", chain(engine.as_ref()), chain(cluster.as_ref()))]
    EngineAndCluster {
        /// What is wrong with the engine.
        engine: Box<CliError>,
        /// What is wrong with the cluster.
        cluster: Box<CliError>,
    },
    /// The worker stopped before it was told to.
    #[error("the worker stopped")]
    Worker(#[from] worker::WorkerError),
    /// Dead letters were left where they are.
    #[error("the replay ended early")]
    Replay(#[from] ReplayError),
    /// Scoring stopped.
    #[error("cannot go on scoring")]
    Scoring(#[source] engine::EngineError),
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The results could not be written.
    #[error("cannot write to standard output")]
    Write(#[source] io::Error),
    /// There is nothing to measure with.
    #[error("{path} holds no pair to score; give it candidate sets, one JSON object a line")]
    NoPairs {
        /// The input.
        path: String,
    },
    /// No query of a ranking is judged.
    #[error(
        "nothing is judged: the first query ranked is {query}, the first one judged is {judged}; request ids of \
         the sets and queries of --qrels must be the same names, or candidates have a \"relevance\""
    )]
    NothingJudged {
        /// A query of the ranking, in quotes.
        query: String,
        /// A query of the judgements, in quotes.
        judged: String,
    },
    /// The HTML report could not be drawn: a defect in crossrank.
    #[error("cannot draw the report, which is a defect: {reason}")]
    Report {
        /// What is wrong.
        reason: String,
    },
    /// A file could not be written.
    #[error("cannot write {path}")]
    WriteFile {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A line has no answer, where one such line is the end.
    #[error("{place}")]
    BadLine {
        /// `file:line`.
        place: String,
        /// What is wrong with it.
        #[source]
        source: BadLine,
    },
    /// Some lines have no answer; each was reported, the others are answered.
    #[error("{bad} of {lines} lines have no answer, as told above")]
    BadLines {
        /// Lines without an answer.
        bad: u64,
        /// Lines in all.
        lines: u64,
    },
    /// The context's tokenizer cannot be used.
    #[error("cannot count the context's tokens")]
    ContextTokenizer(#[source] TokenizerError),
    /// The model was not quantised.
    #[error("cannot quantize the model")]
    Quantize(#[source] QuantizeError),
    /// Signals cannot be listened to.
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    /// A part of the program panicked: a defect in crossrank.
    #[error("a part of crossrank panicked, which is a defect: {reason}")]
    Panicked {
        /// What it said.
        reason: String,
    },
    /// Nothing that speaks HTTP answered a probe in time.
    #[error("no answer from {url}; does the worker run, and is admin.address there?")]
    ProbeSilent {
        /// What was asked.
        url: String,
        /// What the connection said.
        #[source]
        source: Box<ureq::Error>,
    },
    /// A probe was answered, and not with 200.
    #[error("{url} answers {status}: {answer}")]
    ProbeRefused {
        /// What was asked.
        url: String,
        /// The status of the answer.
        status: u16,
        /// The answer: a line for each check.
        answer: String,
    },
    /// The demonstration's own broker failed.
    #[error("the demonstration failed: {reason}")]
    Demo {
        /// What went wrong.
        reason: String,
    },
}

// === impl CliError ===

impl CliError {
    /// 2 for bad usage or configuration, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Engine(engine::StartError::TokensMax { .. }) => 2,
            _ => 1,
        }
    }

    /// Whether the reader of standard output went away, which is no failure: `crossrank | head`.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// The error and what caused it, on one line.
fn chain(error: &dyn Error) -> String {
    let causes = iter::successors(Some(error), |error: &&dyn Error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
