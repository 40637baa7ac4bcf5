//! "not", taken away.

use super::super::Kind;
use super::Change;
use super::text::{Edit, Text};

/// Verbs behind which "not" can go without a trace in the grammar.
const AUXILIARIES: [&str; 15] = [
    "is", "are", "was", "were", "be", "been", "can", "could", "will", "would", "should", "must",
    "may", "has", "have",
];
/// "not" with these is more than a negation.
const IDIOMS: [&str; 9] =
    ["only", "just", "until", "necessarily", "always", "all", "yet", "even", "be"];

/// Every "not" between an auxiliary and a word that follows a "not" of the query, too.
pub(super) fn changes(asked: &Text<'_>, told: &Text<'_>, _rng: &mut fastrand::Rng) -> Vec<Change> {
    let denied: Vec<&str> = asked.places("not").into_iter().map(|at| asked.after(at)).collect();
    let edits: Vec<Edit> = told
        .places("not")
        .into_iter()
        .filter(|&at| AUXILIARIES.contains(&told.before(at)))
        // "may or may not" denies nothing.
        .filter(|&at| told.small(at.checked_sub(2)) != "or")
        .filter(|&at| denied.contains(&told.after(at)) && !IDIOMS.contains(&told.after(at)))
        .map(|word| Edit { word, by: String::new() })
        .collect();
    if edits.is_empty() { Vec::new() } else { vec![Change { kind: Kind::Negation, edits }] }
}
