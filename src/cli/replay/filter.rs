use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

use super::letter::Letter;

/// Which dead letters are put back.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    /// The topic that they came from.
    pub(super) topic: String,
    /// Any of these codes; any at all where empty.
    pub(super) codes: Vec<String>,
    /// Any of these stages; any at all where empty.
    pub(super) stages: Vec<String>,
    /// Any of these keys; any at all where empty.
    pub(super) keys: Vec<String>,
    /// Not set aside before; milliseconds since the Unix epoch.
    pub(super) since_ms: Option<i64>,
    /// Set aside before.
    pub(super) until_ms: i64,
    /// Not put back so often.
    pub(super) replays_max: u32,
}

/// What the filter says of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// To be put back.
    Taken,
    /// Not asked for.
    NotMeant,
    /// From another topic.
    OtherTopic,
    /// It was put back too often.
    TooOften,
}

/// A point in time, or how long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    At(Timestamp),
    Ago(SignedDuration),
}

// === impl Filter ===

impl Filter {
    pub(super) fn choose(&self, letter: &Letter) -> Choice {
        let record = &letter.stored.record;
        let any_of = |wanted: &[String], is: &[u8]| {
            wanted.is_empty() || wanted.iter().any(|wanted| wanted.as_bytes() == is)
        };
        let key = record.key.as_deref();
        let keyed = self.keys.is_empty() || key.is_some_and(|key| any_of(&self.keys, key));
        let time = record.timestamp_ms.unwrap_or(0);
        let timely = self.since_ms.is_none_or(|since| since <= time) && time < self.until_ms;
        if letter.origin.topic != self.topic {
            Choice::OtherTopic
        } else if !(keyed
            && timely
            && any_of(&self.codes, letter.code.as_bytes())
            && any_of(&self.stages, letter.stage.as_bytes()))
        {
            Choice::NotMeant
        } else if letter.replays >= self.replays_max {
            Choice::TooOften
        } else {
            Choice::Taken
        }
    }
}

// === impl Moment ===

impl Moment {
    /// From RFC 3339, or a duration ago: `2026-11-25T08:00:00Z`, `90m`, `2h 30m`, `7d`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        let ago = text.parse::<Span>().ok();
        let ago = ago.and_then(|s| s.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
        match ago {
            Some(ago) if !ago.is_negative() => Ok(Self::Ago(ago)),
            Some(_) | None => {
                Err("write a time such as 2026-11-25T08:00:00Z, or how long ago: 90m, 2h, 7d"
                    .to_owned())
            }
        }
    }

    /// Milliseconds since the Unix epoch.
    pub(super) fn millis(self, now: Timestamp) -> i64 {
        match self {
            Self::At(at) => at.as_millisecond(),
            Self::Ago(ago) => {
                let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                now.as_millisecond().saturating_sub(ago)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::*;

    fn filter() -> Filter {
        let topic = "sets".to_owned();
        Filter { topic, until_ms: i64::MAX, replays_max: 3, ..Filter::default() }
    }

    fn choice(filter: &Filter) -> Choice {
        // Set aside at 1007, with the key "key".
        filter.choose(&Letter::read(letter(7, "invalid_json", &[])).unwrap())
    }

    #[test]
    fn each_part_of_a_filter_takes_and_leaves() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let taken = [
            filter(),
            Filter { codes: words(&["other", "invalid_json"]), ..filter() },
            Filter { stages: words(&["decode"]), ..filter() },
            Filter { keys: words(&["key"]), ..filter() },
            Filter { since_ms: Some(1_007), until_ms: 1_008, ..filter() },
        ];
        for filter in &taken {
            assert_eq!(choice(filter), Choice::Taken, "{filter:?}");
        }
        let left = [
            Filter { codes: words(&["other"]), ..filter() },
            Filter { stages: words(&["publish"]), ..filter() },
            Filter { keys: words(&["ke"]), ..filter() },
            Filter { since_ms: Some(1_008), ..filter() },
            Filter { until_ms: 1_007, ..filter() },
        ];
        for filter in &left {
            assert_eq!(choice(filter), Choice::NotMeant, "{filter:?}");
        }
        assert_eq!(choice(&Filter { topic: "x".to_owned(), ..filter() }), Choice::OtherTopic);
    }

    #[test]
    fn what_was_put_back_too_often_is_left() {
        let letter =
            |replays| Letter::read(letter(7, "x", &[("crossrank-replays", replays)])).unwrap();
        assert_eq!(filter().choose(&letter("2")), Choice::Taken);
        assert_eq!(filter().choose(&letter("3")), Choice::TooOften);
        assert_eq!(filter().choose(&letter("rubbish")), Choice::Taken);
    }

    #[test]
    fn moments_are_times_or_durations_ago() {
        let now: Timestamp = "2026-11-25T08:00:00Z".parse().unwrap();
        let at = |text| Moment::parse(text).unwrap().millis(now) - now.as_millisecond();
        assert_eq!(at("2026-11-25T07:59:59.5Z"), -500);
        assert_eq!(at("2026-11-25T09:00:00+02:00"), -3_600_000);
        assert_eq!(at("2h"), -7_200_000);
        assert_eq!(at("90m"), -5_400_000);
        assert_eq!(at("7d"), -7 * 86_400_000);
        for wrong in ["", "yesterday", "2026-11-25", "-2h", "1 month"] {
            assert!(Moment::parse(wrong).is_err(), "{wrong}");
        }
    }
}
