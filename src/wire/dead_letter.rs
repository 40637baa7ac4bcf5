/// Names of headers.
pub mod header {
    /// `topic/partition/offset` of the input: the identity by which a reader drops duplicates.
    pub const SOURCE: &str = "crossrank-source";
    /// On an input: when nobody waits for it any more; read by
    /// [`decode_deadline`](crate::wire::decode_deadline).
    pub const DEADLINE: &str = "crossrank-deadline";
    /// Topic that the record was read from.
    pub const DLQ_TOPIC: &str = "__dlq.errors.topic";
    /// Its partition.
    pub const DLQ_PARTITION: &str = "__dlq.errors.partition";
    /// Its offset.
    pub const DLQ_OFFSET: &str = "__dlq.errors.offset";
    /// The consumer group that gave up on it.
    pub const DLQ_GROUP: &str = "__dlq.errors.group";
    /// What is wrong with it, for people.
    pub const DLQ_MESSAGE: &str = "__dlq.errors.message";
    /// Where it failed: a [`Stage`](super::Stage).
    pub const DLQ_STAGE: &str = "crossrank.dlq.stage";
    /// What is wrong with it, for programs: one word that stays the same between versions.
    pub const DLQ_CODE: &str = "crossrank.dlq.code";
    /// How often it was tried.
    pub const DLQ_ATTEMPTS: &str = "crossrank.dlq.attempts";
    /// Bytes of the input's value, where the dead letter topic did not take it and the dead letter
    /// has none; the input stands where topic, partition and offset say.
    pub const DLQ_VALUE_BYTES: &str = "crossrank.dlq.value_bytes";

    /// How often the record was put back from the dead letter topic. It stays with the record when
    /// that is answered or set aside again.
    pub const REPLAYS: &str = "crossrank-replays";

    /// Whether crossrank writes this header itself, so that one that came with the input (a dead
    /// letter sent through again, an output used as input) is replaced instead of repeated.
    pub fn is_written_by_us(name: &str) -> bool {
        name == SOURCE || is_dead_letter(name)
    }

    /// Whether this header tells of a dead letter.
    pub fn is_dead_letter(name: &str) -> bool {
        name.starts_with("__dlq.errors.") || name.starts_with("crossrank.dlq.")
    }
}

/// Characters of a message that are kept.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// Why a record is set aside. The record itself stays as it is: key, value and headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter<'a> {
    /// Topic that the record was read from.
    pub topic: &'a str,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The consumer group that gave up on it.
    pub group: &'a str,
    /// Where it failed.
    pub stage: Stage,
    /// What is wrong with it, for programs; see [`DecodeError::code`](super::DecodeError::code).
    pub code: &'a str,
    /// How often it was tried, the last time included.
    pub attempts: u32,
    /// What is wrong with it, for people. Without query or passage text.
    pub message: &'a str,
}

/// Where a record failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It is not a candidate set.
    Decode,
    /// It could not be scored.
    Score,
    /// Its answer could not be put together.
    Assemble,
    /// The broker refuses its answer.
    Publish,
}

// === impl Stage ===

impl Stage {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Score => "score",
            Self::Assemble => "assemble",
            Self::Publish => "publish",
        }
    }
}

// === impl DeadLetter ===

impl DeadLetter<'_> {
    /// The headers to add to the record, all of them UTF-8 text.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        vec![
            (header::DLQ_TOPIC, self.topic.to_owned()),
            (header::DLQ_PARTITION, self.partition.to_string()),
            (header::DLQ_OFFSET, self.offset.to_string()),
            (header::DLQ_GROUP, self.group.to_owned()),
            (header::DLQ_MESSAGE, self.message.chars().take(MESSAGE_CHARS_MAX).collect()),
            (header::DLQ_STAGE, self.stage.as_str().to_owned()),
            (header::DLQ_CODE, self.code.to_owned()),
            (header::DLQ_ATTEMPTS, self.attempts.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_tell_place_and_cause_and_a_long_message_is_cut() {
        let message = "é".repeat(MESSAGE_CHARS_MAX + 1);
        let dead = DeadLetter {
            topic: "sets",
            partition: 2,
            offset: 41,
            group: "g",
            stage: Stage::Decode,
            code: "empty_query",
            attempts: 1,
            message: &message,
        };
        let headers = dead.headers();
        let value = |name: &str| &headers.iter().find(|header| header.0 == name).unwrap().1;
        assert_eq!(value("__dlq.errors.offset"), "41");
        assert_eq!(value("crossrank.dlq.code"), "empty_query");
        assert_eq!(value("__dlq.errors.message").chars().count(), MESSAGE_CHARS_MAX);
        assert!(headers.iter().all(|(name, _)| header::is_dead_letter(name)));
    }

    #[test]
    fn only_our_own_headers_are_replaced() {
        assert!(header::is_written_by_us("crossrank-source"));
        assert!(header::is_written_by_us("__dlq.errors.topic"));
        assert!(!header::is_written_by_us("traceparent"));
        assert!(!header::is_written_by_us("tenant"));
        assert!(!header::is_written_by_us(header::REPLAYS), "it must survive another dead letter");
    }
}
