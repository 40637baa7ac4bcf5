use std::collections::VecDeque;
use std::time::Duration;

use super::super::letter::tests::letter;
use super::*;
use crate::stream::{Header, LocalBroker, PublishFailure};

/// Letters that a test wrote down, and the one input that is still there.
struct Written {
    letters: VecDeque<StoredRecord>,
    original: Option<Record>,
}

impl Letters for Written {
    async fn next(&mut self) -> Option<Result<StoredRecord, ReadError>> {
        self.letters.pop_front().map(Ok)
    }

    async fn original(&mut self, _: &Origin) -> Result<Option<Record>, ReadError> {
        Ok(self.original.clone())
    }
}

/// What a run did: its summary, why it ended early, what it wrote, and what is in the topic.
struct Outcome {
    summary: Summary,
    failure: Option<ReplayError>,
    out: String,
    values: Vec<String>,
}

fn plan() -> Plan {
    let filter =
        Filter { topic: "sets".to_owned(), until_ms: 9_000, replays_max: 3, ..Filter::default() };
    Plan { filter, limit: None, rate: None, dry_run: false }
}

async fn run(
    plan: &Plan,
    broker: &LocalBroker,
    letters: Vec<StoredRecord>,
    original: Option<Record>,
    stop: impl Future<Output = ()>,
) -> Outcome {
    let (sink, mut out) = (broker.sink(), Vec::new());
    let mut letters = Written { letters: letters.into(), original };
    let moving = Moving::new(plan, &sink, &mut out, ProgressBar::hidden());
    let (summary, failure) = moving.run(&mut letters, stop).await.unwrap();
    let text = |stored: StoredRecord| {
        String::from_utf8(stored.record.value.unwrap_or_default().to_vec()).unwrap()
    };
    let values = broker.records("sets").into_iter().map(text).collect();
    Outcome { summary, failure, out: String::from_utf8(out).unwrap(), values }
}

fn broker() -> LocalBroker {
    LocalBroker::new().topic("sets", 1)
}

fn letters(offsets: std::ops::Range<i64>) -> Vec<StoredRecord> {
    offsets.map(|offset| letter(offset, "code", &[])).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_chosen_goes_back_in_its_order_and_the_rest_is_counted() {
    let broker = broker();
    let mut all = letters(0..1_000);
    all.push(letter(1_000, "other", &[("crossrank-replays", "3")]));
    all.push(letter(8_500, "code", &[]));
    let mut foreign = letter(1_002, "code", &[]);
    foreign.record.headers.clear();
    all.push(foreign);
    let done = run(&plan(), &broker, all, None, std::future::pending()).await;
    assert!(done.failure.is_none());
    assert_eq!(done.values, (0..1_000).map(|n| format!("value {n}")).collect::<Vec<_>>());
    let expected = Summary {
        read: 1_003,
        sent: 1_000,
        codes: [("code".to_owned(), 1_000)].into(),
        not_meant: 1,
        too_often: 1,
        foreign: 1,
        next_ms: Some(9_000),
        is_whole: true,
        ..Summary::default()
    };
    assert_eq!(done.summary, expected);
    assert!(done.summary.to_string().contains("--since 1970-01-01T00:00:09Z"));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_sends_nothing_and_tells_no_text() {
    let broker = broker();
    let plan = Plan { dry_run: true, ..plan() };
    let done = run(&plan, &broker, letters(0..2), None, std::future::pending()).await;
    assert!(done.values.is_empty());
    assert_eq!(done.summary.sent, 2);
    assert_eq!(
        done.out,
        "0/0\t1970-01-01T00:00:01Z\tcode\tsets/1/0\n0/1\t1970-01-01T00:00:01.001Z\tcode\tsets/1/1\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_limit_says_where_to_go_on() {
    let broker = broker();
    let plan = Plan { limit: Some(3), ..plan() };
    let done = run(&plan, &broker, letters(0..5), None, std::future::pending()).await;
    assert!(done.failure.is_none());
    assert_eq!((done.values.len(), done.summary.sent), (3, 3));
    assert_eq!((done.summary.next_ms, done.summary.is_whole), (Some(1_003), false));
    let done = run(&plan, &broker, letters(0..3), None, std::future::pending()).await;
    assert!(done.summary.is_whole, "the limit was enough");
}

#[tokio::test(start_paused = true)]
async fn a_failure_says_what_was_sent_and_what_was_not() {
    let broker = broker();
    let done = run(&plan(), &broker, letters(0..2), None, std::future::pending()).await;
    assert_eq!(done.summary.sent, 2);
    // Those behind it are on their way by then, and count as what they become.
    broker.fail_next_publish("sets", PublishFailure::Retryable, 1);
    let done = run(&plan(), &broker, letters(2..5), None, std::future::pending()).await;
    let Some(ReplayError::Publish { place, .. }) = &done.failure else { panic!("no failure") };
    assert_eq!(place, "0/2");
    assert_eq!(done.summary.failed, 1);
    assert_eq!(done.summary.sent as usize, done.values.len() - 2, "what is acknowledged counts");
    assert_eq!((done.summary.next_ms, done.summary.is_whole), (Some(1_002), false));
}

#[tokio::test(start_paused = true)]
async fn a_stop_says_how_far_it_came() {
    let broker = broker();
    let plan = Plan { rate: NonZeroU32::new(10), ..plan() };
    let stop = tokio::time::sleep(Duration::from_millis(1_050));
    let done = run(&plan, &broker, letters(0..100), None, stop).await;
    assert!(matches!(done.failure, Some(ReplayError::Stopped)));
    assert_eq!((done.values.len(), done.summary.sent), (11, 11));
    assert_eq!((done.summary.next_ms, done.summary.is_whole), (Some(1_011), false));
}

#[tokio::test(start_paused = true)]
async fn a_value_that_was_left_out_comes_from_the_input_or_is_reported() {
    let mut small = letter(0, "code", &[]);
    small.record.value = None;
    small.record.headers.push(Header::text("crossrank.dlq.value_bytes", "8"));
    let original =
        Record { key: Some("key".into()), value: Some("original".into()), ..Record::default() };
    let broker = broker();
    let stop = std::future::pending;
    let done = run(&plan(), &broker, vec![small.clone()], Some(original), stop()).await;
    assert_eq!((done.values, done.summary.sent), (vec!["original".to_owned()], 1));
    let done = run(&plan(), &broker, vec![small], None, stop()).await;
    assert_eq!((done.summary.sent, done.summary.gone), (0, 1));
    assert!(done.summary.is_whole);
}
