//! The packer's own files: it is pure and private to the engine.

#![allow(dead_code, reason = "a part of what the engine uses")]

#[path = "../../src/engine/key.rs"]
mod key;
#[path = "../../src/engine/packer.rs"]
mod packer;

use std::time::Duration;

use crossrank::engine::ModelIdentity;
use crossrank_model::Pair;

use key::{Keyed, Keyer};
use packer::{BatchPacker, Urgency};

const BATCH_TOKENS: usize = 512;
const REPLICAS: usize = 2;

/// Pairs that wait.
pub(crate) struct Pairs(Vec<Keyed>);

/// So many pairs of 20 to 256 tokens, the same ones in every run.
pub(crate) fn pairs(count: usize) -> Pairs {
    let mut random = fastrand::Rng::with_seed(7);
    let word = || "bench".to_owned();
    let model = ModelIdentity {
        id: word(),
        revision: word(),
        precision: word(),
        backend: word(),
        label: None,
    };
    let mut keyer = Keyer::new(&model);
    let pair = |_| {
        let tokens = random.usize(20..=256);
        let ids = (0..tokens).map(|_| random.u32(..30_000)).collect();
        keyer.keyed(Pair { ids, types: vec![0; tokens], truncated: false })
    };
    Pairs((0..count).map(pair).collect())
}

/// All pairs in, then out in batches; returns how many.
pub(crate) fn pack(Pairs(pairs): Pairs) -> usize {
    let mut packer = BatchPacker::new(BATCH_TOKENS, REPLICAS);
    for (seq, pair) in pairs.into_iter().enumerate() {
        // Fifty pairs of a set are due together.
        let due = Duration::from_millis(seq as u64 / 50);
        packer.push(Urgency { due, seq: seq as u64 }, pair);
    }
    let (mut batch, mut batches) = (Vec::new(), 0);
    while packer.tokens() > 0 {
        batch.clear();
        packer.cut(&mut batch);
        batches += 1;
    }
    batches
}
