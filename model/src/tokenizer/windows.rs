//! A passage that is longer than what fits, in windows that overlap.

use std::ops::Range;

use tokenizers::Encoding;

use super::Pair;

/// How a passage that does not fit is cut into windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLimits {
    /// Tokens that a window shares with the one before it, at least; at most half of a window is shared.
    pub overlap: usize,
    /// Windows of one passage; what is behind them is cut off.
    pub windows_max: usize,
}

/// A part of a passage, laid out behind its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// What the model reads.
    pub pair: Pair,
    /// Where it is in the passage; both ends are borders of characters.
    pub bytes: Range<usize>,
}

/// The tokens of a text, and where they are in it.
pub(super) struct Places {
    pub(super) ids: Vec<u32>,
    /// In bytes.
    offsets: Vec<(usize, usize)>,
    /// Whether a word begins with the token.
    begins_word: Vec<bool>,
}

// === impl Places ===

impl Places {
    pub(super) fn of(encoding: &Encoding) -> Self {
        let words = encoding.get_word_ids();
        let begins = |(index, word): (usize, &Option<u32>)| index == 0 || words[index - 1] != *word;
        Self {
            ids: encoding.get_ids().to_vec(),
            offsets: encoding.get_offsets().to_vec(),
            begins_word: words.iter().enumerate().map(begins).collect(),
        }
    }

    /// Windows of at most `room` tokens, and whether they leave out the end of the text.
    pub(super) fn cut(&self, room: usize, limits: WindowLimits) -> (Vec<Range<usize>>, bool) {
        let tokens = self.ids.len();
        let overlap = limits.overlap.min(room / 2);
        let step = room - overlap;
        let needed = 1 + tokens.saturating_sub(room).div_ceil(step);
        let count = needed.min(limits.windows_max.max(1));
        let window = |window: usize| {
            let begin = step * window;
            // Less than a step, so that no window begins where the next one does.
            self.word_within(begin, overlap / 3)..(begin + room).min(tokens)
        };
        ((0..count).map(window).collect(), count < needed)
    }

    /// The first token that begins a word, from `begin` to at most `ahead` behind it; `begin` where there is none.
    fn word_within(&self, begin: usize, ahead: usize) -> usize {
        (begin..=begin + ahead)
            .find(|&token| self.begins_word.get(token) == Some(&true))
            .unwrap_or(begin)
    }

    /// Where these tokens are in the text that they are of. The first window begins where the text does and the last
    /// one ends with it, whatever stands there that has no tokens.
    pub(super) fn bytes(&self, text: &str, tokens: Range<usize>) -> Range<usize> {
        let begin = match tokens.start {
            0 => 0,
            first => self.offsets.get(first).map_or(0, |&(begin, _)| begin),
        };
        let end = match tokens.end {
            end if end >= self.ids.len() => text.len(),
            end => self.offsets.get(end - 1).map_or(text.len(), |&(_, end)| end),
        };
        let begin = text.floor_char_boundary(begin.min(text.len()));
        begin..text.ceil_char_boundary(end.min(text.len())).max(begin)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A text of this many one-letter tokens, where a word begins with every third one.
    fn places(tokens: usize) -> Places {
        Places {
            ids: vec![1; tokens],
            offsets: (0..tokens).map(|token| (token, token + 1)).collect(),
            begins_word: (0..tokens).map(|token| token % 3 == 0).collect(),
        }
    }

    fn limits(overlap: usize, windows_max: usize) -> WindowLimits {
        WindowLimits { overlap, windows_max }
    }

    #[test]
    fn windows_overlap_and_begin_with_words() {
        let (cuts, truncated) = places(260).cut(100, limits(20, 8));
        assert_eq!((cuts, truncated), (vec![0..100, 81..180, 162..260], false));
        let (cuts, _) = places(261).cut(100, limits(20, 8));
        assert_eq!(cuts, [0..100, 81..180, 162..260, 240..261]);
    }

    #[test]
    fn what_is_behind_the_last_window_is_cut_off_and_told() {
        let (cuts, truncated) = places(1000).cut(100, limits(20, 2));
        assert_eq!((cuts, truncated), (vec![0..100, 81..180], true));
        let (cuts, truncated) = places(1000).cut(100, limits(20, 1));
        assert_eq!((cuts.len(), cuts[0].clone(), truncated), (1, 0..100, true));
    }

    #[test]
    fn a_window_without_a_word_nearby_begins_in_one() {
        let mut places = places(30);
        places.begins_word.fill(false);
        assert_eq!(places.cut(20, limits(5, 9)).0, [0..20, 15..30]);
    }

    #[test]
    fn bytes_are_those_of_whole_characters() {
        let text = "äöü";
        // As a tokenizer that works on bytes has them.
        let offsets = vec![(0, 1), (1, 3), (3, 5), (5, 6)];
        let places = Places { ids: vec![1; 4], offsets, begins_word: vec![true; 4] };
        assert_eq!(places.bytes(text, 0..1), 0..2);
        assert_eq!(places.bytes(text, 1..3), 0..6);
        assert_eq!(places.bytes(text, 2..4), 2..6);
    }

    proptest! {
        #[test]
        fn windows_fit_overlap_and_leave_nothing_out(
            tokens in 1_usize..2_000,
            room in 1_usize..300,
            overlap in 0_usize..300,
            windows_max in 1_usize..40,
        ) {
            let (cuts, truncated) = places(tokens).cut(room, limits(overlap, windows_max));
            prop_assert!(cuts.len() <= windows_max && cuts[0].start == 0);
            prop_assert!(cuts.iter().all(|cut| !cut.is_empty() && cut.len() <= room));
            let follows = |two: &[Range<usize>]| {
                two[0].start < two[1].start && two[1].start <= two[0].end
            };
            prop_assert!(cuts.windows(2).all(follows));
            let end = cuts[cuts.len() - 1].end;
            prop_assert_eq!(end < tokens, truncated);
            prop_assert!(!truncated || cuts.len() == windows_max);
        }
    }
}
