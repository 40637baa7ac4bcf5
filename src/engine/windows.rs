//! One score for a passage from those of its windows. Pure.

use std::ops::Range;

use super::{PairError, PairScore, WindowScore, Windows};

/// A window, or a passage that is read at once.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) logit: Result<f32, PairError>,
    /// Special tokens included.
    pub(super) tokens: usize,
    /// Whether something of the passage is in no window.
    pub(super) truncated: bool,
    /// Whether the model did not run for it.
    pub(super) cached: bool,
    /// Where it is in its passage; `None` where that is read at once, or cut without a word about where.
    pub(super) bytes: Option<Range<usize>>,
}

/// What the passage of these windows is worth. It has no logit where one of them has none: the largest of some is
/// not the largest of all, and a score must not depend on how much time there was.
pub(super) fn together(pieces: &[Piece], rule: WindowScore) -> PairScore {
    let tokens = pieces.iter().map(|piece| piece.tokens).sum();
    let read = |piece: &&Piece| !piece.cached && piece.logit != Err(PairError::Late);
    let logits: Result<Vec<f32>, PairError> = pieces.iter().map(|piece| piece.logit).collect();
    let best = logits.as_ref().ok().and_then(|logits| {
        let first_of_largest = |a: usize, b: usize| if logits[b] > logits[a] { b } else { a };
        (0..logits.len()).reduce(first_of_largest)
    });
    let windows = best
        .and_then(|best| Some(Windows { count: pieces.len(), best: pieces[best].bytes.clone()? }));
    PairScore {
        logit: logits.map(|logits| logit(logits, rule)),
        tokens,
        tokens_read: pieces.iter().filter(read).map(|piece| piece.tokens).sum(),
        truncated: pieces.iter().any(|piece| piece.truncated),
        cached: pieces.iter().all(|piece| piece.cached),
        windows,
    }
}

fn logit(mut logits: Vec<f32>, rule: WindowScore) -> f32 {
    let first = logits.first().copied().unwrap_or(f32::NAN);
    logits.sort_by(|a, b| b.total_cmp(a));
    match (rule, &logits[..]) {
        (WindowScore::Best, [largest, ..]) => *largest,
        // Halved first: no sum of two logits overflows.
        (WindowScore::MeanOfTopTwo, [largest, second, ..]) => largest / 2.0 + second / 2.0,
        (WindowScore::First | WindowScore::MeanOfTopTwo | WindowScore::Best, _) => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(logit: Result<f32, PairError>, number: usize) -> Piece {
        let bytes = Some(number * 100..number * 100 + 150);
        Piece { logit, tokens: 10, truncated: false, cached: false, bytes }
    }

    fn pieces(logits: &[f32]) -> Vec<Piece> {
        (0..).zip(logits).map(|(number, &logit)| piece(Ok(logit), number)).collect()
    }

    #[test]
    fn the_rule_chooses_the_logit_and_the_best_window_is_named() {
        let pieces = pieces(&[-1.0, 3.0, 2.0, 3.0]);
        for (rule, logit) in
            [(WindowScore::Best, 3.0), (WindowScore::First, -1.0), (WindowScore::MeanOfTopTwo, 3.0)]
        {
            let score = together(&pieces, rule);
            assert_eq!((score.logit, score.tokens, score.tokens_read), (Ok(logit), 40, 40));
            assert_eq!(score.windows, Some(Windows { count: 4, best: 100..250 }));
        }
        let mean = together(&self::pieces(&[-1.0, 3.0, 2.0]), WindowScore::MeanOfTopTwo);
        assert_eq!(mean.logit, Ok(2.5));
    }

    #[test]
    fn a_passage_that_is_read_at_once_has_its_logit_by_every_rule() {
        let whole = Piece { bytes: None, ..piece(Ok(1.5), 0) };
        for rule in [WindowScore::Best, WindowScore::First, WindowScore::MeanOfTopTwo] {
            assert_eq!(together(std::slice::from_ref(&whole), rule), PairScore::new(Ok(1.5), 10));
        }
    }

    #[test]
    fn a_window_without_a_logit_leaves_the_passage_without_one() {
        let mut pieces = pieces(&[1.0, 2.0]);
        pieces.push(piece(Err(PairError::Late), 2));
        let score = together(&pieces, WindowScore::Best);
        assert_eq!((score.logit, score.windows), (Err(PairError::Late), None));
        assert_eq!((score.tokens, score.tokens_read), (30, 20), "what was read has its price");
        pieces[2] = piece(Err(PairError::NotFinite), 2);
        assert_eq!(together(&pieces, WindowScore::Best).logit, Err(PairError::NotFinite));
    }

    #[test]
    fn only_a_passage_whose_windows_are_all_known_is_cached() {
        let mut pieces = pieces(&[1.0, 2.0]);
        pieces[1].cached = true;
        let score = together(&pieces, WindowScore::Best);
        assert_eq!((score.cached, score.tokens_read), (false, 10));
        pieces[0].cached = true;
        let score = together(&pieces, WindowScore::Best);
        assert_eq!((score.cached, score.tokens, score.tokens_read), (true, 20, 0));
    }
}
