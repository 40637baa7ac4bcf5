//! Lines of TREC's formats: fields with white space between them.

/// Why a line of qrels or of a run cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Bytes that are not UTF-8.
    #[error("byte {offset} of the line is not UTF-8")]
    NotUtf8 {
        /// The first offending byte.
        offset: usize,
    },
    /// More or fewer fields than the format has.
    #[error("{actual} fields, not {expected}: a line is {form}")]
    Fields {
        /// How many there are.
        actual: usize,
        /// How many there must be.
        expected: usize,
        /// What they are.
        form: &'static str,
    },
    /// A grade that is no whole number.
    #[error("the grade {found:?} is no whole number from -2147483648 to 2147483647")]
    Grade {
        /// What stands there.
        found: String,
    },
    /// A score that is no number.
    #[error("the score {found:?} is no finite number")]
    Score {
        /// What stands there.
        found: String,
    },
    /// A document occurs twice for one query; which line was meant is anyone's guess.
    #[error("document {document:?} occurs twice for query {query:?}; remove one of the two")]
    Duplicate {
        /// The query.
        query: String,
        /// The document.
        document: String,
    },
}

/// The fields of a line.
pub(super) fn fields<'a, const N: usize>(
    line: &'a [u8],
    form: &'static str,
) -> Result<[&'a str; N], LineError> {
    let text =
        str::from_utf8(line).map_err(|error| LineError::NotUtf8 { offset: error.valid_up_to() })?;
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let actual = fields.len();
    fields.try_into().map_err(|_| LineError::Fields { actual, expected: N, form })
}
