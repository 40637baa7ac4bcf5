//! A natural query with a passage that fits it → the passage that no longer does.
//!
//! Only words are touched of which one can be sure that they are a constraint, because the query
//! names them as well: numbers, years, months, units, ordinals, directions, opposites, countries,
//! and "not" before a word that both have. They are replaced everywhere in the passage, so that
//! nothing in it still fits.

mod negation;
mod numbers;
mod opposites;
mod text;
mod times;

use self::text::{Edit, Text};
use super::Kind;

/// What makes the edits of one sort. Empty where query and passage share nothing of it.
type Rule = fn(&Text<'_>, &Text<'_>, &mut fastrand::Rng) -> Vec<Change>;

/// All replacements of one shared item.
struct Change {
    kind: Kind,
    edits: Vec<Edit>,
}

const RULES: [Rule; 9] = [
    numbers::numerals,
    numbers::words,
    numbers::ordinals,
    numbers::units,
    times::years,
    times::calendar,
    times::before_and_after,
    opposites::changes,
    negation::changes,
];

/// A copy of `passage` that no longer fits `query`: a number, year, month, unit, name, direction or
/// negation that both share is replaced by another of its kind, everywhere in the passage.
///
/// `passage` is taken to fit `query`. It may be in lower case and split into tokens by spaces.
/// `None` where they share nothing of which it is sure that it matters.
pub fn violate(query: &str, passage: &str, rng: &mut fastrand::Rng) -> Option<(Kind, String)> {
    let (asked, told) = (Text::new(query), Text::new(passage));
    let mut changes: Vec<Change> = RULES.iter().flat_map(|rule| rule(&asked, &told, rng)).collect();
    if changes.is_empty() {
        return None;
    }
    let change = changes.swap_remove(rng.usize(..changes.len()));
    Some((change.kind, told.edited(change.edits)))
}
