use std::time::Duration;

use super::Check;
use crate::config::raw;
use crate::worker;

/// What a dead letter's own headers take on top of its input, with room for a long message.
const DEAD_LETTER_BYTES: usize = 65_536;

const TOPICS: [&str; 3] = ["kafka.input_topic", "worker.output_topic", "worker.dead_letter_topic"];

pub(super) fn checked(check: &mut Check<'_>) -> worker::Settings {
    let raw::Values { kafka, worker, limits, .. } = &check.raw.values;
    let names = [&kafka.input_topic, &worker.output_topic, &worker.dead_letter_topic];
    for (index, (key, name)) in TOPICS.into_iter().zip(names).enumerate() {
        topic(check, key, name);
        let earlier = names.into_iter().take(index).position(|earlier| earlier == name);
        if let Some(other) = earlier.and_then(|position| TOPICS.get(position)) {
            let wrong = format!("{name} is {other} too");
            check.relation(false, &[key, other], wrong, "give each its own topic");
        }
    }

    let (min, max) = (worker.retry_wait_min_ms, worker.retry_wait_max_ms);
    check.relation(
        min <= max,
        &["worker.retry_wait_min_ms", "worker.retry_wait_max_ms"],
        format!("{min} is more than worker.retry_wait_max_ms, {max}"),
        "lower it, or raise worker.retry_wait_max_ms",
    );

    let (produced, input) = (kafka.record_bytes_max, limits.record_bytes_max);
    let needed = input + DEAD_LETTER_BYTES;
    check.relation(
        produced >= needed,
        &["kafka.record_bytes_max", "limits.record_bytes_max"],
        format!(
            "{produced} cannot hold the dead letter of an input of limits.record_bytes_max, {input}"
        ),
        &format!("set it to {needed} or more, or lower limits.record_bytes_max"),
    );

    worker::Settings {
        output_topic: worker.output_topic.clone(),
        dead_letter_topic: worker.dead_letter_topic.clone(),
        sets_max: worker.sets_max,
        bytes_max: worker.bytes_max,
        ordering: match (kafka.delivery, worker.ordering) {
            // Transactions keep the order of a partition, and so that of each key. To publish one after
            // another besides would put one output of a lane into each.
            (raw::Delivery::ExactlyOnce, _) | (_, raw::Ordering::Unordered) => {
                worker::OutputOrder::Unordered
            }
            (_, raw::Ordering::Key) => worker::OutputOrder::Key,
            (_, raw::Ordering::Partition) => worker::OutputOrder::Partition,
        },
        breaker: worker::BreakerSettings {
            run_max: Some(worker.breaker_run_max).filter(|&max| max > 0),
            // No share is more than all.
            share_max: Some(worker.breaker_share_max).filter(|&max| max < 1.0),
            window: worker.breaker_window,
        },
        shutdown_timeout: Duration::from_millis(worker.shutdown_timeout_ms),
        retry_wait_min: Duration::from_millis(min),
        retry_wait_max: Duration::from_millis(max),
    }
}

/// Kafka's own rule for names.
fn topic(check: &mut Check<'_>, key: &str, name: &str) {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.chars().all(legal) && name.len() <= 249 && !matches!(name, "." | "..") {
        return;
    }
    let remedy = "use at most 249 letters, digits, dots, dashes and underscores";
    check.problem(key, format!("{name:?} is not a legal topic name"), remedy);
}
