use serde::Serialize;

use super::report::{Report, Scoring, System};
use crate::evaluation::{Comparison, Interval, Measure, Verdict};

/// One object: means, intervals and comparisons, how models scored, and the values of each query.
pub(super) fn json(report: &Report) -> String {
    // Names are strings, and a number that is not finite is null.
    serde_json::to_string_pretty(&Json::of(report)).map(|text| text + "\n").unwrap_or_default()
}

#[derive(Serialize)]
struct Json<'a> {
    verdict: Option<String>,
    queries: usize,
    unjudged_queries: usize,
    absent_queries: usize,
    relevant: i32,
    systems: Vec<JsonSystem<'a>>,
    measures: Vec<JsonMeasure>,
    per_query: Vec<JsonQuery<'a>>,
}

#[derive(Serialize)]
struct JsonSystem<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<&'a str>,
    #[serde(flatten)]
    scoring: Option<&'a Scoring>,
}

#[derive(Serialize)]
struct JsonMeasure {
    measure: String,
    /// By system.
    means: Vec<f64>,
    intervals: Vec<Option<[f64; 2]>>,
    #[serde(flatten)]
    comparison: Option<JsonComparison>,
}

#[derive(Serialize)]
struct JsonComparison {
    difference: f64,
    interval: Option<[f64; 2]>,
    better: usize,
    equal: usize,
    worse: usize,
    verdict: Option<String>,
}

#[derive(Serialize)]
struct JsonQuery<'a> {
    query: &'a str,
    /// By measure, then by system.
    values: Vec<Vec<f64>>,
}

// === impl Json ===

impl<'a> Json<'a> {
    fn of(report: &'a Report) -> Self {
        let Report { rules, systems, evaluation, intervals, contrast } = report;
        let runs = 0..systems.len();
        let measure = |(index, measure): (usize, &Measure)| JsonMeasure {
            measure: measure.to_string(),
            means: runs.clone().map(|run| evaluation.mean(run, index)).collect(),
            intervals: runs.clone().map(|run| ends(intervals[run][index])).collect(),
            comparison: contrast
                .as_ref()
                .map(|all| JsonComparison::of(&all.measures[index], report.verdict(index))),
        };
        let query = |(index, query): (usize, &'a String)| JsonQuery {
            query,
            values: (0..rules.measures.len())
                .map(|m| runs.clone().map(|run| evaluation.values(run, m)[index]).collect())
                .collect(),
        };
        let system = |system: &'a System| JsonSystem {
            name: &system.name,
            origin: system.origin.as_deref(),
            scoring: system.scoring.as_ref(),
        };
        Self {
            verdict: report.verdict(0).map(|verdict| verdict.to_string()),
            queries: evaluation.queries.len(),
            unjudged_queries: evaluation.unjudged,
            absent_queries: evaluation.absent,
            relevant: rules.relevant,
            systems: systems.iter().map(system).collect(),
            measures: rules.measures.iter().enumerate().map(measure).collect(),
            per_query: evaluation.queries.iter().enumerate().map(query).collect(),
        }
    }
}

// === impl JsonComparison ===

impl JsonComparison {
    fn of(comparison: &Comparison, verdict: Option<Verdict>) -> Self {
        let Comparison { difference, interval, better, equal, worse } = *comparison;
        let interval = ends(interval);
        let verdict = verdict.map(|verdict| verdict.to_string());
        Self { difference, interval, better, equal, worse, verdict }
    }
}

fn ends(interval: Option<Interval>) -> Option<[f64; 2]> {
    interval.map(|Interval { low, high }| [low, high])
}
