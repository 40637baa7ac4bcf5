//! What goes first.

use super::*;

#[test]
fn the_set_with_the_earliest_deadline_goes_first() {
    let stage = Stage::start(SIZES);
    let now = Instant::now();
    let soon = |ms| now + Duration::from_millis(ms);
    let sets = [
        stage.set(&[16]),
        numbered(&[1]).since(soon(2)),
        numbered(&[2]).since(soon(1)),
        numbered(&[3]).since(now).deadline(now + Duration::from_secs(3600)),
        numbered(&[4]).since(now).deadline(soon(800)),
        numbered(&[5]).since(now).deadline(soon(200)),
        // Shares pair 2, and cannot wait as long.
        numbered(&[2]).since(now).deadline(soon(500)),
    ];
    let replies = sets.map(|set| stage.send(set));
    stage.answer_one();
    let order: Vec<u64> = (0..5)
        .map(|_| {
            let batch = stage.answer_one();
            (1..6).find(|&number| is(&batch, number)).unwrap()
        })
        .collect();
    assert_eq!(order, [5, 2, 4, 3, 1], "a far deadline is worth as much as none");
    replies.into_iter().for_each(|reply| drop(logits(reply)));
    stage.end();
}

#[test]
fn a_set_is_not_overtaken_by_what_comes_much_later_whatever_its_deadline() {
    let stage = Stage::start(SIZES);
    let now = Instant::now() + PATIENCE;
    let past = now - PATIENCE;
    let sets = [
        stage.set(&[16]),
        numbered(&[1]).since(now - Duration::from_secs(1)),
        numbered(&[2]).since(now).deadline(past),
        numbered(&[3]).since(now - Duration::from_secs(1) - PATIENCE),
    ];
    let replies = sets.map(|set| stage.send(set));
    stage.answer_one();
    assert!(is(&stage.answer_one(), 3), "it has waited long enough");
    assert!(is(&stage.answer_one(), 2) && is(&stage.answer_one(), 1));
    replies.into_iter().for_each(|reply| drop(logits(reply)));
    stage.end();
}
