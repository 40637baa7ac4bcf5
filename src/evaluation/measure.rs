use std::fmt;
use std::str::FromStr;

use super::Grade;

/// What is asked of a ranking. `k` is how many of the first documents count.
///
/// Relevant is what has at least the grade that [`Judged`] asks for; nDCG knows grades only. A document that
/// nobody judged counts as not relevant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Normalised discounted cumulative gain (Järvelin and Kekäläinen 2002): the gain is the grade, the
    /// discount `log2(rank + 1)`, the ideal is over everything that is judged.
    Ndcg {
        /// All where absent.
        k: Option<usize>,
    },
    /// The reciprocal of the rank of the first relevant document; 0 where there is none.
    Mrr {
        /// All where absent.
        k: Option<usize>,
    },
    /// The share of all relevant documents that was found.
    Recall {
        /// All where absent.
        k: Option<usize>,
    },
    /// Average precision: the mean, over all relevant documents, of the precision at the rank of each.
    Map {
        /// All where absent.
        k: Option<usize>,
    },
    /// Precision: how many of `k` are relevant. A ranking that is shorter is not let off.
    Precision {
        /// From 1 up.
        k: usize,
    },
    /// The share of the first `k` that was judged, whatever the grade: little is known of a ranking where it is low.
    Judged {
        /// From 1 up.
        k: usize,
    },
}

/// What is known of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Of everything that is judged, the highest first.
    grades: Vec<Grade>,
    /// The least grade of a relevant document.
    relevant: Grade,
}

/// Why a text names no measure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeasureError {
    /// The name is not known.
    #[error("{name:?} is no measure; choose of ndcg@10, mrr@10, recall@100, map, p@10, judged@10")]
    Unknown {
        /// What was given.
        name: String,
    },
    /// What follows `@` is no number of documents.
    #[error("{text:?}: what follows @ is a whole number from 1 up, such as ndcg@10")]
    Cut {
        /// What was given.
        text: String,
    },
    /// This one needs a number.
    #[error("{name} needs to know of how many documents: {name}@10")]
    NoCut {
        /// The measure.
        name: String,
    },
}

// === impl Measure ===

impl Measure {
    /// Whether more of it is a better ranking. [`Judged`](Self::Judged) says what is known, and has no verdict.
    pub fn is_quality(self) -> bool {
        !matches!(self, Self::Judged { .. })
    }

    /// The value for one query, 0 to 1. `ranking` has the grade of each document, the best rank first; `None`
    /// is one that nobody judged.
    pub fn of(self, ranking: &[Option<Grade>], judged: &Judged) -> f64 {
        match self {
            Self::Ndcg { k } => {
                let grades = first(ranking, k).iter().map(|grade| grade.unwrap_or_default());
                let ideal = dcg(first(&judged.grades, k).iter().copied());
                share(dcg(grades), ideal)
            }
            Self::Mrr { k } => {
                let mut ranks = judged.ranks_of_relevant(first(ranking, k));
                ranks.next().map_or(0.0, |rank| 1.0 / rank as f64)
            }
            Self::Recall { k } => {
                let found = judged.ranks_of_relevant(first(ranking, k)).count();
                share(found as f64, judged.relevant() as f64)
            }
            Self::Map { k } => {
                let ranks = judged.ranks_of_relevant(first(ranking, k));
                let precision = |(found, rank): (usize, usize)| (found + 1) as f64 / rank as f64;
                share(ranks.enumerate().map(precision).sum(), judged.relevant() as f64)
            }
            Self::Precision { k } => {
                judged.ranks_of_relevant(first(ranking, Some(k))).count() as f64 / k as f64
            }
            Self::Judged { k } => {
                let ranked = first(ranking, Some(k));
                share(ranked.iter().flatten().count() as f64, ranked.len() as f64)
            }
        }
    }
}

impl FromStr for Measure {
    type Err = MeasureError;

    fn from_str(text: &str) -> Result<Self, MeasureError> {
        let given = text.trim();
        let (name, cut) = match given.split_once('@') {
            Some((name, cut)) => (name, Some(cut)),
            None => (given, None),
        };
        let name = name.to_ascii_lowercase();
        let k = match cut.map(str::parse) {
            None => None,
            Some(Ok(k)) if k > 0 => Some(k),
            Some(_) => return Err(MeasureError::Cut { text: given.to_owned() }),
        };
        let cut = k.ok_or_else(|| MeasureError::NoCut { name: name.clone() });
        match name.as_str() {
            "ndcg" => Ok(Self::Ndcg { k }),
            "mrr" | "rr" => Ok(Self::Mrr { k }),
            "recall" | "r" => Ok(Self::Recall { k }),
            "map" | "ap" => Ok(Self::Map { k }),
            "p" | "precision" => cut.map(|k| Self::Precision { k }),
            "judged" => cut.map(|k| Self::Judged { k }),
            _ => Err(MeasureError::Unknown { name }),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, k) = match *self {
            Self::Ndcg { k } => ("ndcg", k),
            Self::Mrr { k } => ("mrr", k),
            Self::Recall { k } => ("recall", k),
            Self::Map { k } => ("map", k),
            Self::Precision { k } => ("p", Some(k)),
            Self::Judged { k } => ("judged", Some(k)),
        };
        match k {
            // Padded as a whole, for tables.
            Some(k) => f.pad(&format!("{name}@{k}")),
            None => f.pad(name),
        }
    }
}

// === impl Judged ===

impl Judged {
    /// From the grades of everything that is judged for a query, in any order, and the least grade that counts
    /// as relevant.
    pub fn new(grades: impl IntoIterator<Item = Grade>, relevant: Grade) -> Self {
        let mut grades: Vec<Grade> = grades.into_iter().collect();
        grades.sort_unstable_by(|a, b| b.cmp(a));
        Self { grades, relevant }
    }

    /// How many documents are relevant.
    fn relevant(&self) -> usize {
        self.grades.partition_point(|&grade| grade >= self.relevant)
    }

    /// The ranks of the relevant documents, from 1.
    fn ranks_of_relevant(&self, ranking: &[Option<Grade>]) -> impl Iterator<Item = usize> {
        let ranked = (1..).zip(ranking);
        ranked.filter_map(|(rank, grade)| grade.filter(|&g| g >= self.relevant).map(|_| rank))
    }
}

fn first<T>(all: &[T], k: Option<usize>) -> &[T] {
    &all[..k.map_or(all.len(), |k| k.min(all.len()))]
}

/// Grades below 0 gain nothing.
fn dcg(grades: impl Iterator<Item = Grade>) -> f64 {
    let discounted = |(rank, grade): (u32, Grade)| f64::from(grade.max(0)) / f64::from(rank).log2();
    (2..).zip(grades).map(discounted).sum()
}

/// 0 where there is nothing to find, as in trec_eval.
fn share(found: f64, all: f64) -> f64 {
    if all > 0.0 { found / all } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a query with grades 3, 2, 1, 1, 0 and -1: found are 0, 3, one that nobody judged, -1 and 1.
    const RANKING: [Option<Grade>; 5] = [Some(0), Some(3), None, Some(-1), Some(1)];

    fn value(measure: &str, relevant: Grade) -> f64 {
        let judged = Judged::new([1, 0, 3, -1, 2, 1], relevant);
        measure.parse::<Measure>().unwrap().of(&RANKING, &judged)
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    #[test]
    fn values_are_those_of_the_definitions() {
        let ideal = 3.0 + 2.0 / 3f64.log2() + 1.0 / 4f64.log2() + 1.0 / 5f64.log2();
        close(value("ndcg", 1), (3.0 / 3f64.log2() + 1.0 / 6f64.log2()) / ideal);
        let ideal_of_two = 3.0 + 2.0 / 3f64.log2();
        close(value("ndcg@2", 1), (3.0 / 3f64.log2()) / ideal_of_two);
        close(value("mrr@10", 1), 0.5);
        close(value("mrr@1", 1), 0.0);
        close(value("recall@5", 1), 2.0 / 4.0);
        close(value("recall@2", 2), 1.0 / 2.0);
        close(value("map", 1), (1.0 / 2.0 + 2.0 / 5.0) / 4.0);
        close(value("map@3", 2), (1.0 / 2.0) / 2.0);
        close(value("p@10", 1), 0.2);
        close(value("judged@4", 1), 0.75);
        close(value("judged@10", 1), 0.8);
    }

    #[test]
    fn a_query_without_anything_relevant_is_worth_nothing() {
        let judged = Judged::new([0, -1], 1);
        for measure in ["ndcg@10", "mrr", "recall@10", "map", "p@1"] {
            close(measure.parse::<Measure>().unwrap().of(&RANKING[..1], &judged), 0.0);
        }
    }

    #[test]
    fn an_unjudged_document_is_not_relevant_even_where_every_grade_is() {
        let judged = Judged::new([0], 0);
        close(Measure::Precision { k: 2 }.of(&[None, Some(0)], &judged), 0.5);
    }

    #[test]
    fn names_are_read_in_the_ways_that_people_write_them() {
        for (text, name) in [
            ("nDCG@10", "ndcg@10"),
            (" rr@10", "mrr@10"),
            ("AP", "map"),
            ("R@100", "recall@100"),
            ("P@5", "p@5"),
            ("judged@10", "judged@10"),
        ] {
            assert_eq!(text.parse::<Measure>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn what_is_no_measure_is_refused_with_what_is() {
        for (text, told) in [
            ("f1", "\"f1\" is no measure"),
            ("", "is no measure"),
            ("ndcg@0", "from 1 up"),
            ("ndcg@", "from 1 up"),
            ("ndcg@ten", "from 1 up"),
            ("p", "p@10"),
        ] {
            let error = text.parse::<Measure>().unwrap_err().to_string();
            assert!(error.contains(told), "{text:?}: {error}");
        }
    }
}
