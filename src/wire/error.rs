/// Why a record is not a candidate set.
///
/// Messages name fields, types, positions and lengths, and never quote a query, a passage or an
/// id: they end in logs and in headers. Their length is bounded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A tombstone.
    #[error("the record has no value; a candidate set is a JSON object")]
    NullValue,
    /// More bytes than [`record_bytes_max`](super::Limits::record_bytes_max).
    #[error("the record has {actual} bytes, limits.record_bytes_max is {limit}")]
    RecordTooLarge {
        /// Bytes of the value.
        actual: usize,
        /// What is allowed.
        limit: usize,
    },
    /// Bytes that are not UTF-8.
    #[error("{path}: byte {offset} of the record is not UTF-8")]
    InvalidUtf8 {
        /// The field.
        path: String,
        /// The first offending byte.
        offset: usize,
    },
    /// Not JSON.
    #[error("{path}: not valid JSON: {problem}")]
    InvalidJson {
        /// The field in which parsing stopped.
        path: String,
        /// What was met, and where.
        problem: String,
    },
    /// Objects and arrays too deep inside each other.
    #[error("{path}: nested deeper than {limit} levels")]
    NestedTooDeep {
        /// The field.
        path: String,
        /// What is allowed.
        limit: usize,
    },
    /// A value of another JSON type.
    #[error("{path}: expected {expected}, found {found}")]
    WrongType {
        /// The field.
        path: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A required field is not there.
    #[error("{path}: missing; {required}")]
    MissingField {
        /// The field.
        path: String,
        /// What is required here.
        required: &'static str,
    },
    /// A name occurs twice in one object.
    #[error("{path}: occurs twice in the same object")]
    DuplicateField {
        /// The field.
        path: String,
    },
    /// The right type, but a value that means nothing.
    #[error("{path}: {problem}")]
    InvalidValue {
        /// The field.
        path: String,
        /// What is wrong, and what is allowed.
        problem: &'static str,
    },
    /// A query that is empty or only white space.
    #[error("query: empty; there is nothing to score passages against")]
    EmptyQuery,
    /// More characters than [`query_chars_max`](super::Limits::query_chars_max).
    #[error("query: {actual} characters, limits.query_chars_max is {limit}")]
    QueryTooLong {
        /// Characters of the query.
        actual: usize,
        /// What is allowed.
        limit: usize,
    },
    /// Two candidates of one list have the same id.
    #[error("{path}: the same id as {first}; ids must be unique within a list")]
    DuplicateId {
        /// The later one.
        path: String,
        /// The earlier one.
        first: String,
    },
    /// Both input forms at once.
    #[error("lists: cannot be combined with candidates; send one of the two")]
    CandidatesAndLists,
    /// More candidates than
    /// [`candidates_refused_above`](super::Limits::candidates_refused_above).
    #[error("{path}: {actual} candidates, limits.candidates_refused_above is {limit}")]
    TooManyCandidates {
        /// The field.
        path: String,
        /// How many there are.
        actual: usize,
        /// What is allowed.
        limit: usize,
    },
    /// More fields in one object than the format allows.
    #[error("{path}: {actual} fields, at most {limit} are allowed")]
    TooManyFields {
        /// The object.
        path: String,
        /// How many there are.
        actual: usize,
        /// What is allowed.
        limit: usize,
    },
    /// More lists than the format allows.
    #[error("{path}: {actual} lists, at most {limit} are allowed")]
    TooManyLists {
        /// The field.
        path: String,
        /// How many there are.
        actual: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The header [`DEADLINE`](super::header::DEADLINE) is neither a time nor a number.
    #[error(
        "header crossrank-deadline: {bytes} bytes that are no RFC 3339 time, such as \
         2026-11-23T12:00:00.250Z, and no milliseconds since 1970 in decimal digits"
    )]
    InvalidDeadline {
        /// Bytes of its value.
        bytes: usize,
    },
}

// === impl DecodeError ===

impl DecodeError {
    /// A name for this kind of error that stays the same between versions.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NullValue => "null_value",
            Self::RecordTooLarge { .. } => "record_too_large",
            Self::InvalidUtf8 { .. } => "invalid_utf8",
            Self::InvalidJson { .. } => "invalid_json",
            Self::NestedTooDeep { .. } => "nested_too_deep",
            Self::WrongType { .. } => "wrong_type",
            Self::MissingField { .. } => "missing_field",
            Self::DuplicateField { .. } => "duplicate_field",
            Self::InvalidValue { .. } => "invalid_value",
            Self::EmptyQuery => "empty_query",
            Self::QueryTooLong { .. } => "query_too_long",
            Self::DuplicateId { .. } => "duplicate_id",
            Self::CandidatesAndLists => "candidates_and_lists",
            Self::TooManyCandidates { .. } => "too_many_candidates",
            Self::TooManyFields { .. } => "too_many_fields",
            Self::TooManyLists { .. } => "too_many_lists",
            Self::InvalidDeadline { .. } => "invalid_deadline",
        }
    }
}
