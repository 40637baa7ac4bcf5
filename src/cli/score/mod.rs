//! Pairs of a query and a passage from files or standard input, scores to standard output.

mod pair;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::value::RawValue;

pub(super) use self::pair::PairError;
use self::pair::{Form, Pair};
use super::input::{Content, Inputs};
use super::lines::Line;
use super::output::{Answer, Manner, Output};
use super::rerank::BadLine;
use super::{CliError, ConfigArguments, ScorerArguments, start};
use crate::engine::{Engine, PairError as Unscored, ScoreRequest, Scorer};
use crate::rank::Logit;
use crate::telemetry;
use crate::wire::{Limits, Reason};

/// As many pairs as a few dozen sets hold.
const MANNER: Manner = Manner {
    noun: "pairs",
    in_flight_max: 1024,
    empty: "the input is empty: one pair a line is scored, as JSON or with a tab in between\n",
    strict: false,
};

const EXAMPLE: &str = "A pair is one line, a query, a tab and a passage, or JSON:
  {\"query\": \"…\", \"text\": \"…\", \"id\": \"d1\"}
Its scores come in the same form, in the order of the pairs: logit, a tab, score; or
  {\"id\": \"d1\", \"logit\": 8.607138, \"score\": 0.99982}
A pair that cannot be scored, such as one with a blank passage, has nan, or null and a reason. The order \
    of passages is that of their logits; score is the logit's sigmoid.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// Files of pairs, one a line, also gzipped; `-` is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<PathBuf>,
    /// How pairs come in, and scores go out. JSON where the first line begins with {, tabs otherwise.
    #[arg(long, value_name = "FORM")]
    form: Option<FormName>,
    /// Stop at the first line that is no pair, instead of reporting it and going on.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    config: ConfigArguments,
    #[command(flatten)]
    model: ScorerArguments,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormName {
    /// Two columns, with a tab in between.
    Tsv,
    /// An object a line.
    Jsonl,
}

/// The scores of a pair, as JSON.
#[derive(Debug, Serialize)]
struct Scored<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    logit: Option<f32>,
    score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let settings = arguments.config.load_or_bundled(&arguments.model.into())?.reranking()?;
    let logs = telemetry::init(&settings.telemetry).map_err(CliError::Telemetry)?;
    let inputs = Inputs::open(&arguments.files)?;
    let limits = settings.limits;
    let engine = start::engine(&settings, &logs).await?;

    if inputs.waits_for_a_person() && io::stderr().is_terminal() {
        let hint = "reading pairs from the terminal, one a line; Ctrl-D ends\n";
        io::stderr().write_all(hint.as_bytes()).map_err(CliError::Write)?;
    }
    let manner = Manner { strict: arguments.strict, ..MANNER };
    let output = Output::new(io::stdout(), inputs.bytes(), manner);
    logs.keep_clear_of(output.bar());
    let mut form = arguments.form.map(Form::from);
    let answer = |content| {
        if let Content::Line(Line::Whole(line)) = &content {
            form.get_or_insert_with(|| Form::of(line));
        }
        let (engine, form) = (Arc::clone(&engine), form.unwrap_or(Form::Tabs));
        async move { answer(&engine, content, form, &limits).await }
    };
    output.answer_all(inputs, limits.record_bytes_max, answer).await
}

async fn answer(engine: &Engine, content: Content, form: Form, limits: &Limits) -> Answer {
    let pair = match content {
        Content::Line(Line::Whole(line)) => Pair::read(&line, form, limits),
        Content::Line(Line::TooLong { bytes }) => {
            Err(PairError::TooLong { actual: bytes, limit: limits.record_bytes_max })
        }
        Content::Unreadable(error) => return Ok(Err(BadLine::Unreadable(error))),
    };
    let Pair { id, query, passage, cut } = match pair {
        Ok(pair) => pair,
        Err(error) => return Ok(Err(error.into())),
    };
    let (logit, truncated) = if passage.trim().is_empty() {
        (Err(Reason::EmptyText), cut)
    } else {
        let scores = engine.score(ScoreRequest::new(query, vec![passage])).await?;
        match scores.pairs.first() {
            Some(pair) => (logit(pair.logit), cut || pair.truncated),
            None => (Err(Reason::LogitNotFinite), cut),
        }
    };
    let scored = Scored {
        id: id.as_deref(),
        logit: logit.ok().map(Logit::get),
        score: logit.ok().map(Logit::score),
        reason: logit.err(),
        truncated,
    };
    Ok(Ok(scored.write(form)))
}

// === impl FormName ===

impl From<FormName> for Form {
    fn from(name: FormName) -> Self {
        match name {
            FormName::Tsv => Self::Tabs,
            FormName::Jsonl => Self::Json,
        }
    }
}

// === impl Scored ===

impl Scored<'_> {
    /// One line, without its end.
    fn write(&self, form: Form) -> Vec<u8> {
        match (form, self.logit, self.score) {
            // Cannot fail: keys are strings, and the id is JSON.
            (Form::Json, ..) => serde_json::to_vec(self).unwrap_or_default(),
            (Form::Tabs, Some(logit), Some(score)) => format!("{logit}\t{score}").into_bytes(),
            (Form::Tabs, ..) => b"nan\tnan".to_vec(),
        }
    }
}

/// The logit, or the reason that an answer of `rerank` would give.
fn logit(raw: Result<f32, Unscored>) -> Result<Logit, Reason> {
    match raw {
        Ok(raw) => Logit::new(raw).ok_or(Reason::LogitNotFinite),
        Err(Unscored::NotFinite) => Err(Reason::LogitNotFinite),
        Err(Unscored::Tokenization) => Err(Reason::NotTokenised),
        Err(Unscored::Late) => Err(Reason::Deadline),
    }
}
