//! A record's headers → the worker → an output or a dead letter → `crossrank replay`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crossrank::cli;
use crossrank::stream::{Header, LocalBroker, PublishFailure, Record, StoredRecord};
use crossrank::wire::{self, Limits, header};
use crossrank::worker::{BreakerSettings, OutputOrder, Settings, Worker};
use tokio::sync::oneshot;

use super::{memory, scorer};

const INPUT: &str = "candidates";
const OUTPUT: &str = "contexts";
const DEAD: &str = "dead-letters";
const GROUP: &str = "workers";
const LIMITS: Limits = Limits {
    record_bytes_max: 50_000,
    query_chars_max: 500,
    candidates_max: 20,
    candidates_refused_above: 30,
    passage_chars_max: 1_000,
};
/// More than any input can make of its headers on the way.
const BYTES_MAX: usize = 4 << 20;
/// Names that mean something, by the first length that stands for one of them.
const NAMES: [&str; 14] = [
    header::SOURCE,
    header::DEADLINE,
    header::DLQ_TOPIC,
    header::DLQ_PARTITION,
    header::DLQ_OFFSET,
    header::DLQ_GROUP,
    header::DLQ_MESSAGE,
    header::DLQ_STAGE,
    header::DLQ_CODE,
    header::DLQ_ATTEMPTS,
    header::DLQ_VALUE_BYTES,
    header::REPLAYS,
    "__dlq.errors.exception.class.name",
    "traceparent",
];
const NAME_LENGTHS: u8 = 0xf0;
/// Kafka's null, in the place of a value's length.
const NULL: u8 = 0xff;

/// A record with headers, and what the broker does.
struct Case {
    record: Record,
    /// The dead letter topic does not take the record with its value.
    too_large: bool,
}

/// Takes `data` as a record: a byte of flags (1: it is no candidate set, 2: it has no value, 4: it has a
/// key, 8: its dead letter is too large), then headers: length of the name, or 0xf0 and up for one that
/// is known, length of the value, or 0xff for null, name, value.
///
/// # Panics
/// Where a property does not hold that is promised of any input.
pub(crate) fn run(data: &[u8]) {
    let Some((&flags, rest)) = data.split_first() else { return };
    memory::within(BYTES_MAX, || {
        let headers = headers(rest);
        for value in headers.iter().filter_map(|header| header.value.as_ref()) {
            if let Err(error) = wire::decode_deadline(value) {
                let expected = format!("header crossrank-deadline: {} bytes", value.len());
                assert!(error.to_string().starts_with(&expected), "{error}");
            }
        }
        let case = Case::new(flags, headers);
        replayed_as_it_stands(&case.record);
        answered_or_set_aside(&case);
    });
}

fn headers(mut data: &[u8]) -> Vec<Header> {
    let mut headers = Vec::new();
    while let [name, value, rest @ ..] = data {
        data = rest;
        let name = match NAMES.get(usize::from(name.wrapping_sub(NAME_LENGTHS))) {
            Some(known) => (*known).to_owned(),
            // As `kafka` reads one that is not UTF-8.
            None => String::from_utf8_lossy(taken(&mut data, *name)).into_owned(),
        };
        let value = (*value != NULL).then(|| Bytes::copy_from_slice(taken(&mut data, *value)));
        headers.push(Header { name, value });
    }
    headers
}

fn taken<'a>(data: &mut &'a [u8], bytes: u8) -> &'a [u8] {
    let (taken, rest) = data.split_at(usize::from(bytes).min(data.len()));
    *data = rest;
    taken
}

/// Whatever it is, `crossrank replay` takes it for a dead letter or not.
fn replayed_as_it_stands(record: &Record) {
    let stored = StoredRecord { partition: 0, offset: 0, record: record.clone() };
    if let Some(back) = cli::put_back(stored, Some(record.clone())) {
        assert_put_back(record, &back);
    }
}

/// A worker makes one answer or one dead letter of the record, and nothing of it is lost on the way.
fn answered_or_set_aside(case: &Case) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without threads");
    let broker = LocalBroker::new().topic(INPUT, 1).topic(OUTPUT, 1).topic(DEAD, 1);
    if case.too_large {
        broker.fail_next_publish(DEAD, PublishFailure::Refused, 1);
    }
    broker.produce(INPUT, 0, case.record.clone());
    runtime.block_on(worked(&broker));
    let (outputs, letters) = (broker.records(OUTPUT), broker.records(DEAD));
    match (&outputs[..], letters.into_iter().next()) {
        ([output], None) => assert_answered(&case.record, &output.record),
        ([], Some(letter)) => {
            let back = cli::put_back(letter, Some(case.record.clone()));
            assert_put_back(&case.record, &back.expect("a worker's dead letter can be put back"));
        }
        (outputs, letter) => panic!("{} outputs, dead letter: {letter:?}", outputs.len()),
    }
}

/// Runs a worker until it has committed the record.
async fn worked(broker: &LocalBroker) {
    let settings = Settings {
        output_topic: OUTPUT.to_owned(),
        dead_letter_topic: DEAD.to_owned(),
        sets_max: 1,
        bytes_max: 1 << 20,
        shutdown_timeout: Duration::from_secs(20),
        retry_wait_min: Duration::from_millis(100),
        retry_wait_max: Duration::from_secs(10),
        ordering: OutputOrder::Unordered,
        breaker: BreakerSettings { run_max: None, share_max: None, window: 1 },
    };
    let reranker = Arc::new(scorer::reranker(LIMITS));
    let source = broker.source(GROUP, INPUT);
    let worker = Worker::new(source, broker.sink(), reranker, GROUP, settings);
    let (stop, stopped) = oneshot::channel::<()>();
    let committed = async {
        let done = broker.until(|broker| broker.committed(GROUP, INPUT, 0) == Some(1));
        let waited = tokio::time::timeout(Duration::from_secs(3_600), done).await;
        waited.expect("the record is committed");
        drop(stop);
    };
    let stopped = async {
        let _dropped = stopped.await;
    };
    let (ended, ()) = tokio::join!(worker.run(stopped), committed);
    ended.expect("nothing that a record holds ends a worker");
}

fn assert_answered(input: &Record, output: &Record) {
    let source = Header::text(header::SOURCE, format!("{INPUT}/0/0"));
    let others = input.headers.iter().filter(|header| !header::is_written_by_us(&header.name));
    let expected: Vec<&Header> = others.chain([&source]).collect();
    assert_eq!(output.headers.iter().collect::<Vec<_>>(), expected);
    assert_eq!(output.key, input.key);
}

fn assert_put_back(input: &Record, back: &Record) {
    assert_eq!((&back.key, &back.value), (&input.key, &input.value));
    let (count, others) = back.headers.split_last().expect("a count of replays");
    assert_eq!(count.name, header::REPLAYS);
    let digits = count.value.as_deref().and_then(|digits| str::from_utf8(digits).ok());
    assert!(digits.is_some_and(|digits| digits.parse::<u32>().is_ok_and(|count| count > 0)));
    let is_ours = |name: &str| header::is_dead_letter(name) || name == header::REPLAYS;
    assert!(others.iter().eq(input.headers.iter().filter(|header| !is_ours(&header.name))));
}

// === impl Case ===

impl Case {
    fn new(flags: u8, headers: Vec<Header>) -> Self {
        let is = |flag: u8| flags & flag != 0;
        let set = r#"{"request_id":"r","query":"q","candidates":[{"id":"a","text":"t"}]}"#;
        let value = if is(1) { "no candidate set" } else { set };
        let record = Record {
            key: is(4).then(|| Bytes::from_static(b"key")),
            value: (!is(2)).then(|| Bytes::from_static(value.as_bytes())),
            headers,
            timestamp_ms: None,
        };
        Self { record, too_large: is(8) }
    }
}
