#![no_main]

#[path = "../properties/configuration.rs"]
mod configuration;
#[path = "../properties/fuel.rs"]
mod fuel;
#[path = "../properties/memory.rs"]
mod memory;

#[global_allocator]
static ALLOCATOR: memory::Guarded = memory::Guarded;

libfuzzer_sys::fuzz_target!(|data: &[u8]| configuration::run(data));
