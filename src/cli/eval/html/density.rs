//! Scores of each grade as smooth curves.

use std::collections::BTreeMap;

use plotters::style::RGBColor;

use super::canvas::{AFTER, BEFORE, OTHER};
use crate::cli::eval::report::grouped;
use crate::evaluation::{Grade, Qrels, Run};

/// Points of a curve.
const POINTS: usize = 96;
/// Scores that a curve is drawn from; of more every so manyth is taken.
const SCORES_MAX: usize = 4_000;
/// Rows of a chart: grades above are rare, and shown together with the highest that has a row.
const GRADES_MAX: usize = 6;

/// The scores of one grade.
#[derive(Debug)]
pub(super) struct Density {
    pub(super) name: String,
    pub(super) count: String,
    pub(super) median: f64,
    pub(super) colour: RGBColor,
    /// From the least to the largest score of all grades; the height is 1 at most.
    pub(super) points: Vec<(f64, f64)>,
}

/// The scores of a run by the grade of their documents, the highest grade first, the unjudged last. Grades below 0
/// count as 0.
pub(super) fn densities(run: &Run, qrels: &Qrels) -> Vec<Density> {
    let mut by_grade: BTreeMap<Option<Grade>, Vec<f64>> = BTreeMap::new();
    for query in run.queries().filter(|query| qrels.has(query)) {
        for ranked in run.ranking(query) {
            let grade = qrels.grade(query, &ranked.document).map(|grade| grade.max(0));
            by_grade.entry(grade).or_default().push(f64::from(ranked.score));
        }
    }
    by_grade.values_mut().for_each(|scores| scores.sort_unstable_by(f64::total_cmp));
    let ends = by_grade.values().filter_map(|scores| Some((*scores.first()?, *scores.last()?)));
    let (least, most) =
        ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), (c, d)| (a.min(c), b.max(d)));
    if most <= least {
        return Vec::new();
    }
    let margin = (most - least) * 0.06;
    let rows = by_grade.iter().rev().take(GRADES_MAX + 1);
    rows.map(|(grade, scores)| Density {
        name: grade.map_or("not judged".to_owned(), |grade| format!("grade {grade}")),
        count: format!("n = {}", grouped(scores.len())),
        median: scores[scores.len() / 2],
        colour: match grade {
            None => OTHER,
            Some(0) => BEFORE,
            Some(_) => AFTER,
        },
        points: curve(scores, least - margin, most + margin),
    })
    .collect()
}

/// A kernel density estimate with Gaussian kernels, as wide as Silverman's rule says (1986, "Density Estimation",
/// 3.4.2). `scores` are sorted.
fn curve(scores: &[f64], from: f64, to: f64) -> Vec<(f64, f64)> {
    let step = scores.len().div_ceil(SCORES_MAX).max(1);
    let taken: Vec<f64> = scores.iter().copied().step_by(step).collect();
    let count = taken.len() as f64;
    let mean = taken.iter().sum::<f64>() / count;
    let deviation = (taken.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / count).sqrt();
    let quarter = |share: usize| taken[(taken.len() - 1) * share / 4];
    let spread = match (quarter(3) - quarter(1)) / 1.34 {
        middle if middle > 0.0 => middle.min(deviation),
        _ => deviation,
    };
    // A few equal scores still are a hill, not a needle.
    let width = (0.9 * spread * count.powf(-0.2)).max((to - from) / 60.0);
    let height = |x: f64| -> f64 {
        taken.iter().map(|score| (-0.5 * ((x - score) / width).powi(2)).exp()).sum()
    };
    let at = |index: usize| from + (to - from) * index as f64 / (POINTS - 1) as f64;
    let heights: Vec<(f64, f64)> =
        (0..POINTS).map(|index| (at(index), height(at(index)))).collect();
    let highest = heights.iter().fold(f64::MIN_POSITIVE, |highest, (_, y)| highest.max(*y));
    heights.into_iter().map(|(x, y)| (x, y / highest)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(judged: &[(&str, Option<Grade>)]) -> Vec<Density> {
        let (mut run, mut qrels) = (Run::default(), Qrels::default());
        for (document, grade) in judged {
            grade.map(|grade| qrels.add("q", document, grade).unwrap());
        }
        run.insert_order("q".to_owned(), judged.iter().map(|(document, _)| (*document).to_owned()));
        run.insert_order("unjudged query".to_owned(), ["z".to_owned()]);
        densities(&run, &qrels)
    }

    #[test]
    fn grades_have_a_row_each_and_the_unjudged_the_last() {
        let found =
            of(&[("a", Some(2)), ("b", None), ("c", Some(-1)), ("d", Some(0)), ("e", Some(2))]);
        let rows: Vec<_> = found.iter().map(|d| (d.name.as_str(), d.count.as_str())).collect();
        assert_eq!(rows, [("grade 2", "n = 2"), ("grade 0", "n = 2"), ("not judged", "n = 1")]);
        for density in &found {
            let highest = density.points.iter().map(|point| point.1).fold(0.0, f64::max);
            assert!((highest - 1.0).abs() < 1e-9 && density.points.len() == POINTS);
        }
    }

    #[test]
    fn one_score_draws_nothing() {
        assert!(of(&[("a", Some(1))]).is_empty());
    }

    #[test]
    fn a_curve_is_highest_where_most_scores_are() {
        let scores = [0.0, 4.9, 5.0, 5.0, 5.1, 9.0];
        let points = curve(&scores, -1.0, 10.0);
        let top = points.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
        assert!((top - 5.0).abs() < 0.2, "{top}");
    }
}
