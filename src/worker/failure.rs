use super::AnswerError;
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
}

/// What becomes of a record that has no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposition {
    /// Try again after a wait.
    Retry,
    /// It goes to the dead letter topic; the worker goes on.
    DeadLetter,
    /// It goes back unread: its partition is being taken away, somebody else will answer it.
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
            Self::Revoked | Self::Answer(AnswerError::Engine(EngineError::Unwanted)) => {
                Disposition::Return
            }
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
            Self::Revoked | Self::Publish(_) => Stage::Publish,
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
            Self::Publish(_) => "output_refused",
        }
    }
}
