use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::LazyLock;

/// Words of a shingle.
const SHINGLE_WORDS: usize = 3;

/// Each byte's lowest bit, and its highest.
const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * LOW;

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
    /// The last of `postings` of each shingle.
    by_shingle: HashMap<u64, usize, BuildHasherDefault<AsItIs>>,
    postings: Vec<Posting>,
}

/// A passage that has a shingle in its prefix.
#[derive(Debug)]
struct Posting {
    /// Its place in `seen`.
    place: usize,
    /// An earlier one of the same shingle.
    earlier: Option<usize>,
}

/// A shingle is a hash already.
#[derive(Debug, Default)]
struct AsItIs(u64);

#[derive(Debug)]
struct Seen {
    index: usize,
    shingles: Vec<u64>,
}

/// Unknown to whoever writes passages, so that they cannot be made to crowd the index.
static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(SHINGLE_WORDS));

/// The hash of a word, byte by byte.
#[derive(Clone, Copy, Debug)]
struct Word {
    state: u64,
    /// The bytes that do not fill eight yet.
    last: u64,
    bytes: u64,
}

// === impl Duplicates ===

impl Duplicates {
    /// Passages at least this similar are duplicates, 0 to 1.
    pub(super) fn new(similarity: f64) -> Self {
        let (seen, postings) = (Vec::new(), Vec::new());
        Self { similarity, seen, by_shingle: HashMap::default(), postings }
    }

    /// The index of the first passage seen that these shingles repeat.
    pub(super) fn find(&self, shingles: &[u64]) -> Option<usize> {
        if self.similarity <= 0.0 {
            return self.seen.first().map(|seen| seen.index);
        }
        let prefix = shingles.iter().take(self.prefix(shingles.len()));
        let mut places = Vec::new();
        for shingle in prefix {
            let mut next = self.by_shingle.get(shingle);
            while let Some(&at) = next {
                let Posting { place, earlier } = &self.postings[at];
                places.push(*place);
                next = earlier.as_ref();
            }
        }
        places.sort_unstable();
        places.dedup();
        let similar = |seen: &&Seen| jaccard(&seen.shingles, shingles) >= self.similarity;
        places.into_iter().map(|place| &self.seen[place]).find(similar).map(|seen| seen.index)
    }

    /// Notes a passage.
    pub(super) fn add(&mut self, index: usize, shingles: Vec<u64>) {
        for shingle in shingles.iter().take(self.prefix(shingles.len())) {
            let earlier = self.by_shingle.insert(*shingle, self.postings.len());
            self.postings.push(Posting { place: self.seen.len(), earlier });
        }
        self.seen.push(Seen { index, shingles });
    }

    fn prefix(&self, shingles: usize) -> usize {
        // The margin keeps a product such as 0.9 * 10 from being rounded past its integer.
        let shared_min = (self.similarity * shingles as f64 - 1e-6).ceil().max(1.0) as usize;
        (shingles + 1).saturating_sub(shared_min)
    }
}

// === impl AsItIs ===

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0 = mix(self.0, u64::from(byte)));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The shingles of `text`, sorted, each once. Never empty.
pub(super) fn shingles(text: &str) -> Vec<u64> {
    let words = words(text);
    let mut shingles: Vec<u64> = match words.len() {
        0 => vec![Word::of(text.trim()).hash()],
        1..SHINGLE_WORDS => vec![run(&words)],
        _ => words.windows(SHINGLE_WORDS).map(run).collect(),
    };
    shingles.sort_unstable();
    shingles.dedup();
    shingles
}

/// The hashes of the words of `text`.
fn words(text: &str) -> Vec<u64> {
    let mut words = Vec::with_capacity(text.len() / 5);
    let none = Word::new();
    let mut word = none;
    let mut rest = text;
    loop {
        let eight = eight(rest.as_bytes());
        let plain = plain(eight);
        word.push_plain(eight, plain);
        let (_, after) = rest.split_at(plain);
        rest = after;
        if plain == 8 {
            continue;
        }
        let mut chars = rest.chars();
        let Some(c) = chars.next() else { break };
        rest = chars.as_str();
        // Letters and digits of ASCII are behind us.
        let alone = !c.is_ascii() && stands_alone(c);
        let goes_on = !alone && !c.is_ascii() && c.is_alphanumeric();
        if !word.is_empty() && !goes_on {
            words.push(word.hash());
            word = none;
        }
        if alone || goes_on {
            c.to_lowercase().for_each(|c| word.push_char(c));
        }
        if alone {
            words.push(word.hash());
            word = none;
        }
    }
    if !word.is_empty() {
        words.push(word.hash());
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

// === impl Word ===

impl Word {
    fn new() -> Self {
        Self { state: *SEED, last: 0, bytes: 0 }
    }

    fn of(text: &str) -> Self {
        let mut word = Self::new();
        text.bytes().for_each(|byte| word.push(byte));
        word
    }

    fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Adds the first `count` of eight ASCII letters, in lower case, and digits. Of these characters,
    /// only capital letters lack the bit 0x20.
    fn push_plain(&mut self, eight: u64, count: usize) {
        let lower = eight | (0x20 * LOW);
        if !self.bytes.is_multiple_of(8) {
            return lower.to_le_bytes().iter().take(count).for_each(|&byte| self.push(byte));
        }
        if count == 8 {
            self.state = mix(self.state, lower);
        } else {
            self.last = lower & ((1 << (8 * count)) - 1);
        }
        self.bytes += count as u64;
    }

    fn push_char(&mut self, c: char) {
        c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| self.push(byte));
    }

    fn push(&mut self, byte: u8) {
        self.last |= u64::from(byte) << (8 * (self.bytes % 8));
        self.bytes += 1;
        if self.bytes.is_multiple_of(8) {
            self.state = mix(self.state, self.last);
            self.last = 0;
        }
    }

    fn hash(self) -> u64 {
        mix(mix(self.state, self.last), self.bytes)
    }
}

/// The first eight bytes, filled up with zeros.
fn eight(bytes: &[u8]) -> u64 {
    if let Some(eight) = bytes.first_chunk() {
        return u64::from_le_bytes(*eight);
    }
    let mut eight = [0; 8];
    eight[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(eight)
}

/// How many of the bytes are ASCII letters and digits, up to the first that is not.
fn plain(eight: u64) -> usize {
    let ascii = eight & !HIGH;
    // The high bit of each byte that is at least `first`; the sums stay within their bytes.
    let from = |bytes: u64, first: u64| bytes + (0x80 - first) * LOW;
    let digit = from(ascii, 0x30) & !from(ascii, 0x3a);
    let lower = ascii | (0x20 * LOW);
    let letter = from(lower, 0x61) & !from(lower, 0x7b);
    ((((digit | letter) & !eight & HIGH) ^ HIGH).trailing_zeros() / 8) as usize
}

/// The hash of some words in this order.
fn run(words: &[u64]) -> u64 {
    words.iter().fold(words.len() as u64, |hash, word| mix(hash, *word))
}

/// Folds `value` into `hash`: the halves of a product, as in wyhash. Chance alone makes two alike, as
/// with any hash that has no secret; who wants a passage to pass for another can copy it.
fn mix(hash: u64, value: u64) -> u64 {
    const ODD: [u64; 2] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db];
    let product = u128::from(hash ^ ODD[0]) * u128::from(value ^ ODD[1]);
    product as u64 ^ (product >> 64) as u64
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
    fn ascii_letters_and_digits_are_told_from_every_other_byte() {
        for byte in 0..=u8::MAX {
            let eight = u64::from_le_bytes([b'a', b'Z', b'0', byte, b'9', 0xff, b'z', b'A']);
            let expected = if byte.is_ascii_alphanumeric() { 5 } else { 3 };
            assert_eq!(plain(eight), expected, "{byte}");
        }
    }

    #[test]
    fn a_word_has_one_hash_however_it_is_written() {
        let of = |text: &str| words(text);
        for word in
            ["a", "seven77", "eight888", "nine99999", "sixteen16sixteen", "seventeen17seve17"]
        {
            let alone = of(word);
            assert_eq!(alone.len(), 1);
            assert_eq!(of(&word.to_uppercase()), alone);
            assert_eq!(of(&format!("({word})")), alone);
            assert_eq!(of(&format!("{word} {word}")), [alone[0]; 2]);
            // Bytes that do not come eight at a time.
            assert_eq!(of(&format!("É{word}é{word}")), of(&format!("é{word}É{word}")));
            assert_ne!(of(&format!("{word}x")), alone);
            assert_ne!(of(&format!("é{word}")), alone);
        }
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
