//! Worker processes on three brokers, while one thing after another goes wrong: the audit of
//! `tests/audit`, for as long as you like. Needs Java and Maven, and a system with signals.
//!
//! ```text
//! cargo run --release --example audit -- --messages 1000000 --faults 200 --seed 1
//! ```

#[cfg(unix)]
mod command;
#[cfg(unix)]
#[path = "../../tests/audit/harness/mod.rs"]
mod harness;
#[cfg(unix)]
#[path = "../../tests/support/kafka.rs"]
mod kafka;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// That of the program, since the workers are this one too.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    #[cfg(unix)]
    return command::main();
    #[cfg(not(unix))]
    ExitCode::FAILURE
}
