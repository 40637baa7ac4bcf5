//! As much of Kafka's protocol as it takes to leave the brokers out of a metadata answer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

pub(crate) const METADATA: i16 = 3;
/// From this version on, lengths are varints and structures end with tagged fields.
const FLEXIBLE: i16 = 9;

/// The metadata requests of one connection that have no answer yet: correlation id → version.
#[derive(Default)]
pub(crate) struct Asked(Mutex<HashMap<i32, i16>>);

/// Reads an answer from its start.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    is_flexible: bool,
}

// === impl Asked ===

impl Asked {
    /// Notes a request, if it asks for metadata.
    pub(crate) fn note(&self, request: &[u8]) {
        let Some((head, _)) = request.split_at_checked(8) else {
            return;
        };
        let short = |at: usize| i16::from_be_bytes([head[at], head[at + 1]]);
        if short(0) == METADATA {
            let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            asked.insert(correlation(&head[4..]), short(2));
        }
    }

    /// The version of the request that this answers, if it asked for metadata.
    pub(crate) fn take(&self, answer: &[u8]) -> Option<i16> {
        let id = correlation(answer.get(..4)?);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }
}

// === impl Reader ===

impl Reader<'_> {
    fn int(&mut self) -> i32 {
        self.at += 4;
        correlation(&self.bytes[self.at - 4..])
    }

    fn varint(&mut self) -> usize {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = self.bytes[self.at];
            self.at += 1;
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }

    fn array(&mut self) -> usize {
        // A compact length is one more, so that zero can be null.
        match self.is_flexible {
            true => self.varint().saturating_sub(1),
            false => usize::try_from(self.int()).unwrap_or(0),
        }
    }

    fn skip_string(&mut self) {
        let length = if self.is_flexible {
            self.varint().saturating_sub(1)
        } else {
            let length = i16::from_be_bytes([self.bytes[self.at], self.bytes[self.at + 1]]);
            self.at += 2;
            usize::try_from(length).unwrap_or(0)
        };
        self.at += length;
    }

    fn skip_tagged_fields(&mut self) {
        if self.is_flexible {
            for _ in 0..self.varint() {
                self.varint();
                self.at += self.varint();
            }
        }
    }
}

/// Who sends this request, if it says.
pub(crate) fn client_id(request: &[u8]) -> Option<&[u8]> {
    // After the kind of the request, its version and its number.
    let (length, rest) = request.get(8..)?.split_first_chunk()?;
    rest.get(..usize::try_from(i16::from_be_bytes(*length)).ok()?)
}

/// The answer with an empty list of brokers, and all else as it was.
pub(crate) fn without_brokers(answer: &[u8], version: i16) -> Vec<u8> {
    let is_flexible = version >= FLEXIBLE;
    let mut reader = Reader { bytes: answer, at: 0, is_flexible };
    reader.int(); // correlation id
    reader.skip_tagged_fields(); // of the header
    if version >= 3 {
        reader.int(); // throttle time
    }
    let start = reader.at;
    for _ in 0..reader.array() {
        reader.int(); // node id
        reader.skip_string(); // host
        reader.int(); // port
        if version >= 1 {
            reader.skip_string(); // rack
        }
        reader.skip_tagged_fields();
    }
    let none: &[u8] = if is_flexible { &[1] } else { &[0; 4] };
    [&answer[..start], none, &answer[reader.at..]].concat()
}

fn correlation(bytes: &[u8]) -> i32 {
    i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
