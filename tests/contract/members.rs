//! Members that the group knows by name.

use std::time::Duration;

use crossrank::kafka::{KafkaSource, Settings};
use crossrank::stream::RecordSource;

use crate::cluster::Harness;
use crate::suite::{self, Harness as _, claim};

/// A static member that restarts gets its partitions back, and nobody else notices.
pub(crate) async fn come_back_to_their_partitions(h: &Harness<'_>) {
    let topic = h.topic(2).await;
    let member = |name: &str| {
        let settings = h.settings("named", &topic);
        let session_timeout = Duration::from_secs(60);
        Settings { instance_id: Some(name.to_owned()), session_timeout, ..settings }
    };
    let mut first = KafkaSource::start(&member("worker-0")).unwrap();
    let mut second = KafkaSource::start(&member("worker-1")).unwrap();
    // Each claims something while both are there: then each has one partition.
    let (mut of_first, mut of_second) = (None, None);
    while of_first.is_none() || of_second.is_none() {
        for partition in 0..2 {
            h.produce(&topic, partition, &["a record".to_owned()]).await;
        }
        for (source, held) in [(&mut first, &mut of_first), (&mut second, &mut of_second)] {
            let wait = Duration::from_millis(500);
            while let Ok(claimed) = tokio::time::timeout(wait, source.claim()).await {
                let claimed = claimed.unwrap();
                *held = Some(claimed.ack.position().partition.index);
                claimed.ack.published();
            }
        }
        if of_first == of_second {
            (of_first, of_second) = (None, None);
        }
    }
    h.produce(&topic, of_second.unwrap(), &["held".to_owned()]).await;
    let held = claim(&mut second).await;
    first.close(suite::DRAIN).await.unwrap();
    h.produce(&topic, of_first.unwrap(), &["while it was away".to_owned()]).await;
    let mut first = KafkaSource::start(&member("worker-0")).unwrap();
    let again = claim(&mut first).await;
    assert_eq!(Some(again.ack.position().partition.index), of_first, "{}", h.name());
    assert!(!held.ack.is_revoked(), "{}: the other member was disturbed", h.name());
    again.ack.published();
    held.ack.published();
    first.close(suite::DRAIN).await.unwrap();
    second.close(suite::DRAIN).await.unwrap();
}
