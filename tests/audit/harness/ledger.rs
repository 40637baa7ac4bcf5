//! What was seen: made of numbers, so that a million records fit.

use std::time::Duration;

/// A record that the brokers have acknowledged to the producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    pub(crate) id: u32,
    pub(crate) key: Option<u32>,
}

/// Which topic an end was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Outputs,
    Letters,
}

/// An output or a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Where it stands itself.
    pub(crate) offset: u32,
    /// When it was published, in milliseconds since the run began.
    pub(crate) published_ms: u32,
    /// The input that it says it answers, and where that stands.
    pub(crate) id: u32,
    pub(crate) input: (u16, u32),
    /// Of all of its content but times.
    pub(crate) fingerprint: u64,
    /// Whether the content is what that input leads to.
    pub(crate) is_right: bool,
}

/// The ends of one partition, in its order.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    pub(crate) topic: Topic,
    pub(crate) partition: u16,
    pub(crate) ends: Vec<End>,
}

/// What was committed at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// One for each input partition; `None` where nothing was committed yet.
    pub(crate) committed: Vec<Option<u32>>,
    /// The end of each partition of [`Ledger::ends`], looked up after that.
    pub(crate) limits: Vec<u32>,
}

/// A fault, from its beginning to that of the next one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) begun_ms: u32,
    /// Records that may have been published again because of it.
    pub(crate) repeats_max: u32,
}

/// The most memory that any worker had at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) at: Duration,
    pub(crate) bytes: u64,
}

/// All that is known of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Partition, then offset.
    pub(crate) inputs: Vec<Vec<Input>>,
    /// One for each partition of both topics.
    pub(crate) ends: Vec<Ends>,
    pub(crate) samples: Vec<Sample>,
    /// Samples that could not be taken.
    pub(crate) not_sampled: usize,
    pub(crate) windows: Vec<Window>,
    pub(crate) memory: Vec<Memory>,
    /// What may help to understand a finding: some of the wrong ends, and why there is no sample.
    pub(crate) notes: Vec<String>,
}

// === impl Ledger ===

impl Ledger {
    pub(crate) fn new(inputs: usize, outputs: usize, letters: usize) -> Self {
        let empty = |topic, partition: usize| Ends {
            topic,
            partition: u16::try_from(partition).expect("few partitions"),
            ends: Vec::new(),
        };
        let outputs = (0..outputs).map(|partition| empty(Topic::Outputs, partition));
        let letters = (0..letters).map(|partition| empty(Topic::Letters, partition));
        let ends = outputs.chain(letters).collect();
        Self { inputs: vec![Vec::new(); inputs], ends, ..Self::default() }
    }

    /// The ends of that partition.
    pub(crate) fn ends_of(&mut self, topic: Topic, partition: i32) -> &mut Ends {
        let is_it =
            |ends: &&mut Ends| ends.topic == topic && i32::from(ends.partition) == partition;
        self.ends.iter_mut().find(is_it).expect("a partition of the run")
    }

    /// Inputs in all partitions.
    pub(crate) fn produced(&self) -> usize {
        self.inputs.iter().map(Vec::len).sum()
    }
}
