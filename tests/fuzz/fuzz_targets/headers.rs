#![no_main]

#[path = "../properties/headers.rs"]
mod headers;
#[path = "../properties/memory.rs"]
mod memory;
#[path = "../properties/scorer.rs"]
mod scorer;

#[global_allocator]
static ALLOCATOR: memory::Guarded = memory::Guarded;

libfuzzer_sys::fuzz_target!(|data: &[u8]| headers::run(data));
