//! The metadata of a commit → offsets → the metadata of the next commit.

use crossrank::stream::Completed;

use super::memory;

/// Reads the text that begins at the ninth byte as committed with the offset that the first eight are,
/// and writes a set of offsets that the bytes stand for.
///
/// # Panics
/// Where a property does not hold that is promised of any input.
pub(crate) fn run(data: &[u8]) {
    let Some((committed, rest)) = data.split_first_chunk() else { return };
    let committed = i64::from_be_bytes(*committed);
    // A million offsets are read at most, in a tree of small nodes.
    memory::within(1 << 20, || {
        let text = String::from_utf8_lossy(rest);
        assert_stable(&Completed::from_text(&text, committed), committed);
        assert_stable(&above(committed, rest), committed);
    });
}

/// What is written is read as the same offsets, or the lowest of them where not all fit.
fn assert_stable(completed: &Completed, committed: i64) {
    let text = completed.to_text(committed);
    assert!(text.len() <= Completed::TEXT_BYTES_MAX, "{} bytes", text.len());
    let read = Completed::from_text(&text, committed);
    assert_eq!(read.to_text(committed), text);
    if text.len() < Completed::TEXT_BYTES_MAX - 30 {
        assert_eq!(&read, completed, "all of them fit");
    }
}

/// Offsets with the gaps between them that `steps` are.
fn above(committed: i64, steps: &[u8]) -> Completed {
    let mut next = committed;
    let step = |step: &u8| {
        next = next.checked_add(i64::from(*step))?;
        // What is settled has a next offset, which can be committed.
        (next < i64::MAX).then_some(next)
    };
    steps.iter().map_while(step).collect()
}
