use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Words of a shingle.
const SHINGLE_WORDS: usize = 3;

/// Finds passages that say nearly the same as one that was seen before.
///
/// The similarity of two texts is the Jaccard index of their sets of shingles: runs of three words,
/// in lower case, without punctuation. Texts that differ only in these are equal (1). In scripts
/// that do not separate words every character counts as one. A shingle is known by its 64-bit hash.
///
/// Two sets of similarity t or more share one of the first n − ⌈t·n⌉ + 1 elements of each, in any
/// fixed order (Chaudhuri et al. 2006), so only those are indexed, and few pairs are compared.
#[derive(Debug)]
pub(super) struct Duplicates {
    similarity: f64,
    seen: Vec<Seen>,
    by_shingle: HashMap<u64, Vec<usize>>,
}

#[derive(Debug)]
struct Seen {
    index: usize,
    shingles: Vec<u64>,
}

// === impl Duplicates ===

impl Duplicates {
    /// Passages at least this similar are duplicates, 0 to 1.
    pub(super) fn new(similarity: f64) -> Self {
        Self { similarity, seen: Vec::new(), by_shingle: HashMap::new() }
    }

    /// The index of the first passage seen that these shingles repeat.
    pub(super) fn find(&self, shingles: &[u64]) -> Option<usize> {
        if self.similarity <= 0.0 {
            return self.seen.first().map(|seen| seen.index);
        }
        let prefix = shingles.iter().take(self.prefix(shingles.len()));
        let postings = prefix.filter_map(|shingle| self.by_shingle.get(shingle));
        let mut places: Vec<usize> = postings.flatten().copied().collect();
        places.sort_unstable();
        places.dedup();
        let similar = |seen: &&Seen| jaccard(&seen.shingles, shingles) >= self.similarity;
        places.into_iter().map(|place| &self.seen[place]).find(similar).map(|seen| seen.index)
    }

    /// Notes a passage.
    pub(super) fn add(&mut self, index: usize, shingles: Vec<u64>) {
        for shingle in shingles.iter().take(self.prefix(shingles.len())) {
            self.by_shingle.entry(*shingle).or_default().push(self.seen.len());
        }
        self.seen.push(Seen { index, shingles });
    }

    fn prefix(&self, shingles: usize) -> usize {
        // The margin keeps a product such as 0.9 * 10 from being rounded past its integer.
        let shared_min = (self.similarity * shingles as f64 - 1e-6).ceil().max(1.0) as usize;
        (shingles + 1).saturating_sub(shared_min)
    }
}

/// The shingles of `text`, sorted, each once. Never empty.
pub(super) fn shingles(text: &str) -> Vec<u64> {
    let words = words(text);
    let mut shingles: Vec<u64> = match words.len() {
        0 => vec![hash(&text.trim())],
        1..SHINGLE_WORDS => vec![hash(&words)],
        _ => words.windows(SHINGLE_WORDS).map(|run| hash(&run)).collect(),
    };
    shingles.sort_unstable();
    shingles.dedup();
    shingles
}

/// The hashes of the words of `text`.
fn words(text: &str) -> Vec<u64> {
    let mut words = Vec::with_capacity(text.len() / 5);
    let mut word = DefaultHasher::new();
    let mut is_open = false;
    for c in text.chars() {
        let alone = stands_alone(c);
        if is_open && (alone || !c.is_alphanumeric()) {
            words.push(std::mem::take(&mut word).finish());
            is_open = false;
        }
        if alone {
            words.push(hash(&c));
        } else if c.is_alphanumeric() {
            c.to_lowercase().for_each(|c| word.write_u32(u32::from(c)));
            is_open = true;
        }
    }
    if is_open {
        words.push(word.finish());
    }
    words
}

/// Characters of scripts that are written without spaces between words.
fn stands_alone(c: char) -> bool {
    matches!(u32::from(c),
        0x0E00..=0x0EFF // Thai, Lao
        | 0x1000..=0x109F | 0x1780..=0x17FF // Myanmar, Khmer
        | 0x3040..=0x30FF // Hiragana, Katakana
        | 0x3400..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF // Han
    )
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The share of what two sorted sets have in common, of all that they have.
fn jaccard(a: &[u64], b: &[u64]) -> f64 {
    let (mut left, mut right, mut common) = (0, 0, 0usize);
    while let (Some(x), Some(y)) = (a.get(left), b.get(right)) {
        common += usize::from(x == y);
        left += usize::from(x <= y);
        right += usize::from(y <= x);
    }
    common as f64 / (a.len() + b.len() - common) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn similarity(a: &str, b: &str) -> f64 {
        jaccard(&shingles(a), &shingles(b))
    }

    #[test]
    fn case_space_and_punctuation_make_no_difference() {
        let plain = "the quick brown fox jumps";
        assert_eq!(similarity(plain, "  The QUICK\tbrown, fox\n\njumps! "), 1.0);
        assert_eq!(similarity("Ÿes", "ÿES"), 1.0);
    }

    #[test]
    fn order_and_numbers_make_a_difference() {
        assert_eq!(similarity("take two now", "now take two"), 0.0);
        assert_eq!(similarity("at most 2 mg", "at most 20 mg"), 0.0);
    }

    #[test]
    fn one_changed_word_of_ten_costs_three_shingles() {
        let a = "one two three four five six seven eight nine ten";
        let b = "one two three four five six seven eight nine zehn";
        assert_eq!(similarity(a, b), 7.0 / 9.0);
    }

    #[test]
    fn text_without_spaces_is_compared_by_character() {
        let a = "東京は日本の首都である";
        let b = "東京は日本の首都です";
        assert!((0.4..1.0).contains(&similarity(a, b)));
    }

    #[test]
    fn text_without_words_repeats_only_itself() {
        assert_eq!(similarity("!!!", "!!!"), 1.0);
        assert_eq!(similarity("!!!", "???"), 0.0);
    }

    #[test]
    fn the_first_of_several_similar_passages_is_named() {
        let mut duplicates = Duplicates::new(0.5);
        for (index, text) in [(3, "a b c d e"), (4, "x y z"), (7, "a b c d e f")] {
            duplicates.add(index, shingles(text));
        }
        assert_eq!(duplicates.find(&shingles("a b c d e g")), Some(3));
        assert_eq!(duplicates.find(&shingles("no such passage")), None);
    }

    #[test]
    fn rounding_does_not_shorten_the_index() {
        assert_eq!(0.07 * 100.0, 7.000_000_000_000_001);
        assert_eq!(Duplicates::new(0.07).prefix(100), 94);
    }

    proptest! {
        #[test]
        fn the_index_finds_what_comparing_with_each_finds(
            texts in prop::collection::vec("[abc]( [abc]){0,12}", 1..40),
            percent in 0u32..=100,
        ) {
            let similarity = f64::from(percent) / 100.0;
            let mut duplicates = Duplicates::new(similarity);
            let mut kept: Vec<(usize, Vec<u64>)> = Vec::new();
            for (index, text) in texts.iter().enumerate() {
                let shingles = shingles(text);
                let expected =
                    kept.iter().find(|(_, k)| jaccard(k, &shingles) >= similarity).map(|k| k.0);
                prop_assert_eq!(duplicates.find(&shingles), expected);
                if expected.is_none() {
                    duplicates.add(index, shingles.clone());
                    kept.push((index, shingles));
                }
            }
        }
    }
}
