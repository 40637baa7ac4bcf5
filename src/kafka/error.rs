use std::io;
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Why a source, a sink or a probe could not start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// librdkafka does not take the property.
    #[error(
        "librdkafka refuses the property {property}: {reason}; correct kafka.client.{property}"
    )]
    Property {
        /// The property.
        property: String,
        /// What librdkafka said.
        reason: String,
    },
    /// librdkafka does not take the properties together, or cannot read a file that they name.
    #[error("cannot create the Kafka client: {reason}; correct the kafka section")]
    Client {
        /// What librdkafka said.
        reason: String,
    },
    /// Nothing answers.
    #[error(
        "no broker answered at {brokers} within {waited:.1?} ({detail}); check kafka.brokers, that \
         the brokers run, and that kafka.security matches their listener"
    )]
    NoBroker {
        /// The configured brokers.
        brokers: String,
        /// How long it was tried.
        waited: Duration,
        /// The last thing that librdkafka reported.
        detail: String,
    },
    /// No address for the name.
    #[error("cannot resolve {brokers} within {waited:.1?} ({detail}); check kafka.brokers and DNS")]
    Dns {
        /// The configured brokers.
        brokers: String,
        /// How long it was tried.
        waited: Duration,
        /// What the resolver said.
        detail: String,
    },
    /// The encrypted connection was not established.
    #[error(
        "no TLS connection to {brokers} ({detail}); check kafka.security.ca_file, that the names \
         in the brokers' certificate are those in kafka.brokers, and that this listener speaks TLS"
    )]
    Tls {
        /// The configured brokers.
        brokers: String,
        /// What librdkafka reported.
        detail: String,
    },
    /// The brokers know somebody else, or another password.
    #[error(
        "the brokers at {brokers} refuse the credentials of {principal} ({detail}); check \
         kafka.security.sasl"
    )]
    Credentials {
        /// The configured brokers.
        brokers: String,
        /// Who we said we are.
        principal: String,
        /// What the broker said.
        detail: String,
    },
    /// The topics are not there.
    #[error(
        "missing topics: {}; create them, or correct kafka.input_topic, worker.output_topic and \
         worker.dead_letter_topic",
        topics.join(", ")
    )]
    TopicMissing {
        /// The topics.
        topics: Vec<String>,
    },
    /// We may not see the topic.
    #[error(
        "{principal} may not use topic {topic}; grant it Read and Describe on the input topic, \
         Write and Describe on the others"
    )]
    TopicUnauthorized {
        /// The topic.
        topic: String,
        /// Who we are to the brokers.
        principal: String,
    },
    /// We may not use the group.
    #[error("{principal} may not use consumer group {group}; grant it Read on the group")]
    GroupUnauthorized {
        /// The group.
        group: String,
        /// Who we are to the brokers.
        principal: String,
    },
    /// The cluster answers, but is not ready.
    #[error(
        "the cluster is not ready after {waited:.1?}: {subject}: {detail}; look at its brokers"
    )]
    NotReady {
        /// The topic or the group.
        subject: String,
        /// How long it was tried.
        waited: Duration,
        /// What the broker said.
        detail: String,
    },
    /// Transactions are not for us, or not for these brokers.
    #[error(
        "{principal} may not use transactional id {id} ({detail}); grant it Write and Describe on it, or set \
         kafka.delivery = \"at-least-once\""
    )]
    Transactions {
        /// The transactional id.
        id: String,
        /// Who we are to the brokers.
        principal: String,
        /// What the brokers said.
        detail: String,
    },
    /// No thread.
    #[error("cannot start the thread {name}")]
    Thread {
        /// Its name.
        name: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// What an error code of librdkafka or a broker means to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Passes, or is repaired by the client itself.
    Transient,
    /// Not one broker can be reached.
    Unreachable,
    /// A broker's name has no address.
    Dns,
    /// No encrypted connection.
    Tls,
    /// We are not who we say we are.
    Credentials,
    /// The topic is not there.
    TopicMissing,
    /// We may not use the topic.
    TopicUnauthorized,
    /// We may not use the group.
    GroupUnauthorized,
    /// The record will never be taken.
    RecordRefused,
    /// The client is beyond repair, or the broker will never do what it is asked.
    Fatal,
}

// === impl Meaning ===

impl Meaning {
    /// The one place that reads error codes. The list of codes is open: one that is not named here
    /// is retried, and says so in the log, which cannot lose anything.
    pub(super) fn of(code: RDKafkaErrorCode) -> Self {
        use RDKafkaErrorCode as Code;
        match code {
            Code::AllBrokersDown | Code::BrokerTransportFailure => Self::Unreachable,
            Code::Resolve => Self::Dns,
            Code::SSL => Self::Tls,
            Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState
            | Code::SecurityDisabled => Self::Credentials,
            Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::UnknownPartition
            | Code::UnknownTopicId
            | Code::InvalidTopic => Self::TopicMissing,
            Code::TopicAuthorizationFailed => Self::TopicUnauthorized,
            Code::GroupAuthorizationFailed => Self::GroupUnauthorized,
            Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidRecord
            | Code::InvalidTimestamp
            | Code::PolicyViolation
            | Code::UnsupportedForMessageFormat => Self::RecordRefused,
            Code::Fatal
            | Code::ClusterAuthorizationFailed
            | Code::Fenced
            | Code::FencedInstanceId
            | Code::UnreleasedInstanceId
            | Code::InconsistentGroupProtocol
            | Code::InvalidGroupId
            | Code::InvalidSessionTimeout
            | Code::GroupMaxSizeReached
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature
            | Code::UnsupportedCompressionType
            | Code::InvalidRequiredAcks => Self::Fatal,
            _ => Self::Transient,
        }
    }
}

/// The error of creating a client. Never repeats a value: it may be a secret.
pub(super) fn creation_error(error: KafkaError) -> StartError {
    match error {
        KafkaError::ClientConfig(_, reason, property, _) => {
            StartError::Property { property, reason }
        }
        other => StartError::Client { reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_to_a_tenth_of_a_second() {
        let error = StartError::NoBroker {
            brokers: "b:9092".to_owned(),
            waited: Duration::from_nanos(3_048_821_233),
            detail: "refused".to_owned(),
        };
        assert!(
            error.to_string().starts_with("no broker answered at b:9092 within 3.0s (refused)")
        );
    }
}
