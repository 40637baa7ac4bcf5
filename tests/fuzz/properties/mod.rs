//! One file a fuzz target: what must hold of any input. The fuzzer and `tests/corpus.rs` run the same.

pub(crate) mod candidate_set;
pub(crate) mod completed;
pub(crate) mod configuration;
mod fuel;
pub(crate) mod headers;
pub(crate) mod memory;
mod scorer;
pub(crate) mod template;
