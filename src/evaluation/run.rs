use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};

use super::LineError;
use super::line::fields;

const FORM: &str =
    "query, Q0, document, rank, score and the run's name, with white space between them";

/// Rankings: of each query the documents that a system found, the best first.
///
/// Scores fall strictly, also in single precision, so that every tool that sorts by score sees this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run(BTreeMap<String, Vec<Ranked>>);

/// A document in a ranking.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// Its name.
    pub document: String,
    /// Its score, finite.
    pub score: f32,
}

/// Lines of a TREC run file, which come in any order.
#[derive(Clone, Debug, Default)]
pub struct RunLines {
    found: BTreeMap<String, Vec<Ranked>>,
    seen: HashSet<(String, String)>,
}

// === impl RunLines ===

impl RunLines {
    /// Adds a line: `query Q0 document rank score name`. The rank is not used, as in trec_eval.
    ///
    /// # Errors
    /// It is none, or names a document of a query a second time.
    pub fn add(&mut self, line: &[u8]) -> Result<(), LineError> {
        let [query, _q0, document, _rank, score, _name] = fields(line, FORM)?;
        let number = score.parse().ok().filter(|score: &f32| score.is_finite());
        let score = number.ok_or_else(|| LineError::Score { found: score.to_owned() })?;
        if !self.seen.insert((query.to_owned(), document.to_owned())) {
            let (query, document) = (query.to_owned(), document.to_owned());
            return Err(LineError::Duplicate { query, document });
        }
        let ranked = Ranked { document: document.to_owned(), score };
        self.found.entry(query.to_owned()).or_default().push(ranked);
        Ok(())
    }

    /// The rankings in the order of trec_eval: by score in single precision, ties by the document's name, the
    /// one that is last in the alphabet first.
    pub fn into_run(self) -> Run {
        let mut run = Run::default();
        for (query, mut ranking) in self.found {
            ranking.sort_by(|a, b| {
                // Not total_cmp: -0 and 0 are a tie.
                let by_score = b.score.partial_cmp(&a.score).unwrap_or(std::cmp::Ordering::Equal);
                by_score.then_with(|| b.document.cmp(&a.document))
            });
            run.insert(query, ranking);
        }
        run
    }
}

// === impl Run ===

impl Run {
    /// Sets the ranking of a query, the best first. Documents are named once.
    ///
    /// A score that is not below the one before it is replaced by the next lower number of single precision, so
    /// that the order can be told from scores alone.
    pub fn insert(&mut self, query: String, mut ranking: Vec<Ranked>) {
        let mut above = f32::INFINITY;
        for ranked in &mut ranking {
            if ranked.score >= above {
                ranked.score = above.next_down();
            }
            above = ranked.score;
        }
        if ranking.iter().any(|ranked| !ranked.score.is_finite()) {
            // No room is left below. Nobody's model gets here; the order holds all the same.
            for (index, ranked) in ranking.iter_mut().enumerate() {
                ranked.score = reciprocal(index);
            }
        }
        self.0.insert(query, ranking);
    }

    /// Sets the ranking of a query to these documents, the best first, each with the reciprocal of its rank as
    /// its score.
    pub fn insert_order(&mut self, query: String, documents: impl IntoIterator<Item = String>) {
        let ranked = |(index, document)| Ranked { document, score: reciprocal(index) };
        self.insert(query, documents.into_iter().enumerate().map(ranked).collect());
    }

    /// The ranking of a query; nothing where it has none.
    pub fn ranking(&self, query: &str) -> &[Ranked] {
        self.0.get(query).map_or(&[], Vec::as_slice)
    }

    /// The queries that have a ranking, in the order of their names.
    pub fn queries(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Writes a TREC run file of this name. Names of queries and documents must be [fields](is_field).
    pub fn write(&self, out: &mut impl Write, name: &str) -> io::Result<()> {
        for (query, ranking) in &self.0 {
            for (index, Ranked { document, score }) in ranking.iter().enumerate() {
                // As many digits as single precision needs to come back.
                writeln!(out, "{query} Q0 {document} {} {score:?} {name}", index + 1)?;
            }
        }
        Ok(())
    }
}

/// Whether a name can stand in a TREC file: white space would part it.
pub fn is_field(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_ascii_whitespace())
}

/// All different in single precision up to millions.
fn reciprocal(index: usize) -> f32 {
    1.0 / (index + 1) as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Run, LineError> {
        let mut lines = RunLines::default();
        text.lines().try_for_each(|line| lines.add(line.as_bytes()))?;
        Ok(lines.into_run())
    }

    fn order<'a>(run: &'a Run, query: &str) -> Vec<&'a str> {
        run.ranking(query).iter().map(|ranked| ranked.document.as_str()).collect()
    }

    fn run(scores: &[f32]) -> Run {
        let ranked = |(index, &score): (usize, &f32)| Ranked { document: index.to_string(), score };
        let mut run = Run::default();
        run.insert("q".to_owned(), scores.iter().enumerate().map(ranked).collect());
        run
    }

    #[test]
    fn documents_are_ordered_as_trec_eval_orders_them() {
        let text = "q Q0 b 1 1.0 x\nr Q0 b 1 7 x\nq Q0 a 9 2e0 x\nq Q0 c 1 1.00000001 x\nq Q0 é 1 -0 x\nq Q0 e 1 0 x";
        let run = read(text).unwrap();
        assert_eq!(order(&run, "q"), ["a", "c", "b", "é", "e"], "c and b tie in single precision");
        assert_eq!(order(&run, "r"), ["b"]);
        assert_eq!(order(&run, "s"), [""; 0]);
    }

    #[test]
    fn a_line_that_is_no_result_is_refused_with_what_is_wrong() {
        for (line, told) in [
            ("q Q0 d 1 0.5", "5 fields, not 6"),
            ("q Q0 d 1 high x", "\"high\" is no finite number"),
            ("q Q0 d 1 nan x", "no finite number"),
            ("q Q0 d 1 1e99 x", "no finite number"),
            ("q Q0 d 1 1 x\nq Q0 d 2 0 x", "\"d\" occurs twice"),
        ] {
            let error = read(line).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_score_that_does_not_fall_becomes_the_next_lower_one() {
        let run = run(&[2.0, 2.0, 3.0, 1.0]);
        let scores: Vec<f32> = run.ranking("q").iter().map(|ranked| ranked.score).collect();
        assert_eq!(scores, [2.0, 2f32.next_down(), 2f32.next_down().next_down(), 1.0]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_the_same_order(
            scores in prop::collection::vec(
                prop_oneof![
                    -3i8..3, Just(0), Just(-128)
                ].prop_map(|n| if n == -128 { f32::MIN } else { f32::from(n) * 1e-3 }),
                0..40,
            ),
        ) {
            let written = run(&scores);
            let mut text = Vec::new();
            written.write(&mut text, "crossrank").unwrap();
            let read = read(str::from_utf8(&text).unwrap()).unwrap();
            prop_assert_eq!(order(&read, "q"), order(&written, "q"));
            prop_assert_eq!(read.ranking("q"), written.ranking("q"));
        }
    }

    #[test]
    fn names_with_white_space_are_no_fields() {
        assert!(is_field("a-1") && is_field("ü"));
        for name in ["", "a b", "a\tb", " "] {
            assert!(!is_field(name), "{name:?}");
        }
    }
}
