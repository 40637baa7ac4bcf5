use bytes::Bytes;

use crate::stream::{Header, Record, StoredRecord};
use crate::wire::header;

/// A dead letter of crossrank's, as it stands in its topic.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) stored: StoredRecord,
    /// Where its input stands.
    pub(super) origin: Origin,
    pub(super) code: String,
    pub(super) stage: String,
    /// How often its input was put back before.
    pub(super) replays: u32,
    /// Bytes of the input's value, where the dead letter has none for its size.
    pub(super) left_out: Option<usize>,
}

/// `topic/partition/offset` of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

// === impl Letter ===

impl Letter {
    /// `None` where its headers do not tell what crossrank tells: somebody else set it aside.
    pub(super) fn read(stored: StoredRecord) -> Option<Self> {
        let record = &stored.record;
        let origin = Origin {
            topic: text(record, header::DLQ_TOPIC)?,
            partition: number(record, header::DLQ_PARTITION)?,
            offset: number(record, header::DLQ_OFFSET)?,
        };
        let (code, stage) = (text(record, header::DLQ_CODE)?, text(record, header::DLQ_STAGE)?);
        let replays = number(record, header::REPLAYS).unwrap_or(0);
        let left_out = match record.value {
            None => number(record, header::DLQ_VALUE_BYTES),
            Some(_) => None,
        };
        Some(Self { origin, code, stage, replays, left_out, stored })
    }

    /// The input as it was, but for the count of its replays: the last of its headers.
    pub(super) fn restore(self) -> Record {
        let Record { key, value, mut headers, .. } = self.stored.record;
        headers.retain(|h| !header::is_dead_letter(&h.name) && h.name != header::REPLAYS);
        let replays = self.replays.saturating_add(1);
        headers.push(Header::text(header::REPLAYS, replays.to_string()));
        // Retention counts from when it is sent.
        Record { key, value, headers, timestamp_ms: None }
    }

    /// Puts the value back that was left out, if `original` is the record that it was left out of.
    pub(super) fn complete(&mut self, original: Option<Record>) -> bool {
        let Some(bytes) = self.left_out else { return true };
        let record = &mut self.stored.record;
        let original = original.filter(|original| original.key == record.key);
        // A tombstone's dead letter says 0 bytes where its headers alone were too large at first.
        match original {
            Some(Record { value, .. }) if value.as_ref().map_or(0, Bytes::len) == bytes => {
                record.value = value;
                self.left_out = None;
                true
            }
            Some(_) | None => false,
        }
    }
}

fn text(record: &Record, name: &str) -> Option<String> {
    let value = record.header(name)?;
    std::str::from_utf8(value).ok().map(str::to_owned)
}

fn number<N: std::str::FromStr>(record: &Record, name: &str) -> Option<N> {
    text(record, name)?.parse().ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::wire::{DeadLetter, Stage};

    /// The dead letter of the record at `sets/1/offset`, with these headers of its own before.
    pub(crate) fn letter(offset: i64, code: &str, own: &[(&str, &str)]) -> StoredRecord {
        let dead = DeadLetter {
            topic: "sets",
            partition: 1,
            offset,
            group: "g",
            stage: Stage::Decode,
            code,
            attempts: 1,
            message: "no",
        };
        let own = own.iter().map(|(name, value)| Header::text(*name, *value));
        let ours = dead.headers().into_iter().map(|(name, value)| Header::text(name, value));
        let record = Record {
            key: Some("key".into()),
            value: Some(format!("value {offset}").into()),
            headers: own.chain(ours).collect(),
            timestamp_ms: Some(1_000 + offset),
        };
        StoredRecord { partition: 0, offset, record }
    }

    #[test]
    fn an_input_comes_back_as_it_was_but_for_the_count() {
        let mut stored = letter(7, "invalid_json", &[("b", "1"), ("a", "2"), ("b", "3")]);
        stored.record.headers.push(Header { name: "null".to_owned(), value: None });
        let read = Letter::read(stored).unwrap();
        let origin = Origin { topic: "sets".to_owned(), partition: 1, offset: 7 };
        assert_eq!((&read.origin, read.code.as_str(), read.replays), (&origin, "invalid_json", 0));
        let record = read.restore();
        assert_eq!(record.key.as_deref(), Some(b"key".as_slice()));
        assert_eq!(record.value.as_deref(), Some(b"value 7".as_slice()));
        let mut headers: Vec<_> =
            [("b", "1"), ("a", "2"), ("b", "3")].map(|(n, v)| Header::text(n, v)).into();
        headers.push(Header { name: "null".to_owned(), value: None });
        headers.push(Header::text("crossrank-replays", "1"));
        assert_eq!(record.headers, headers);
    }

    #[test]
    fn the_count_of_replays_goes_on() {
        let read = Letter::read(letter(7, "x", &[("crossrank-replays", "2"), ("a", "")])).unwrap();
        assert_eq!(read.replays, 2);
        let headers = read.restore().headers;
        assert_eq!(headers, [Header::text("a", ""), Header::text("crossrank-replays", "3")]);
    }

    #[test]
    fn what_somebody_else_set_aside_is_none_of_ours() {
        let mut stored = letter(7, "x", &[]);
        stored.record.headers.retain(|h| h.name != "__dlq.errors.offset");
        assert!(Letter::read(stored).is_none());
    }

    #[test]
    fn a_value_that_was_left_out_is_taken_from_the_same_record_only() {
        let mut stored = letter(7, "x", &[]);
        stored.record.value = None;
        stored.record.headers.push(Header::text("crossrank.dlq.value_bytes", "5"));
        let original = |key: &'static str, value: &'static str| {
            Some(Record { key: Some(key.into()), value: Some(value.into()), ..Record::default() })
        };
        let mut read = Letter::read(stored).unwrap();
        assert!(!read.complete(None));
        assert!(!read.complete(original("key", "longer")));
        assert!(!read.complete(original("other", "value")));
        assert!(read.complete(original("key", "value")));
        assert_eq!(read.restore().value.as_deref(), Some(b"value".as_slice()));
    }

    #[test]
    fn a_tombstone_has_no_value_to_look_for() {
        let mut stored = letter(7, "null_value", &[]);
        stored.record.value = None;
        let mut read = Letter::read(stored.clone()).unwrap();
        assert!(read.complete(None));
        assert_eq!(read.restore().value, None);
        stored.record.headers.push(Header::text("crossrank.dlq.value_bytes", "0"));
        let original = Record { key: stored.record.key.clone(), ..Record::default() };
        let mut read = Letter::read(stored).unwrap();
        assert!(read.complete(Some(original)), "refused at first, it is one all the same");
        assert_eq!(read.restore().value, None);
    }
}
