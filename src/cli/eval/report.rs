use serde::Serialize;

use crate::evaluation::{Comparison, Evaluation, Interval, Measure, Rules, Run, Verdict};

/// A ranking that is measured, and where it comes from.
#[derive(Debug)]
pub(super) struct System {
    /// What it is called in tables: short.
    pub(super) name: String,
    /// What it is: a file, or a model.
    pub(super) origin: Option<String>,
    /// How it was scored, where it was scored here.
    pub(super) scoring: Option<Scoring>,
    pub(super) run: Run,
}

/// How a model scored the sets.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Scoring {
    pub(super) model: String,
    pub(super) revision: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<String>,
    pub(super) precision: String,
    pub(super) backend: String,
    pub(super) device: String,
    pub(super) threads: usize,
    pub(super) max_length: usize,
    pub(super) pairs: usize,
    /// Passages of which only a part was read.
    pub(super) truncated: usize,
    pub(super) tokens: usize,
    /// From text to scores, without loading the model.
    pub(super) seconds: f64,
}

/// All that was found out.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) rules: Rules,
    /// The first stage first, where there is one.
    pub(super) systems: Vec<System>,
    pub(super) evaluation: Evaluation,
    /// Of each mean, by system, then by measure.
    pub(super) intervals: Vec<Vec<Option<Interval>>>,
    /// The comparison of each measure; `None` where there is one system only.
    pub(super) contrast: Option<Contrast>,
}

/// Two systems, the second against the first.
#[derive(Debug)]
pub(super) struct Contrast {
    pub(super) before: usize,
    pub(super) after: usize,
    /// In the order of the measures.
    pub(super) measures: Vec<Comparison>,
}

// === impl Scoring ===

impl Scoring {
    pub(super) fn pairs_per_s(&self) -> f64 {
        self.pairs as f64 / self.seconds
    }

    /// 0 to 1.
    pub(super) fn truncated_share(&self) -> f64 {
        if self.pairs == 0 { 0.0 } else { self.truncated as f64 / self.pairs as f64 }
    }
}

// === impl Report ===

impl Report {
    /// Compares the last system with the one before it.
    pub(super) fn new(rules: Rules, systems: Vec<System>, evaluation: Evaluation) -> Self {
        let after = systems.len() - 1;
        let contrast = after.checked_sub(1).map(|before| Contrast {
            before,
            after,
            measures: (0..rules.measures.len())
                .map(|measure| evaluation.compare(before, after, measure))
                .collect(),
        });
        let measures = 0..rules.measures.len();
        let of_system =
            |run| measures.clone().map(|measure| evaluation.interval(run, measure)).collect();
        let intervals = (0..systems.len()).map(of_system).collect();
        Self { rules, systems, evaluation, intervals, contrast }
    }

    /// What a measure's comparison comes to; `None` where there is none, or more of it is not better.
    pub(super) fn verdict(&self, measure: usize) -> Option<Verdict> {
        let quality = self.rules.measures[measure].is_quality();
        let contrast = self.contrast.as_ref().filter(|_| quality)?;
        Some(contrast.measures[measure].verdict())
    }

    /// The verdict by the first measure, in two or three words and in a sentence.
    pub(super) fn headline(&self) -> (String, String) {
        let measure = self.rules.measures[0];
        let title = title(measure);
        let queries = counted(self.evaluation.queries.len(), "query", "queries");
        let Some(Contrast { before, after, measures }) = &self.contrast else {
            let (system, mean) = (&self.systems[0], self.evaluation.mean(0, 0));
            let name = &system.name;
            return (format!("{title} {mean:.3}"), format!("{name} over {queries}."));
        };
        let comparison = &measures[0];
        let (from, to) = (self.evaluation.mean(*before, 0), self.evaluation.mean(*after, 0));
        let (first, second) = (&self.systems[*before].name, &self.systems[*after].name);
        let reranks = self.systems[*after].scoring.is_some() && self.systems.len() == 2;
        let words = match (self.verdict(0), reranks) {
            (Some(Verdict::Helps), true) => "Reranking helps".to_owned(),
            (Some(Verdict::Hurts), true) => "Reranking hurts".to_owned(),
            (Some(Verdict::Helps), false) => format!("{second} is better than {first}"),
            (Some(Verdict::Hurts), false) => format!("{second} is worse than {first}"),
            (Some(Verdict::NoDifferenceShown), _) => "No difference shown".to_owned(),
            (Some(Verdict::TooFewQueries), _) => "Too few queries to tell".to_owned(),
            (None, _) => "No verdict".to_owned(),
        };
        let interval = match comparison.interval {
            Some(Interval { low, high }) => {
                format!(" (95 % interval {} to {})", signed(low), signed(high))
            }
            None => String::new(),
        };
        let difference = signed(comparison.difference);
        let sentence = format!(
            "{title} goes from {from:.4} ({first}) to {to:.4} ({second}), by {difference}{interval}, over {queries}."
        );
        (words, sentence)
    }
}

/// A measure as it is written in papers.
pub(super) fn title(measure: Measure) -> String {
    let name = match measure {
        Measure::Ndcg { .. } => "nDCG",
        Measure::Mrr { .. } => "MRR",
        Measure::Recall { .. } => "Recall",
        Measure::Map { .. } => "MAP",
        Measure::Precision { .. } => "P",
        Measure::Judged { .. } => "Judged",
    };
    match measure.to_string().split_once('@') {
        Some((_, k)) => format!("{name}@{k}"),
        None => name.to_owned(),
    }
}

/// A difference to four decimals, with a true minus sign.
pub(super) fn signed(number: f64) -> String {
    let text = format!("{:.4}", number.abs());
    match text.as_str() {
        "0.0000" => text,
        _ if number < 0.0 => format!("−{text}"),
        _ => format!("+{text}"),
    }
}

pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// A number with a narrow space before each three digits: 12 345.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 * 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && digits.len() > 4 {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!((signed(0.08041), signed(-0.12)), ("+0.0804".to_owned(), "−0.1200".to_owned()));
        assert_eq!(signed(-0.00001), "0.0000");
        assert_eq!(
            (grouped(4300), grouped(1_234_567)),
            ("4300".to_owned(), "1\u{202f}234\u{202f}567".to_owned())
        );
        assert_eq!(
            (counted(1, "query", "queries"), counted(0, "query", "queries")),
            ("1 query".to_owned(), "0 queries".to_owned())
        );
        assert_eq!(title(Measure::Recall { k: Some(100) }), "Recall@100");
        assert_eq!(title(Measure::Map { k: None }), "MAP");
    }
}
