//! As much of Kafka's protocol as it takes to leave the brokers out of a metadata answer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

const METADATA: i16 = 3;
/// From this version on, lengths are varints and structures end with tagged fields.
const FLEXIBLE: i16 = 9;

/// The metadata requests of one connection that have no answer yet: correlation id → version.
#[derive(Default)]
pub(super) struct Asked(Mutex<HashMap<i32, i16>>);

/// Reads an answer from its start.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    is_flexible: bool,
}

// === impl Asked ===

impl Asked {
    /// Notes a request, if it asks for metadata.
    pub(super) fn note(&self, request: &[u8]) {
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
    pub(super) fn take(&self, answer: &[u8]) -> Option<i16> {
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

/// The answer with an empty list of brokers, and all else as it was.
pub(super) fn without_brokers(answer: &[u8], version: i16) -> Vec<u8> {
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

#[cfg(test)]
mod tests {
    #[allow(unused_imports, reason = "a bench that uses this has no tests")]
    use super::*;

    fn old(brokers: &[(i32, &str)]) -> Vec<u8> {
        // Version 1, as its protocol page has it.
        let mut answer = 7_i32.to_be_bytes().to_vec();
        answer.extend(i32::try_from(brokers.len()).unwrap().to_be_bytes());
        for (id, host) in brokers {
            answer.extend(id.to_be_bytes());
            answer.extend(i16::try_from(host.len()).unwrap().to_be_bytes());
            answer.extend(host.as_bytes());
            answer.extend(9092_i32.to_be_bytes());
            answer.extend((-1_i16).to_be_bytes()); // no rack
        }
        answer.extend(b"controller and topics");
        answer
    }

    fn flexible(brokers: &[(i32, &str)]) -> Vec<u8> {
        // Version 12: a header with a tagged field of two bytes, a throttle time, compact lengths.
        let mut answer = 7_i32.to_be_bytes().to_vec();
        answer.extend([1, 0, 2, 0xaa, 0xbb]);
        answer.extend(0_i32.to_be_bytes());
        answer.push(u8::try_from(brokers.len()).unwrap() + 1);
        for (id, host) in brokers {
            answer.extend(id.to_be_bytes());
            let length = host.len() + 1;
            match u8::try_from(length) {
                Ok(short) if short < 0x80 => answer.push(short),
                _ => answer.extend([(length & 0x7f) as u8 | 0x80, (length >> 7) as u8]),
            }
            answer.extend(host.as_bytes());
            answer.extend(9092_i32.to_be_bytes());
            answer.extend([5, b'r', b'a', b'c', b'k']);
            answer.push(0); // no tagged fields
        }
        answer.extend(b"cluster, controller and topics");
        answer
    }

    #[test]
    fn a_metadata_answer_loses_its_brokers_and_nothing_else() {
        let long = "a-host-with-a-long-name.".repeat(8);
        let brokers = [(1, "one"), (2, long.as_str()), (3, "")];
        assert_eq!(without_brokers(&old(&brokers), 1), old(&[]));
        assert_eq!(without_brokers(&flexible(&brokers), 12), flexible(&[]));
        assert_eq!(without_brokers(&flexible(&[]), 12), flexible(&[]));
    }

    #[test]
    fn only_the_answer_to_a_metadata_request_is_one() {
        let request = |key: i16, version: i16, id: i32| {
            [&key.to_be_bytes()[..], &version.to_be_bytes(), &id.to_be_bytes(), b"rest"].concat()
        };
        let asked = Asked::default();
        asked.note(&request(METADATA, 12, 7));
        asked.note(&request(18, 3, 8));
        asked.note(b"short");
        assert_eq!(asked.take(&old(&[])), Some(12));
        assert_eq!(asked.take(&old(&[])), None, "it is answered once");
        assert_eq!(asked.take(&8_i32.to_be_bytes()), None, "it asked for something else");
    }
}
