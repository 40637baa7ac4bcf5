//! The queries that gained and lost the most.

use minijinja::context;
use minijinja::value::Value;

use crate::cli::eval::report::{Contrast, Report, signed};
use crate::cli::eval::sets::Sets;
use crate::evaluation::{Qrels, Run};

/// Queries of each kind.
const QUERIES_MAX: usize = 10;
/// Passages of each side.
const PASSAGES_MAX: usize = 3;
/// Characters of a passage, and of a query.
const TEXT_CHARS: usize = 320;

/// What a report shows of single queries.
pub(super) struct Examples<'a> {
    pub(super) report: &'a Report,
    pub(super) contrast: &'a Contrast,
    pub(super) qrels: &'a Qrels,
    pub(super) sets: Option<&'a Sets>,
}

// === impl Examples ===

impl Examples<'_> {
    /// The biggest wins and the biggest losses by the first measure, for the page.
    pub(super) fn wins_and_losses(&self) -> [Value; 2] {
        let gains = gains(self.report, self.contrast);
        let mut order: Vec<usize> = (0..gains.len()).collect();
        order.sort_by(|&a, &b| gains[b].total_cmp(&gains[a]));
        let wins = order.iter().copied().filter(|&index| gains[index] > 0.0).take(QUERIES_MAX);
        let losses = order.iter().rev().copied().filter(|&i| gains[i] < 0.0).take(QUERIES_MAX);
        let shown = |index: usize| self.query(index, gains[index]);
        [wins.map(shown).collect(), losses.map(shown).collect()]
    }

    fn query(&self, index: usize, gain: f64) -> Value {
        let Self { report, contrast, sets, .. } = self;
        let id = &report.evaluation.queries[index];
        let text = sets.and_then(|sets| sets.sets.get(id)).map_or(id, |set| &set.query);
        let side = |system: usize, other: usize| {
            let value = report.evaluation.values(system, 0)[index];
            let (run, other_run) = (&report.systems[system].run, &report.systems[other].run);
            context! {
                name => &report.systems[system].name,
                other => &report.systems[other].name,
                value => format!("{value:.3}"),
                passages => self.passages(id, run, other_run),
            }
        };
        let (before, after) = (contrast.before, contrast.after);
        context! {
            id => id,
            query => shortened(text),
            gain => signed(gain),
            sides => vec![side(before, after), side(after, before)],
        }
    }

    /// The first passages of a ranking, each with where another has it.
    fn passages(&self, query: &str, run: &Run, other: &Run) -> Value {
        let set = self.sets.and_then(|sets| sets.sets.get(query));
        let passage = |(index, document): (usize, &str)| {
            let candidate =
                set.and_then(|set| set.candidates.iter().find(|known| known.id == document));
            let place = other.ranking(query).iter().position(|known| known.document == document);
            let grade = self.qrels.grade(query, document);
            context! {
                rank => index + 1,
                other => place.map_or("–".to_owned(), |place| (place + 1).to_string()),
                grade => grade.map_or("not judged".to_owned(), |grade| format!("grade {grade}")),
                shade => grade.map_or("none".to_owned(), |grade| grade.clamp(0, 3).to_string()),
                id => document,
                title => candidate.and_then(|known| known.title.as_deref()).map(shortened),
                text => candidate.map(|known| shortened(&known.text)),
            }
        };
        let ranking = run.ranking(query).iter().take(PASSAGES_MAX);
        ranking.map(|ranked| ranked.document.as_str()).enumerate().map(passage).collect()
    }
}

/// What each query gained by the first measure.
pub(super) fn gains(report: &Report, contrast: &Contrast) -> Vec<f64> {
    let values = |system: usize| report.evaluation.values(system, 0).iter();
    values(contrast.before).zip(values(contrast.after)).map(|(b, a)| a - b).collect()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => text.get(..end).unwrap_or_default().trim_end().to_owned() + " …",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_shortened_at_a_character() {
        assert_eq!(shortened("short"), "short");
        let long = shortened(&"ü".repeat(2 * TEXT_CHARS));
        assert_eq!(long.chars().count(), TEXT_CHARS + 2);
    }
}
