use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use super::filter::Choice;

/// What a replay did, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Nothing was sent: it only looks.
    pub(super) dry_run: bool,
    /// Records of the dead letter topic that were looked at.
    pub(super) read: u64,
    /// Put back and acknowledged, or to be put back.
    pub(super) sent: u64,
    /// Those, by code.
    pub(super) codes: BTreeMap<String, u64>,
    /// Not taken, for its failure or for that of one before it.
    pub(super) failed: u64,
    pub(super) not_meant: u64,
    pub(super) other_topic: u64,
    pub(super) too_often: u64,
    /// Their values were left out, and their inputs are gone.
    pub(super) gone: u64,
    /// No dead letters of crossrank's.
    pub(super) foreign: u64,
    /// Where to go on; `None` where nothing was read.
    pub(super) next_ms: Option<i64>,
    pub(super) is_whole: bool,
}

// === impl Summary ===

impl Summary {
    pub(super) fn left(&mut self, choice: Choice) {
        match choice {
            Choice::Taken => {}
            Choice::NotMeant => self.not_meant += 1,
            Choice::OtherTopic => self.other_topic += 1,
            Choice::TooOften => self.too_often += 1,
        }
    }

    pub(super) fn sent(&mut self, code: &str) {
        self.sent += 1;
        *self.codes.entry(code.to_owned()).or_default() += 1;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = if self.dry_run { "to be put back" } else { "put back" };
        writeln!(f, "{} dead letters read, {} {done}", self.read, self.sent)?;
        for (code, count) in &self.codes {
            writeln!(f, "  {count:>9} {code}")?;
        }
        let left = [
            (self.failed, "not sent, since sending failed"),
            (self.not_meant, "left: not asked for"),
            (self.other_topic, "left: from another topic (--topic)"),
            (self.too_often, "left: put back too often (--max-replays)"),
            (self.gone, "left: the value was too large for a dead letter, and the input is gone"),
            (self.foreign, "left: without the headers of a dead letter of crossrank's"),
        ];
        for (count, why) in left.into_iter().filter(|(count, _)| *count > 0) {
            writeln!(f, "  {count:>9} {why}")?;
        }
        let Some(next) = self.next_ms.and_then(|next| Timestamp::from_millisecond(next).ok())
        else {
            return Ok(());
        };
        match self.is_whole {
            true => writeln!(f, "next time: --since {next}"),
            false => writeln!(
                f,
                "not all was read; go on with: --since {next} (those of that millisecond may be put \
                 back twice)"
            ),
        }
    }
}
