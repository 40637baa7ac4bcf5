use std::ffi::CStr;

use rdkafka::bindings::{
    rd_kafka_consumer_group_metadata, rd_kafka_consumer_group_metadata_destroy,
    rd_kafka_consumer_group_metadata_generation_id, rd_kafka_consumer_group_metadata_member_id,
};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};

use crate::kafka::context::Context;

/// The metadata by which the brokers tell this member from others, and from what it was before.
///
/// `None` while the consumer is no member, as after its session has expired. Its metadata then names no
/// generation, and the brokers take offsets for that without a question: transactions of producers from
/// before KIP-447 name none. A worker that was thought dead could commit what others have answered since.
pub(super) fn of(consumer: &BaseConsumer<Context>) -> Option<ConsumerGroupMetadata> {
    let before = generation(consumer)?;
    let metadata = consumer.group_metadata()?;
    // What it holds cannot be looked at; what stood before and after it, stands in it.
    (generation(consumer)? == before).then_some(metadata)
}

/// The generation that the consumer is a member of; with the brokers' protocol the member's epoch.
fn generation(consumer: &BaseConsumer<Context>) -> Option<i32> {
    // SAFETY: the client lives through the call. The metadata is ours until it is destroyed, once, and its
    // texts live as long; `member_id` is null or ends with a zero.
    unsafe {
        let metadata = rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
        if metadata.is_null() {
            return None;
        }
        let generation = rd_kafka_consumer_group_metadata_generation_id(metadata);
        let member = rd_kafka_consumer_group_metadata_member_id(metadata);
        let is_named = !member.is_null() && !CStr::from_ptr(member).is_empty();
        rd_kafka_consumer_group_metadata_destroy(metadata);
        (generation >= 0 && is_named).then_some(generation)
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;

    use super::*;
    use crate::kafka::InProcessCluster;
    use crate::kafka::client::tests::settings;

    #[test]
    fn a_consumer_that_is_no_member_has_no_metadata_to_commit_with() {
        let cluster = InProcessCluster::start(&[("in", 1)]).unwrap();
        let (context, _events) = Context::new("consumer", &settings());
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.brokers()).set("group.id", "group");
        let consumer: BaseConsumer<Context> = config.create_with_context(context).unwrap();
        assert!(consumer.group_metadata().is_some(), "there is some, that says nothing");
        assert!(of(&consumer).is_none());
    }
}
