use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;

/// The first characters of the text form; a later form begins otherwise.
const VERSION: &str = "crossrank1:";

/// Offsets of one partition that are settled above what is committed.
///
/// Its text form travels as the metadata of a commit, so that whoever reads the partition next need
/// not score them again: runs of settled records and the gaps between them, counted from the
/// committed offset, as LEB128 numbers in Base64. What does not fit into the metadata is left out,
/// highest offsets first, and read again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completed(BTreeSet<i64>);

// === impl Completed ===

impl Completed {
    /// What a broker takes as the metadata of a commit, unless told otherwise
    /// (`offset.metadata.max.bytes`).
    pub const TEXT_BYTES_MAX: usize = 4096;
    /// Offsets that are read from a text at most: far more than any worker has uncommitted.
    const OFFSETS_MAX: u64 = 1 << 20;

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `offset` is among them.
    pub fn contains(&self, offset: i64) -> bool {
        self.0.contains(&offset)
    }

    /// The text form, for a commit of the offset `committed`; empty where there is nothing to say.
    pub fn to_text(&self, committed: i64) -> String {
        // Four characters of Base64 for three bytes.
        let bytes_max = (Self::TEXT_BYTES_MAX - VERSION.len()) / 4 * 3;
        let mut bytes = Vec::new();
        let mut end = committed;
        let mut offsets = self.0.range(committed..).copied().peekable();
        while let Some(first) = offsets.next() {
            let mut next = first + 1;
            while offsets.next_if_eq(&next).is_some() {
                next += 1;
            }
            let before = bytes.len();
            write_number(&mut bytes, first.abs_diff(end));
            write_number(&mut bytes, next.abs_diff(first));
            if bytes.len() > bytes_max {
                bytes.truncate(before);
                break;
            }
            end = next;
        }
        if bytes.is_empty() {
            return String::new();
        }
        format!("{VERSION}{}", BASE64_STANDARD_NO_PAD.encode(bytes))
    }

    /// Reads the text form that was committed with the offset `committed`. Whatever it does not
    /// understand, such as the metadata of another program, is no offset at all: nothing is lost by
    /// scoring a record again.
    pub fn from_text(text: &str, committed: i64) -> Self {
        Self::read(text, committed).unwrap_or_default()
    }

    fn read(text: &str, committed: i64) -> Option<Self> {
        let encoded = text.strip_prefix(VERSION).filter(|_| text.len() <= Self::TEXT_BYTES_MAX)?;
        let bytes = BASE64_STANDARD_NO_PAD.decode(encoded).ok()?;
        let mut bytes = bytes.iter().copied().peekable();
        let (mut offsets, mut end, mut total) = (BTreeSet::new(), committed, 0);
        while bytes.peek().is_some() {
            let (gap, run) = (read_number(&mut bytes)?, read_number(&mut bytes)?);
            total += run.min(Self::OFFSETS_MAX + 1);
            if total > Self::OFFSETS_MAX {
                return None;
            }
            let first = end.checked_add_unsigned(gap)?;
            end = first.checked_add_unsigned(run)?;
            offsets.extend(first..end);
        }
        Some(Self(offsets))
    }
}

impl FromIterator<i64> for Completed {
    fn from_iter<T: IntoIterator<Item = i64>>(offsets: T) -> Self {
        Self(offsets.into_iter().collect())
    }
}

/// LEB128: seven bits a byte, the lowest first; the eighth says that more follow.
fn write_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read_number(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..63).step_by(7) {
        let byte = bytes.next()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_can_be_read(
            committed in 0..i64::MAX / 2,
            above in prop::collection::btree_set(0..2_000_i64, 0..300),
        ) {
            let completed: Completed = above.iter().map(|above| committed + above).collect();
            let text = completed.to_text(committed);
            prop_assert!(text.len() <= Completed::TEXT_BYTES_MAX);
            prop_assert_eq!(Completed::from_text(&text, committed), completed);
        }

        #[test]
        fn whatever_else_stands_there_is_ignored(
            text in prop_oneof![
                any::<String>(),
                "crossrank1:[A-Za-z0-9+/]{0,64}",
                "crossrank[0-9]:[A-Za-z0-9+/=]{0,5000}",
            ],
            committed in any::<i64>(),
        ) {
            let completed = Completed::from_text(&text, committed);
            prop_assert!(completed.0.range(..committed).next().is_none());
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_from_the_top() {
        let all: Completed = (0..20_000).step_by(2).collect();
        let text = all.to_text(0);
        assert!(text.len() <= Completed::TEXT_BYTES_MAX);
        let read = Completed::from_text(&text, 0);
        assert!(read.0.len() > 1_000);
        assert!(all.0.iter().zip(&read.0).all(|(a, b)| a == b), "a prefix");
    }

    #[test]
    fn a_run_costs_as_much_as_a_single_offset() {
        let run: Completed = (10..100).collect();
        assert!(run.to_text(5).len() < VERSION.len() + 6);
        assert_eq!(Completed::default().to_text(5), "");
    }

    #[test]
    fn a_text_that_claims_too_much_is_not_believed() {
        let mut bytes = Vec::new();
        write_number(&mut bytes, 0);
        write_number(&mut bytes, u64::MAX >> 2);
        let text = format!("{VERSION}{}", BASE64_STANDARD_NO_PAD.encode(bytes));
        assert!(Completed::from_text(&text, 0).is_empty());
    }
}
