use std::io::{self, Write};

use super::sets::Sets;
use crate::engine::SetScores;

/// Writes request id, candidate id and logit of each pair, in the order of the input.
pub(super) fn write(out: &mut impl Write, sets: &Sets, scores: &[SetScores]) -> io::Result<()> {
    for (set, scores) in sets.sets.iter().zip(scores) {
        for (id, pair) in set.ids.iter().zip(&scores.pairs) {
            let request_id = &set.request_id;
            match pair.logit {
                Ok(logit) => writeln!(out, "{request_id}\t{id}\t{logit:.6}")?,
                Err(_unscored) => writeln!(out, "{request_id}\t{id}\tnan")?,
            }
        }
    }
    Ok(())
}
