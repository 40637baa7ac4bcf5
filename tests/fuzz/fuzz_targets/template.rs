#![no_main]

#[path = "../properties/fuel.rs"]
mod fuel;
#[path = "../properties/memory.rs"]
mod memory;
#[path = "../properties/template.rs"]
mod template;

#[global_allocator]
static ALLOCATOR: memory::Guarded = memory::Guarded;

libfuzzer_sys::fuzz_target!(|data: &[u8]| template::run(data));
