//! Sets that expire, under each policy: from the record to the answer, the dead letter and the counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crossrank::engine::{Deadline, Late, PairError, PairScore, ScoreRequest, SetScores};
use crossrank::rank::Cuts;
use crossrank::stream::{Header, LocalBroker, Record};
use crossrank::telemetry::{Counts, Snapshot};
use crossrank::wire::Results;
use crossrank::worker::{AnswerSettings, Deadlines, LatePolicy, Reranker};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::stage::*;

/// When every test begins.
const BEGIN_MS: i64 = 1_795_435_200_000;
const RESERVE: Duration = Duration::from_millis(20);
/// What a passage takes.
const PASSAGE: Duration = Duration::from_millis(10);

fn begin() -> Timestamp {
    Timestamp::from_millisecond(BEGIN_MS).unwrap()
}

/// Scores one passage after the other, and keeps to the deadline as an engine does.
fn scorer() -> TestScorer {
    TestScorer::new(|request: ScoreRequest| async move {
        let mut scores: SetScores = scores(&request);
        let wanted = scores.pairs.len();
        let fit = match request.deadline {
            None | Some(Deadline { late: Late::Score, .. }) => wanted,
            Some(Deadline { at, late }) => {
                let left = at.saturating_duration_since(Instant::now().into_std());
                match (left.as_millis() / PASSAGE.as_millis()) as usize {
                    fit if fit < wanted && late == Late::Drop => 0,
                    fit => fit.min(wanted),
                }
            }
        };
        let late = PairScore { tokens_read: 0, ..PairScore::new(Err(PairError::Late), 4) };
        scores.pairs.iter_mut().skip(fit).for_each(|pair| *pair = late.clone());
        tokio::time::sleep(PASSAGE * fit as u32).await;
        Ok(scores)
    })
}

fn reranker(late: LatePolicy) -> Reranker<TestScorer> {
    let answers = AnswerSettings {
        limits: limits(),
        cuts: Cuts::default(),
        deadlines: Deadlines { late, reserve: RESERVE },
        results: Results::Full,
        context: None,
    };
    let started = Instant::now();
    let clock =
        move || begin().checked_add(SignedDuration::try_from(started.elapsed()).unwrap()).unwrap();
    Reranker::new(scorer(), answers, Arc::new(Counts::default())).with_clock(clock)
}

/// A set of ten, of which each is better than the one before; it expires so many milliseconds after
/// the beginning.
fn set_of_ten(expires_ms: i64) -> Record {
    let candidate =
        |place: usize| json!({"id": format!("d{place}"), "text": "x".repeat(place + 1)});
    let expires_at = begin().checked_add(SignedDuration::from_millis(expires_ms)).unwrap();
    record(&json!({
        "request_id": "0", "query": "q", "expires_at": expires_at.to_string(),
        "candidates": (0..10).map(candidate).collect::<Vec<_>>(),
    }))
}

/// What became of one record: the answer or dead letter, when, and the counts.
async fn outcome(late: LatePolicy, record: Record) -> (Result<Value, Record>, Duration, Snapshot) {
    outcome_of(reranker(late), record).await
}

async fn outcome_of(
    reranker: Reranker<TestScorer>,
    record: Record,
) -> (Result<Value, Record>, Duration, Snapshot) {
    let (broker, started) = (broker(1), Instant::now());
    broker.produce(INPUT, 0, record);
    let worker = Running::answering(&broker, reranker, settings());
    let records = |broker: &LocalBroker| {
        let (output, dead) = (broker.records(OUTPUT), broker.records(DEAD));
        assert!(output.len() + dead.len() <= 1);
        (output, dead)
    };
    eventually(&broker, |broker| {
        let (output, dead) = records(broker);
        output.len() + dead.len() == 1
    })
    .await;
    let took = started.elapsed();
    eventually(&broker, |broker| committed(broker, 1) == 1).await;
    let counts = Arc::clone(&worker.counts);
    worker.stop().await.unwrap();
    let (output, mut dead) = records(&broker);
    let outcome = match output.first() {
        Some(answer) => Ok(json_of(answer)),
        None => Err(dead.remove(0).record),
    };
    (outcome, took, counts.snapshot())
}

fn ids(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap()).collect()
}

/// Those that were scored, best first, then the others in first-stage order.
fn ranked(scored: usize) -> Vec<String> {
    (0..scored).rev().chain(scored..10).map(|place| format!("d{place}")).collect()
}

fn header(letter: &Record, name: &str) -> String {
    String::from_utf8(letter.header(name).unwrap().to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn partial_scores_the_candidates_that_there_is_time_for() {
    let (answer, took, counts) = outcome(LatePolicy::Partial, set_of_ten(65)).await;
    let answer = answer.unwrap();
    assert!(took <= Duration::from_millis(65), "{took:?}");
    assert_eq!(ids(&answer), ranked(4));
    assert_eq!((&answer["status"], &answer["reason"]), (&json!("partial"), &json!("deadline")));
    assert_eq!(answer["results"][4]["reason"], "deadline");
    assert_eq!((&answer["usage"]["pairs"], &answer["usage"]["tokens"]), (&json!(4), &json!(16)));
    assert_eq!((counts.sets_late_partial, counts.sets_partial, counts.candidates_late), (1, 1, 6));
}

#[tokio::test(start_paused = true)]
async fn partial_passes_through_where_there_is_time_for_none() {
    let (answer, took, counts) = outcome(LatePolicy::Partial, set_of_ten(15)).await;
    let answer = answer.unwrap();
    assert!(took <= Duration::from_millis(15), "{took:?}");
    assert_eq!(ids(&answer), ranked(0));
    assert_eq!((&answer["status"], &answer["reason"]), (&json!("passthrough"), &json!("deadline")));
    assert_eq!((counts.sets_late_passthrough, counts.candidates_late), (1, 10));
}

#[tokio::test(start_paused = true)]
async fn passthrough_scores_nothing_of_a_set_that_is_late() {
    let (answer, took, counts) = outcome(LatePolicy::Passthrough, set_of_ten(119)).await;
    let answer = answer.unwrap();
    assert!(took <= Duration::from_millis(119), "{took:?}");
    assert_eq!(ids(&answer), ranked(0));
    assert_eq!((&answer["status"], &answer["reason"]), (&json!("passthrough"), &json!("deadline")));
    assert_eq!((counts.sets_late_passthrough, counts.sets_passthrough), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn fail_makes_a_dead_letter_of_a_set_that_is_late() {
    for (expires_ms, message) in [(119, "could not be scored"), (-7, "expired 7 ms before")] {
        let (letter, took, counts) = outcome(LatePolicy::Fail, set_of_ten(expires_ms)).await;
        let letter = letter.unwrap_err();
        assert!(took <= Duration::from_millis(119), "{took:?}");
        assert_eq!(header(&letter, "crossrank.dlq.code"), "deadline_missed");
        assert_eq!(header(&letter, "crossrank.dlq.stage"), "score");
        assert!(header(&letter, "__dlq.errors.message").contains(message));
        assert_eq!((counts.sets_late_failed, counts.dead_letters), (1, 1));
        assert_eq!((counts.sets_published, counts.sets_late_passthrough), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn late_scores_a_set_that_is_late_or_had_expired() {
    for expires_ms in [65, 0, -1_000] {
        let (answer, took, counts) = outcome(LatePolicy::Late, set_of_ten(expires_ms)).await;
        let answer = answer.unwrap();
        assert!(took >= PASSAGE * 10, "{took:?}");
        assert_eq!(ids(&answer), ranked(10));
        assert_eq!((&answer["status"], &answer["reason"]), (&json!("reranked"), &Value::Null));
        assert_eq!((counts.sets_late_scored, counts.candidates_late), (1, 0), "{expires_ms}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_set_that_has_the_time_is_reranked_and_counts_as_no_miss() {
    use LatePolicy::{Fail, Late, Partial, Passthrough};
    for late in [Passthrough, Partial, Fail, Late] {
        let (answer, _, counts) = outcome(late, set_of_ten(125)).await;
        assert_eq!(ids(&answer.unwrap()), ranked(10), "{late:?}");
        let missed = counts.iter().filter(|(name, _)| name.contains("late")).map(|(_, n)| n);
        assert_eq!(missed.sum::<u64>(), 0, "{late:?}: {counts}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_set_that_had_expired_says_so() {
    for late in [LatePolicy::Passthrough, LatePolicy::Partial] {
        for expires_ms in [0, -86_400_000] {
            let (answer, took, counts) = outcome(late, set_of_ten(expires_ms)).await;
            let answer = answer.unwrap();
            assert_eq!(took, Duration::ZERO);
            assert_eq!(ids(&answer), ranked(0));
            assert_eq!(answer["status"], "passthrough");
            assert_eq!(answer["reason"], "expired");
            assert_eq!(counts.sets_late_passthrough, 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_may_say_when_a_set_expires_and_the_earlier_time_counts() {
    let partly = |record: Record, deadline: &str| Record {
        headers: vec![Header::text("crossrank-deadline", deadline)],
        ..record
    };
    let milliseconds = (BEGIN_MS + 65).to_string();
    let cases = [
        (partly(set_of_ten(1_000), &milliseconds), 4),
        (partly(set_of_ten(1_000), "2026-11-23T12:00:00.065Z"), 4),
        (partly(set_of_ten(65), "2026-11-23T12:00:01Z"), 4),
        (partly(set_of_ten(65), "9223372036854775807"), 4),
        (partly(set(0), "2001-01-01T00:00:00Z"), 0),
    ];
    for (record, scored) in cases {
        let (answer, ..) = outcome(LatePolicy::Partial, record.clone()).await;
        let answer = answer.unwrap();
        assert_eq!(answer["usage"]["pairs"], scored, "{:?}", record.headers);
        assert_ne!(answer["status"], "reranked");
    }
    let null = Header { name: "crossrank-deadline".to_owned(), value: None };
    let record = Record { headers: vec![null], ..set(0) };
    let (answer, ..) = outcome(LatePolicy::Partial, record).await;
    assert_eq!(answer.unwrap()["status"], "reranked", "null counts as absent");
}

#[tokio::test(start_paused = true)]
async fn a_header_that_cannot_be_read_makes_a_dead_letter() {
    let headers = vec![Header::text("crossrank-deadline", "tomorrow")];
    let (letter, ..) = outcome(LatePolicy::Late, Record { headers, ..set(0) }).await;
    let letter = letter.unwrap_err();
    assert_eq!(header(&letter, "crossrank.dlq.code"), "invalid_deadline");
    assert_eq!(header(&letter, "crossrank.dlq.stage"), "decode");
    assert!(header(&letter, "__dlq.errors.message").contains("header crossrank-deadline"));
    assert_eq!(header(&letter, "crossrank-deadline"), "tomorrow");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_while_a_set_is_scored_changes_nothing_for_it() {
    for step_ms in [3_600_000, -3_600_000] {
        let now = Arc::new(AtomicI64::new(BEGIN_MS));
        // The clock is set after it was read for the first time.
        let clock =
            move || Timestamp::from_millisecond(now.fetch_add(step_ms, Ordering::SeqCst)).unwrap();
        let reranker = reranker(LatePolicy::Partial).with_clock(clock);
        let (answer, took, counts) = outcome_of(reranker, set_of_ten(65)).await;
        assert_eq!(ids(&answer.unwrap()), ranked(4));
        assert!(took <= Duration::from_millis(65));
        assert_eq!((counts.sets_late_partial, counts.sets_late_scored), (1, 0));
    }
}
