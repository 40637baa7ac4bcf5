//! The three record formats, their limits and versions.

mod limits;

pub use limits::{Limits, Results};
