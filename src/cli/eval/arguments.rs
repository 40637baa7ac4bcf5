use std::path::PathBuf;

use clap::Args;

use super::contender::Contender;
use crate::cli::{ConfigArguments, ScorerArguments};
use crate::evaluation::{Grade, Measure, Rules};

const EXAMPLE: &str = "\
What reranking does for you:
  crossrank eval --sets sets.jsonl.gz --qrels my.qrels --html report.html
Whether int8 costs quality:
  crossrank eval --sets sets.jsonl.gz --qrels my.qrels --compare DIR@f32 DIR@int8
What another tool's ranking is worth, and against a second one:
  crossrank eval --qrels my.qrels --run-in theirs.trec --run-in ours.trec

Judgements are TREC qrels (query id, 0, document id, grade), or a whole number \"relevance\" on each \
judged candidate of the sets. docs/eval.md in the sources says what the measures are, and how to read the verdict.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(in crate::cli) struct Arguments {
    /// Candidate sets, one JSON object a line, also gzipped; `-` is standard input. Their order is the first stage's.
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "run_in")]
    pub(super) sets: Vec<PathBuf>,
    /// Judgements as TREC qrels, also gzipped. The grades on the candidates where left out.
    #[arg(long, value_name = "FILE", required_unless_present = "sets")]
    pub(super) qrels: Option<PathBuf>,
    /// What is measured: ndcg, mrr, recall, map, p, judged, each with how many of the first results count. The verdict
    /// is that of the first one.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "ndcg@10,mrr@10,recall@10,map"
    )]
    metrics: Vec<Measure>,
    /// The least grade of a relevant document, for all measures but ndcg.
    #[arg(long, value_name = "GRADE", default_value_t = 1, allow_negative_numbers = true)]
    relevant: Grade,
    /// Two models over the same sets, the second against the first: a name on the hub or a directory, with @ and a
    /// precision where it is not that of --precision.
    #[arg(long, value_name = "MODEL[@PRECISION]", num_args = 2, requires = "sets", conflicts_with_all = ["model", "revision", "expected", "run_in", "run"])]
    pub(super) compare: Vec<Contender>,
    /// A TREC run file to measure instead of a model, against the first stage of --sets; given twice, the second
    /// against the first.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "run"])]
    pub(super) run_in: Vec<PathBuf>,
    /// Write the reranked order as a TREC run file.
    #[arg(long, value_name = "FILE")]
    pub(super) run: Option<PathBuf>,
    /// Write the first stage's order as a TREC run file.
    #[arg(long, value_name = "FILE", requires = "sets")]
    pub(super) first_stage_run: Option<PathBuf>,
    /// Write a report to look at: one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Write all figures, also those of each query, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    #[command(flatten)]
    pub(super) config: ConfigArguments,
    #[command(flatten)]
    pub(super) model: ScorerArguments,
}

// === impl Arguments ===

impl Arguments {
    /// What is measured, each measure once, and those that have no verdict last.
    pub(super) fn rules(&self) -> Rules {
        let mut measures: Vec<Measure> = Vec::new();
        for measure in &self.metrics {
            if !measures.contains(measure) {
                measures.push(*measure);
            }
        }
        measures.sort_by_key(|measure| !measure.is_quality());
        Rules { measures, relevant: self.relevant }
    }

    /// Whether names must be such that a TREC run file can hold them.
    pub(super) fn writes_runs(&self) -> bool {
        self.run.is_some() || self.first_stage_run.is_some()
    }
}
