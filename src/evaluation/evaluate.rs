use std::collections::BTreeSet;

use super::comparison::mean;
use super::{Comparison, Grade, Interval, Judged, Measure, Qrels, Run, interval};

/// What is measured, and how judgements are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// At least one.
    pub measures: Vec<Measure>,
    /// The least grade of a relevant document; nDCG does not ask.
    pub relevant: Grade,
}

/// Every measure of every query of every run.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The queries that count, in the order of their names: those that are judged and in a run.
    pub queries: Vec<String>,
    /// Queries of the runs that nobody judged. They are left out.
    pub unjudged: usize,
    /// Queries that are judged, and in no run. They are left out, as trec_eval does without `-c`.
    pub absent: usize,
    /// By run, then by measure, then by query.
    values: Vec<Vec<Vec<f64>>>,
}

/// Measures runs over the same queries. A query that one run has and another has not is worth 0 to the other: it
/// found nothing.
pub fn evaluate(qrels: &Qrels, runs: &[&Run], rules: &Rules) -> Evaluation {
    let found: BTreeSet<&str> = runs.iter().flat_map(|run| run.queries()).collect();
    let queries: Vec<&str> = found.iter().copied().filter(|query| qrels.has(query)).collect();
    let judged: Vec<Judged> =
        queries.iter().map(|query| Judged::new(qrels.grades(query), rules.relevant)).collect();
    let values = |run: &Run| {
        let mut values = vec![Vec::with_capacity(queries.len()); rules.measures.len()];
        for (query, judged) in queries.iter().zip(&judged) {
            let ranking = run.ranking(query).iter();
            let grades: Vec<Option<Grade>> =
                ranking.map(|ranked| qrels.grade(query, &ranked.document)).collect();
            for (measure, values) in rules.measures.iter().zip(&mut values) {
                values.push(measure.of(&grades, judged));
            }
        }
        values
    };
    Evaluation {
        unjudged: found.len() - queries.len(),
        absent: qrels.queries().filter(|query| !found.contains(query)).count(),
        values: runs.iter().map(|run| values(run)).collect(),
        queries: queries.into_iter().map(str::to_owned).collect(),
    }
}

// === impl Evaluation ===

impl Evaluation {
    /// A measure's value for each query of a run, in the order of [`queries`](Self::queries). Runs and measures
    /// are counted as they were given.
    ///
    /// # Panics
    /// There is no such run or measure.
    pub fn values(&self, run: usize, measure: usize) -> &[f64] {
        &self.values[run][measure]
    }

    /// Its mean over all queries; 0 where there is none.
    ///
    /// # Panics
    /// There is no such run or measure.
    pub fn mean(&self, run: usize, measure: usize) -> f64 {
        mean(self.values(run, measure))
    }

    /// The 95 % interval of that mean; `None` for fewer than two queries.
    ///
    /// # Panics
    /// There is no such run or measure.
    pub fn interval(&self, run: usize, measure: usize) -> Option<Interval> {
        interval(self.values(run, measure))
    }

    /// Two runs, query by query.
    ///
    /// # Panics
    /// There is no such run or measure.
    pub fn compare(&self, before: usize, after: usize, measure: usize) -> Comparison {
        Comparison::new(self.values(before, measure), self.values(after, measure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rankings: &[(&str, &[&str])]) -> Run {
        let mut run = Run::default();
        for (query, documents) in rankings {
            let documents = documents.iter().map(|document| (*document).to_owned());
            run.insert_order((*query).to_owned(), documents);
        }
        run
    }

    #[test]
    fn only_queries_that_are_judged_and_found_count_and_the_others_are_told() {
        let mut qrels = Qrels::default();
        for (query, document, grade) in [("a", "1", 1), ("b", "1", 1), ("c", "9", 1)] {
            qrels.add(query, document, grade).unwrap();
        }
        let before = run(&[("a", &["2", "1"]), ("b", &["1"]), ("x", &["1"])]);
        let after = run(&[("a", &["1", "2"]), ("x", &["1"]), ("y", &["1"])]);
        let rules = Rules { measures: vec![Measure::Mrr { k: None }], relevant: 1 };
        let evaluation = evaluate(&qrels, &[&before, &after], &rules);
        assert_eq!(evaluation.queries, ["a", "b"]);
        assert_eq!((evaluation.unjudged, evaluation.absent), (2, 1));
        assert_eq!(evaluation.values(0, 0), [0.5, 1.0]);
        assert_eq!(evaluation.values(1, 0), [1.0, 0.0], "nothing found for b");
        assert_eq!((evaluation.mean(0, 0), evaluation.mean(1, 0)), (0.75, 0.5));
        let comparison = evaluation.compare(0, 1, 0);
        assert_eq!((comparison.better, comparison.worse), (1, 1));
    }

    #[test]
    fn without_a_judged_query_there_is_nothing_but_counts() {
        let rules = Rules { measures: vec![Measure::Map { k: None }], relevant: 1 };
        let evaluation = evaluate(&Qrels::default(), &[&run(&[("a", &["1"])])], &rules);
        assert_eq!((evaluation.queries.len(), evaluation.unjudged), (0, 1));
        assert_eq!((evaluation.mean(0, 0), evaluation.interval(0, 0)), (0.0, None));
    }
}
