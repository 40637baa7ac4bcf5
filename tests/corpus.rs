//! Every input that a fuzzer found worth keeping, through the properties of its target. `tests/fuzz`
//! says what they are, and how the fuzzer is run.

use std::path::{Path, PathBuf};

#[path = "fuzz/properties/mod.rs"]
mod properties;

use properties::memory;

#[global_allocator]
static ALLOCATOR: memory::Guarded = memory::Guarded;

/// The inputs of a target, in the order of their names.
fn inputs(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap();
    let mut inputs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    inputs
}

fn holds_for_all(target: &str, property: fn(&[u8])) {
    let inputs = inputs(target);
    assert!(inputs.len() > 10, "{} inputs of {target}", inputs.len());
    for path in inputs {
        let input = std::fs::read(&path).unwrap();
        let held = std::panic::catch_unwind(|| property(&input));
        assert!(held.is_ok(), "it does not hold for {}", path.display());
    }
}

#[test]
fn candidate_sets_are_answered_or_refused() {
    holds_for_all("candidate_set", properties::candidate_set::run);
}

#[test]
fn completed_offsets_are_read_as_they_were_written() {
    holds_for_all("completed", properties::completed::run);
}

#[test]
fn configurations_load_or_say_what_is_wrong() {
    holds_for_all("configuration", properties::configuration::run);
}

#[test]
fn records_keep_their_headers_on_every_way() {
    holds_for_all("headers", properties::headers::run);
}

#[test]
fn templates_stay_within_their_budget() {
    holds_for_all("template", properties::template::run);
}

/// Negative control: the limit that the properties run under.
#[test]
fn an_allocation_above_the_limit_fails() {
    let fails =
        |bytes| memory::within(1_000, || Vec::<u8>::new().try_reserve_exact(bytes).is_err());
    assert!(!fails(1_000));
    assert!(fails(1_001));
    assert!(Vec::<u8>::new().try_reserve_exact(1_001).is_ok(), "it ends with its body");
}
