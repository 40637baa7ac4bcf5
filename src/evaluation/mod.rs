//! Rankings and judgements → measures, and whether a difference between two rankings is one. Pure.
//!
//! | here | what it is |
//! |---|---|
//! | [`Qrels`] | judgements, read from lines of TREC qrels |
//! | [`RunLines`], [`Run`] | rankings, read from and written as TREC run files |
//! | [`Measure`] | nDCG, MRR, recall, MAP, P and the share that is judged, as trec_eval computes them |
//! | [`evaluate`] | every measure of every query of every run |
//! | [`interval`], [`Comparison`] | bootstrap over queries, and a verdict |
//!
//! `docs/eval.md` tells users what the figures mean; the definitions are those of
//! [trec_eval](https://github.com/usnistgov/trec_eval), and a test holds them to it.

mod bootstrap;
mod comparison;
mod evaluate;
mod line;
mod measure;
mod qrels;
mod run;

pub use bootstrap::{Interval, RESAMPLES, interval};
pub use comparison::{Comparison, QUERIES_MIN, Verdict};
pub use evaluate::{Evaluation, Rules, evaluate};
pub use line::LineError;
pub use measure::{Judged, Measure, MeasureError};
pub use qrels::{Grade, Qrels};
pub use run::{Ranked, Run, RunLines, is_field};
