use bytes::Bytes;

/// One header of a record. Kafka allows a name to occur several times, and a value to be absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The header's name.
    pub name: String,
    /// The header's value; `None` is Kafka's null.
    pub value: Option<Bytes>,
}

/// A record without its place: what a producer sends and a consumer receives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The key; `None` is Kafka's null.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers, in order.
    pub headers: Vec<Header>,
    /// Milliseconds since the Unix epoch, where the broker or the producer gave one.
    pub timestamp_ms: Option<i64>,
}

// === impl Header ===

impl Header {
    /// A header with a text value.
    pub fn text(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: Some(Bytes::from(value.into())) }
    }
}

// === impl Record ===

impl Record {
    /// Bytes of key, value and headers: what the record costs in memory.
    pub fn bytes(&self) -> usize {
        let length = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        let headers: usize = self.headers.iter().map(|h| h.name.len() + length(&h.value)).sum();
        length(&self.key) + length(&self.value) + headers
    }

    /// The value of the last header of this name, as Kafka's own clients read it.
    pub fn header(&self, name: &str) -> Option<&Bytes> {
        self.headers.iter().rev().find(|h| h.name == name).and_then(|h| h.value.as_ref())
    }
}
