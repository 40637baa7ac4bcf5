#![no_main]

#[path = "../properties/completed.rs"]
mod completed;
#[path = "../properties/memory.rs"]
mod memory;

#[global_allocator]
static ALLOCATOR: memory::Guarded = memory::Guarded;

libfuzzer_sys::fuzz_target!(|data: &[u8]| completed::run(data));
