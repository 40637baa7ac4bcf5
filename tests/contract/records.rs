//! What every sink promises, and what a record keeps on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crossrank::stream::{
    Epoch, Header, Partition, Position, PublishError, Record, RecordSink, RecordSource,
};

use crate::suite::{DRAIN, Harness, RECORD_BYTES_MAX, claim};

/// The place of a record that answers nothing.
fn no_input() -> Position {
    let partition = Partition { topic: "none".into(), index: 0 };
    Position { partition, offset: 0, epoch: Epoch::default() }
}

pub(crate) async fn a_record_comes_back_as_it_was_written<H: Harness>(h: &H) {
    let topic = h.topic(1).await;
    let header = |name: &str, value: Option<&'static [u8]>| Header {
        name: name.to_owned(),
        value: value.map(Into::into),
    };
    let headers = vec![
        header("repeated", Some(b"first")),
        header("null", None),
        header("empty", Some(b"")),
        header("binary", Some(&[0, 159, 146, 150, 255])),
        header("repeated", Some(b"second")),
        header("größe", Some("ü".as_bytes())),
    ];
    let bytes = |value: &'static [u8]| Some(value.into());
    let records = [
        Record {
            key: bytes(b"k"),
            value: bytes(b"v"),
            headers,
            timestamp_ms: Some(1_700_000_000_123),
        },
        Record { key: None, value: bytes(b"no key"), ..Record::default() },
        Record { key: bytes(b"tombstone"), value: None, ..Record::default() },
        Record { key: bytes(b""), value: bytes(b""), ..Record::default() },
        Record { key: bytes(&[0, 255]), value: bytes(&[255, 0]), ..Record::default() },
    ];
    let sink = h.sink().await;
    let mut source = h.source("round trip", &topic, DRAIN).await;
    for record in records {
        sink.publish(&topic, record.clone(), &no_input()).await.unwrap();
        let mut claimed = claim(&mut source).await;
        claimed.ack.published();
        if record.timestamp_ms.is_none() {
            claimed.record.timestamp_ms = None;
        }
        assert_eq!(claimed.record, record, "{}", h.name());
    }
    source.close(DRAIN).await.unwrap();
}

pub(crate) async fn a_published_record_can_be_read<H: Harness>(h: &H) {
    let topic = h.topic(3).await;
    let sink = Arc::new(h.sink().await);
    let publishes: Vec<_> = (0..500)
        .map(|number| {
            let (sink, topic) = (Arc::clone(&sink), topic.clone());
            let key = Some(format!("key {}", number % 7).into());
            let value = Some(number.to_string().into());
            tokio::spawn(async move {
                let record = Record { key, value, ..Record::default() };
                sink.publish(&topic, record, &no_input()).await
            })
        })
        .collect();
    for publish in publishes {
        publish.await.unwrap().unwrap();
    }
    let records = h.records(&topic).await;
    let values: BTreeSet<_> = records.iter().map(|stored| stored.record.value.clone()).collect();
    assert_eq!((records.len(), values.len()), (500, 500), "{}", h.name());
    let mut homes: BTreeMap<_, BTreeSet<i32>> = BTreeMap::new();
    for stored in records {
        homes.entry(stored.record.key).or_default().insert(stored.partition);
    }
    assert!(homes.values().all(|home| home.len() == 1), "{}: {homes:?}", h.name());
    sink.flush(Duration::ZERO).await.unwrap();
}

pub(crate) async fn a_record_that_is_too_large_is_refused<H: Harness>(h: &H) {
    let topic = h.topic(1).await;
    let sink = h.sink().await;
    let of_size =
        |bytes: usize| Record { value: Some(vec![b'x'; bytes].into()), ..Record::default() };
    match sink.publish(&topic, of_size(RECORD_BYTES_MAX + 1), &no_input()).await {
        Err(PublishError::Refused { topic: named, .. }) => assert_eq!(named, topic),
        other => panic!("{}: expected a refusal, got {other:?}", h.name()),
    }
    sink.publish(&topic, of_size(RECORD_BYTES_MAX / 2), &no_input()).await.unwrap();
    assert_eq!(h.records(&topic).await.len(), 1, "{}", h.name());
}
