use serde::{Deserialize, Serialize};

/// How much of a set was scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All of it.
    Reranked,
    /// Some of it; the rest is `unscored`, behind, in first-stage order.
    Partial,
    /// Nothing: the results stand in first-stage order.
    Passthrough,
}

/// Why a candidate has no score, or a set not all of its scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// `expires_at` had passed when the set was read.
    Expired,
    /// There was no time for it before `expires_at`.
    Deadline,
    /// More candidates than [`candidates_max`](super::Limits::candidates_max).
    OverCandidateLimit,
    /// The passage is empty or only white space.
    EmptyText,
    /// The tokenizer refused the passage.
    NotTokenised,
    /// The model gave no finite logit.
    LogitNotFinite,
}

// === impl Status ===

impl Status {
    /// As it stands in an answer.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reranked => "reranked",
            Self::Partial => "partial",
            Self::Passthrough => "passthrough",
        }
    }

    /// What a set is, by the reasons for which its candidates are unscored, in first-stage order
    /// (`None`: scored). The first reason stands for all, but a missed deadline goes before any other.
    /// A set without candidates is reranked.
    pub fn of(unscored: impl IntoIterator<Item = Option<Reason>>) -> (Self, Option<Reason>) {
        let (mut scored, mut first) = (false, None);
        for reason in unscored {
            scored |= reason.is_none();
            first = match reason {
                Some(Reason::Deadline) => reason,
                _ => first.or(reason),
            };
        }
        match (first, scored) {
            (None, _) => (Self::Reranked, None),
            (reason, true) => (Self::Partial, reason),
            (reason, false) => (Self::Passthrough, reason),
        }
    }
}

// === impl Reason ===

impl Reason {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Expired,
        Self::Deadline,
        Self::OverCandidateLimit,
        Self::EmptyText,
        Self::NotTokenised,
        Self::LogitNotFinite,
    ];

    /// As it stands in an answer.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Deadline => "deadline",
            Self::OverCandidateLimit => "over_candidate_limit",
            Self::EmptyText => "empty_text",
            Self::NotTokenised => "not_tokenised",
            Self::LogitNotFinite => "logit_not_finite",
        }
    }

    /// Whether it is for want of time.
    pub fn is_late(self) -> bool {
        matches!(self, Self::Expired | Self::Deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_what_its_candidates_are() {
        use Reason::{Deadline, EmptyText, Expired, LogitNotFinite};
        let of = |reasons: &[Option<Reason>]| Status::of(reasons.iter().copied());
        assert_eq!(of(&[]), (Status::Reranked, None));
        assert_eq!(of(&[None, None]), (Status::Reranked, None));
        let partial = of(&[None, Some(EmptyText), Some(LogitNotFinite)]);
        assert_eq!(partial, (Status::Partial, Some(EmptyText)));
        let late = of(&[None, Some(EmptyText), Some(Deadline), Some(LogitNotFinite)]);
        assert_eq!(late, (Status::Partial, Some(Deadline)));
        assert_eq!(of(&[Some(Expired); 2]), (Status::Passthrough, Some(Expired)));
    }
}
