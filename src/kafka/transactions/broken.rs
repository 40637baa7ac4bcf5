use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Why a transaction was not committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// Nothing of it will be seen once it is aborted.
    Abort(String),
    /// Nobody knows how it stands, or this producer can do no more: another one has to take over.
    Replace(String),
    /// Another producer of the same transactional id took over, or the coordinator gave this one up.
    Fenced(String),
    /// No transaction will ever be taken.
    Fatal(String),
}

/// What a call to librdkafka came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Done,
    /// The same call, once more, goes on where this one ended.
    Again(String),
    Broken(Broken),
}

/// What librdkafka says of an error, and its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) is_retriable: bool,
    pub(super) requires_abort: bool,
    pub(super) code: RDKafkaErrorCode,
}

// === impl Call ===

impl Call {
    pub(super) fn of(result: Result<(), KafkaError>) -> Self {
        match result {
            Ok(()) => Self::Done,
            Err(KafkaError::Transaction(error)) => {
                let said = Said {
                    is_retriable: error.is_retriable(),
                    requires_abort: error.txn_requires_abort(),
                    code: error.code(),
                };
                Self::judge(said, error.string())
            }
            // Outstanding records are waited for before the commit itself.
            Err(KafkaError::Flush(code)) => Self::Again(code.to_string()),
            Err(other) => Self::Broken(Broken::Replace(other.to_string())),
        }
    }

    /// The one place that reads an error of a transaction. What librdkafka calls neither retriable nor
    /// abortable is to be taken as the end of the producer (librdkafka, INTRODUCTION.md, "Transactional
    /// producer").
    pub(super) fn judge(said: Said, reason: String) -> Self {
        use RDKafkaErrorCode as Code;
        let Said { is_retriable, requires_abort, code } = said;
        match code {
            Code::TransactionalIdAuthorizationFailed
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature
            | Code::InvalidTransactionTimeout => Self::Broken(Broken::Fatal(reason)),
            _ if is_retriable => Self::Again(reason),
            _ if requires_abort => Self::Broken(Broken::Abort(reason)),
            Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => {
                Self::Broken(Broken::Fenced(reason))
            }
            _ => Self::Broken(Broken::Replace(reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(is_retriable: bool, requires_abort: bool, code: RDKafkaErrorCode) -> Call {
        Call::judge(Said { is_retriable, requires_abort, code }, "why".to_owned())
    }

    #[test]
    fn each_error_has_one_consequence() {
        use RDKafkaErrorCode as Code;
        let why = || "why".to_owned();
        assert_eq!(judged(true, false, Code::OperationTimedOut), Call::Again(why()));
        assert_eq!(
            judged(false, true, Code::IllegalGeneration),
            Call::Broken(Broken::Abort(why()))
        );
        assert_eq!(judged(false, false, Code::ProducerFenced), Call::Broken(Broken::Fenced(why())));
        assert_eq!(
            judged(false, false, Code::InvalidTransactionalState),
            Call::Broken(Broken::Replace(why()))
        );
    }

    #[test]
    fn what_nobody_may_do_is_not_tried_again() {
        use RDKafkaErrorCode as Code;
        for code in [Code::TransactionalIdAuthorizationFailed, Code::GroupAuthorizationFailed] {
            for (is_retriable, requires_abort) in [(true, false), (false, true), (false, false)] {
                let call = judged(is_retriable, requires_abort, code);
                assert!(matches!(call, Call::Broken(Broken::Fatal(_))), "{code:?}");
            }
        }
    }
}
