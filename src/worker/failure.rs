use super::AnswerError;
use super::breaker::Verdict;
use super::ordering::BehindHole;
use crate::engine::EngineError;
use crate::stream::PublishError;
use crate::wire::{DecodeError, Stage};

/// Why a record has no output.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The record is not a candidate set.
    #[error("not a candidate set that can be answered")]
    Decode(#[source] DecodeError),
    /// It was not scored, or its context not put together.
    #[error("no answer")]
    Answer(#[source] AnswerError),
    /// Its partition went to another worker while the output was not taken.
    #[error("the partition went to another worker")]
    Revoked,
    /// The output was not taken.
    #[error("the output was not taken")]
    Publish(#[source] PublishError),
    /// A record before it in its lane has no output, and nothing is published past that one.
    #[error("a record before it, which must be published first, has no output")]
    BehindHole,
}

/// A failure, and how often it was tried to do better.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) failure: Failure,
    /// The last time included.
    pub(super) attempts: u32,
}

/// What becomes of a record that has no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposition {
    /// Try again after a wait.
    Retry,
    /// It goes to the dead letter topic; the worker goes on.
    DeadLetter,
    /// It goes back unread: its partition is being taken away or the worker stops, and somebody else
    /// will answer it.
    Return,
    /// The worker stops, and the record is read again after a restart.
    Fatal,
}

// === impl Failure ===

impl Failure {
    /// Decides the fate of every failure, here and nowhere else.
    pub(super) fn disposition(&self) -> Disposition {
        match self {
            Self::Decode(_)
            | Self::Answer(
                AnswerError::Context(_) | AnswerError::Expired { .. } | AnswerError::DeadlineMissed,
            )
            | Self::Publish(PublishError::Refused { .. }) => Disposition::DeadLetter,
            Self::Publish(PublishError::Retryable { .. }) => Disposition::Retry,
            Self::Revoked
            | Self::BehindHole
            | Self::Publish(PublishError::InputReturned { .. })
            | Self::Answer(AnswerError::Engine(EngineError::Unwanted)) => Disposition::Return,
            Self::Answer(AnswerError::Engine(EngineError::Lost { .. }))
            | Self::Publish(PublishError::Fatal { .. }) => Disposition::Fatal,
        }
    }

    /// The stage that failed, for the dead letter's `crossrank.dlq.stage`.
    pub(super) fn stage(&self) -> Stage {
        match self {
            Self::Decode(_) => Stage::Decode,
            Self::Answer(
                AnswerError::Engine(_) | AnswerError::Expired { .. } | AnswerError::DeadlineMissed,
            ) => Stage::Score,
            Self::Answer(AnswerError::Context(_)) => Stage::Assemble,
            Self::Revoked | Self::BehindHole | Self::Publish(_) => Stage::Publish,
        }
    }

    /// What a dead letter of this cause says of the input, to the breaker.
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::Decode(_)
            | Self::Answer(AnswerError::Context(_))
            | Self::Publish(PublishError::Refused { .. }) => Verdict::Bad(self.code()),
            // Too late is a matter of load or of a clock, not of what the record says.
            Self::Answer(
                AnswerError::Engine(EngineError::Unwanted | EngineError::Lost { .. })
                | AnswerError::Expired { .. }
                | AnswerError::DeadlineMissed,
            )
            | Self::Publish(
                PublishError::Retryable { .. }
                | PublishError::Fatal { .. }
                | PublishError::InputReturned { .. },
            )
            | Self::Revoked
            | Self::BehindHole => Verdict::Neither,
        }
    }

    /// A stable name of the failure, for the dead letter's `crossrank.dlq.code`.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Decode(error) => error.code(),
            Self::Answer(AnswerError::Engine(_)) => "engine",
            Self::Answer(AnswerError::Context(_)) => "template_failed",
            Self::Answer(AnswerError::Expired { .. } | AnswerError::DeadlineMissed) => {
                "deadline_missed"
            }
            Self::Revoked => "revoked",
            Self::BehindHole => "behind_hole",
            Self::Publish(_) => "output_refused",
        }
    }
}

// === impl Unanswered ===

impl<F: Into<Failure>> From<F> for Unanswered {
    /// A failure at the first attempt.
    fn from(failure: F) -> Self {
        Self { failure: failure.into(), attempts: 1 }
    }
}

impl From<BehindHole> for Failure {
    fn from(BehindHole: BehindHole) -> Self {
        Self::BehindHole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    fn publish(kind: fn(String, String) -> PublishError) -> Failure {
        Failure::Publish(kind("topic".to_owned(), "reason".to_owned()))
    }

    /// One of each fate: what is done, what the dead letter says, and what the breaker thinks of it.
    #[test]
    fn every_failure_has_one_fate() {
        let decode = Failure::Decode(wire::DecodeError::NullValue);
        let engine = |error| Failure::Answer(AnswerError::Engine(error));
        let lost = EngineError::Lost { reason: "gone".to_owned() };
        let retryable = publish(|topic, reason| PublishError::Retryable { topic, reason });
        let refused = publish(|topic, reason| PublishError::Refused { topic, reason });
        let fatal = publish(|topic, reason| PublishError::Fatal { topic, reason, source: None });
        let returned = publish(|topic, _| PublishError::InputReturned { topic });
        let cases = [
            (decode, Disposition::DeadLetter, "decode", "null_value", true),
            (refused, Disposition::DeadLetter, "publish", "output_refused", true),
            (retryable, Disposition::Retry, "publish", "output_refused", false),
            (fatal, Disposition::Fatal, "publish", "output_refused", false),
            (returned, Disposition::Return, "publish", "output_refused", false),
            (engine(lost), Disposition::Fatal, "score", "engine", false),
            (engine(EngineError::Unwanted), Disposition::Return, "score", "engine", false),
            (
                Failure::Answer(AnswerError::Expired { late_ms: 1 }),
                Disposition::DeadLetter,
                "score",
                "deadline_missed",
                false,
            ),
            (
                Failure::Answer(AnswerError::DeadlineMissed),
                Disposition::DeadLetter,
                "score",
                "deadline_missed",
                false,
            ),
            (Failure::Revoked, Disposition::Return, "publish", "revoked", false),
            (BehindHole.into(), Disposition::Return, "publish", "behind_hole", false),
        ];
        for (failure, disposition, stage, code, bad) in cases {
            assert_eq!(failure.disposition(), disposition, "{failure:?}");
            assert_eq!((failure.stage().as_str(), failure.code()), (stage, code), "{failure:?}");
            let verdict = if bad { Verdict::Bad(code) } else { Verdict::Neither };
            assert_eq!(failure.verdict(), verdict, "{failure:?}");
        }
    }
}
