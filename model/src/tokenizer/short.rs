//! Short words by their bytes, eight at a time.

/// Each byte's lowest bit, and its highest.
const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * LOW;
/// What ASCII letters lack as capitals; digits have it.
const LOWER: u64 = 0x20 * LOW;
/// Spreads keys over the table (Fibonacci hashing).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The tokens of words of up to eight ASCII letters and digits.
///
/// A table with open addressing, at most half full. A vocabulary is fixed and no adversary's, so a
/// plain hash will do.
#[derive(Clone, Debug)]
pub(super) struct ShortWords {
    /// A word, in memory order, filled up with zeros; 0 is a free place.
    slots: Vec<(u64, u32)>,
    shift: u32,
}

// === impl ShortWords ===

impl ShortWords {
    pub(super) fn new<'v>(vocabulary: impl Iterator<Item = (&'v str, u32)>) -> Self {
        let is_short = |word: &str| {
            (1..=8).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        let words: Vec<_> = vocabulary.filter(|(word, _)| is_short(word)).collect();
        let places = (2 * words.len()).next_power_of_two().max(2);
        let shift = u64::BITS - places.trailing_zeros();
        let mut table = Self { slots: vec![(0, 0); places], shift };
        for (word, id) in words {
            let key = eight(word.as_bytes());
            let place = table.place(key);
            table.slots[place] = (key, id);
        }
        table
    }

    /// The token of the word with these bytes.
    pub(super) fn get(&self, key: u64) -> Option<u32> {
        let (found, id) = self.slots[self.place(key)];
        (found == key).then_some(id)
    }

    /// Where `key` is, or would be.
    fn place(&self, key: u64) -> usize {
        let mut place = (key.wrapping_mul(SPREAD) >> self.shift) as usize;
        while self.slots[place].0 != 0 && self.slots[place].0 != key {
            place = (place + 1) % self.slots.len();
        }
        place
    }
}

/// The first eight bytes, filled up with zeros.
pub(super) fn eight(bytes: &[u8]) -> u64 {
    if let Some(eight) = bytes.first_chunk() {
        return u64::from_le_bytes(*eight);
    }
    let mut eight = [0; 8];
    eight[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(eight)
}

/// How many of the bytes are ASCII letters and digits, up to the first that is not.
pub(super) fn plain(eight: u64) -> usize {
    let ascii = eight & !HIGH;
    // The high bit of each byte that is at least `first`; the sums stay within their bytes.
    let from = |bytes: u64, first: u64| bytes + (0x80 - first) * LOW;
    let digit = from(ascii, 0x30) & !from(ascii, 0x3a);
    let lower = ascii | LOWER;
    let letter = from(lower, 0x61) & !from(lower, 0x7b);
    let plain = (digit | letter) & !eight & HIGH;
    (plain ^ HIGH).trailing_zeros() as usize / 8
}

/// How many ASCII letters and digits a text begins with.
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    let mut run = 0;
    loop {
        let plain = plain(eight(&bytes[run..]));
        run += plain;
        if plain < 8 {
            return run;
        }
    }
}

/// The first `bytes` of eight ASCII letters and digits, in lower case where asked for.
pub(super) fn key(eight: u64, bytes: usize, is_lowercase: bool) -> u64 {
    let cased = if is_lowercase { eight | LOWER } else { eight };
    cased & (u64::MAX >> (64 - 8 * bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_told_apart() {
        for byte in 0..=u8::MAX {
            let expected = usize::from(byte.is_ascii_alphanumeric());
            assert_eq!(plain(u64::from(byte)), expected, "{byte}");
            let fourth = [b'a', b'Z', b'0', byte, b'9', 0xff, b'z', b'A'];
            let expected = if byte.is_ascii_alphanumeric() { 5 } else { 3 };
            assert_eq!(plain(u64::from_le_bytes(fourth)), expected, "{byte}");
        }
        assert_eq!(plain(u64::from_le_bytes(*b"az09AZzz")), 8);
        for length in 0..30 {
            let text = "x".repeat(length);
            assert_eq!(plain_run(text.as_bytes()), length);
            assert_eq!(plain_run((text + "-x").as_bytes()), length);
        }
    }

    #[test]
    fn words_are_found_and_others_are_not() {
        let words: Vec<String> = (0..5000).map(|n: u32| format!("w{n}")).collect();
        let table = ShortWords::new((0..).zip(&words).map(|(id, word)| (word.as_str(), id)));
        for (id, word) in (0..).zip(&words) {
            assert_eq!(table.get(eight(word.as_bytes())), Some(id));
        }
        assert_eq!(table.get(eight(b"w5000")), None);
        let capitals = key(eight(b"W17 rest"), 3, true);
        assert_eq!(table.get(capitals), Some(17));
        assert_eq!(table.get(key(eight(b"W17 rest"), 3, false)), None);
        assert_eq!(ShortWords::new(std::iter::empty()).get(eight(b"a")), None);
    }
}
