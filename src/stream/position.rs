use std::fmt;
use std::sync::Arc;

/// One partition of one topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number.
    pub index: i32,
}

/// Counts the assignments of partitions to this process.
///
/// A broker checks the generation of a commit, not whether its partition is still ours, so a
/// result that belongs to an earlier assignment is told apart by its epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// Where a record stands, and under which assignment it was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The record's partition.
    pub partition: Partition,
    /// The record's own offset (not the next one).
    pub offset: i64,
    /// The assignment under which the record was claimed.
    pub epoch: Epoch,
}

// === impl Partition ===

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.index)
    }
}

// === impl Position ===

impl fmt::Display for Position {
    /// `topic/partition/offset`: the identity that every output carries.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.offset)
    }
}
