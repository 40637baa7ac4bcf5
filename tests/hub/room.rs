use crossrank::engine::{Memory, Precision};

use crate::*;

/// What is kept free for others on the disk.
const SPARE_BYTES: u64 = 64 << 20;

/// Bytes of the files that are fetched.
fn whole() -> u64 {
    let wanted = tiny().into_iter().filter(|(name, _)| !name.contains(".bin"));
    wanted.map(|(_, content)| content.len() as u64).sum()
}

fn nothing_was_fetched(stage: &Stage) {
    for seen in stage.server.seen() {
        let asked = seen.method == "HEAD" || seen.path.starts_with("/api/");
        assert!(asked, "{seen:?}");
    }
}

#[test]
fn a_disk_that_is_too_small_is_told_before_the_first_byte() {
    let stage = Stage::honest();
    let too_small = Settings { free_bytes: |_| Ok(SPARE_BYTES + whole() - 1), ..stage.settings() };
    let refusal = stage.obtain_with(too_small, None).unwrap_err().to_string();
    let cache = stage.cache.path().display().to_string();
    for part in ["1 MB are to be fetched", &cache, "67 MB are free", "free some", "HF_HUB_CACHE"] {
        assert!(refusal.contains(part), "{part} is not in {refusal}");
    }
    nothing_was_fetched(&stage);
    let enough = Settings { free_bytes: |_| Ok(SPARE_BYTES + whole()), ..stage.settings() };
    stage.obtain_with(enough, None).unwrap();
}

#[test]
fn a_size_beyond_any_disk_is_told_too() {
    let stage = Stage::new(|seen| {
        let huge = vec![
            ("X-Linked-Etag", format!("\"{}\"", "a".repeat(64))),
            ("X-Linked-Size", "18000000000000000000".to_owned()),
            ("Location", "http://localhost:1/".to_owned()),
        ];
        seen.path.ends_with(WEIGHTS).then_some(Instead::Status(302, huge))
    });
    let refusal = stage.refusal(None);
    assert!(refusal.contains("MB are to be fetched"), "{refusal}");
    nothing_was_fetched(&stage);
}

#[test]
fn what_is_here_already_needs_no_room() {
    let stage = Stage::honest();
    stage.obtain(None).unwrap();
    let full = Settings { free_bytes: |_| Ok(0), ..stage.settings() };
    stage.obtain_with(full, None).unwrap();
}

#[test]
fn weights_beyond_all_memory_are_not_fetched() {
    let stage = Stage::honest();
    let with = |precision, total: usize| {
        let memory = Memory { total: total as u64, free: total as u64 };
        Settings { demand: Some(Demand { precision, memory }), ..stage.settings() }
    };
    let bytes = weights().len();
    let refused = |precision, total| {
        let error = stage.obtain_with(with(precision, total), None).unwrap_err();
        assert!(matches!(error, HubError::NoMemory { .. }), "{error}");
        let told = error.to_string();
        for part in [ID, &precision.to_string(), "MB of memory", "in all", "smaller model"] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
        assert!(stage.server.downloads().is_empty());
        assert!(!is_there(&stage.weights_link()));
    };
    // The file's header is a part of its size, so that there is no doubt about less.
    refused(Precision::F32, bytes / 2);
    refused(Precision::Int8, bytes / 5);
    stage.obtain_with(with(Precision::Int8, bytes - bytes / 100), None).unwrap();
}
