//! The three record formats, their limits and versions. Knows JSON, and no broker.
//!
//! | format | who writes it | here |
//! |---|---|---|
//! | `crossrank.candidates.v1` | retrieval services | [`decode`] → [`CandidateSet`] |
//! | `crossrank.context.v1` | crossrank | [`RerankedContext`] → [`encode`] |
//! | dead letter, version 1 | crossrank | [`DeadLetter::headers`] |
//!
//! `schemas/` describes them as JSON Schema. Field by field, what a schema cannot say:
//!
//! - An optional field that is `null` counts as absent.
//! - Fields that are not known, on the set or on a candidate, come back in the output untouched:
//!   their values byte for byte, in their order. One whose name the output needs for itself
//!   (`status`, `results`, on a candidate `logit`, …) comes back under `input`. Those of an entry
//!   of `lists` come back under `lists`.
//! - An `expires_at` after 9999-12-30T22:00:00Z counts as that moment, the latest there is.
//! - The record's header [`DEADLINE`](header::DEADLINE) says the same in another place, as an RFC 3339
//!   time or in milliseconds since the epoch. Where both are given the earlier counts.
//! - A candidate's first-stage `score` that a 64-bit float cannot hold counts as absent.
//! - A blank text gives way to that of a later list for the same id.
//! - A name that occurs twice in one object is refused: which one was meant is anyone's guess.
//! - No more than [`DEPTH_MAX`] objects and arrays inside each other, [`FIELDS_MAX`] fields in one
//!   object, and [`LISTS_MAX`] lists.

mod candidate_set;
mod context;
mod dead_letter;
mod deadline;
mod error;
mod first_stage;
mod json;
mod limits;
mod path;
mod ranked;
mod read;
mod status;
mod unknown;

pub use candidate_set::{Candidate, CandidateSet, Retrieval, decode};
pub use context::{Context, Duplicate, Model, RerankedContext, TimingMs, Usage, encode};
pub use dead_letter::{DeadLetter, Stage, header};
pub use deadline::decode_deadline;
pub use error::DecodeError;
pub use first_stage::LISTS_MAX;
pub use json::{DEPTH_MAX, FIELDS_MAX};
pub use limits::{Limits, Results};
pub use ranked::{Ranked, ResultStatus, Window};
pub use read::read;
pub use status::{Reason, Status};
pub use unknown::UnknownFields;
