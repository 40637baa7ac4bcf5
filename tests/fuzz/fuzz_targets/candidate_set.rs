#![no_main]

#[path = "../properties/candidate_set.rs"]
mod candidate_set;
#[path = "../properties/memory.rs"]
mod memory;
#[path = "../properties/scorer.rs"]
mod scorer;

#[global_allocator]
static ALLOCATOR: memory::Guarded = memory::Guarded;

libfuzzer_sys::fuzz_target!(|data: &[u8]| candidate_set::run(data));
