use std::collections::BTreeMap;

use super::LineError;
use super::line::fields;

const FORM: &str = "query, iteration (not used), document and grade, with white space between them";

/// How relevant a judge found a document: 0 and below not at all, more for more.
pub type Grade = i32;

/// Judgements: of each query the documents that somebody judged, with their grades.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Qrels(BTreeMap<String, BTreeMap<String, Grade>>);

// === impl Qrels ===

impl Qrels {
    /// Adds a line of TREC qrels: `query iteration document grade`.
    ///
    /// # Errors
    /// It is none, or judges a document a second time.
    pub fn add_line(&mut self, line: &[u8]) -> Result<(), LineError> {
        let [query, _iteration, document, grade] = fields(line, FORM)?;
        let grade = grade.parse().map_err(|_| LineError::Grade { found: grade.to_owned() })?;
        self.add(query, document, grade)
    }

    /// Adds a judgement.
    ///
    /// # Errors
    /// The document is already judged for this query.
    pub fn add(&mut self, query: &str, document: &str, grade: Grade) -> Result<(), LineError> {
        let judged = match self.0.get_mut(query) {
            Some(judged) => judged,
            None => self.0.entry(query.to_owned()).or_default(),
        };
        match judged.insert(document.to_owned(), grade) {
            None => Ok(()),
            Some(_) => {
                Err(LineError::Duplicate { query: query.to_owned(), document: document.to_owned() })
            }
        }
    }

    /// The grade of a document; `None` where nobody judged it.
    pub fn grade(&self, query: &str, document: &str) -> Option<Grade> {
        self.0.get(query)?.get(document).copied()
    }

    /// Whether anything is judged for this query.
    pub fn has(&self, query: &str) -> bool {
        self.0.contains_key(query)
    }

    /// The queries that something is judged for, in the order of their names.
    pub fn queries(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The grades of everything that is judged for a query.
    pub fn grades(&self, query: &str) -> impl Iterator<Item = Grade> {
        self.0.get(query).into_iter().flat_map(|judged| judged.values().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Qrels, LineError> {
        let mut qrels = Qrels::default();
        text.lines().try_for_each(|line| qrels.add_line(line.as_bytes()))?;
        Ok(qrels)
    }

    #[test]
    fn fields_are_parted_by_any_white_space_and_grades_may_be_negative() {
        let qrels = read("q1 0 d1 3\n  q1\tQ0\td2   -2  \r\nq2 x d1 0").unwrap();
        assert_eq!(qrels.grade("q1", "d1"), Some(3));
        assert_eq!(qrels.grade("q1", "d2"), Some(-2));
        assert_eq!((qrels.grade("q2", "d1"), qrels.grade("q2", "d2")), (Some(0), None));
        assert_eq!(qrels.queries().collect::<Vec<_>>(), ["q1", "q2"]);
        assert_eq!(qrels.grades("q1").collect::<Vec<_>>(), [3, -2]);
    }

    #[test]
    fn a_line_that_is_no_judgement_is_refused_with_what_is_wrong() {
        for (line, told) in [
            ("q 0 d", "3 fields, not 4"),
            ("q 0 d 1 x", "5 fields, not 4"),
            ("q 0 d 1.5", "\"1.5\" is no whole number"),
            ("q 0 d 99999999999", "no whole number"),
        ] {
            let error = read(line).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        let bad = Qrels::default().add_line(b"q 0 d\xff 1").unwrap_err();
        assert_eq!(bad, LineError::NotUtf8 { offset: 5 });
    }

    #[test]
    fn a_second_judgement_of_a_document_is_refused_even_where_it_agrees() {
        let error = read("q 0 d 1\nq 0 d 1").unwrap_err().to_string();
        assert!(error.contains("\"d\" occurs twice for query \"q\""), "{error}");
    }
}
