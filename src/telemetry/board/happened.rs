use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use serde::Serialize;

/// Sets that are kept, and as many notices; of either, what is taken between two looks at most.
pub(super) const KEPT_MAX: usize = 50;
/// What may wait for the next look: of each kind what is taken, and some more.
const WAITING_MAX: usize = 4 * KEPT_MAX;
/// Characters of a request id, a candidate's id or a message; what is longer is cut.
const WORDS_MAX: usize = 300;

/// A set that was answered, as people are shown it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SetShown {
    /// That of the set.
    pub request_id: String,
    /// Where it came from.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// How much of it was scored.
    pub status: &'static str,
    /// How many candidates it had.
    pub candidates: usize,
    /// Milliseconds from the claim to the acknowledgement.
    pub took_ms: f64,
    /// Of the first ten results: the mean of how many ranks each moved; absent where nothing was scored.
    pub displacement: Option<f64>,
    /// The first ten in first-stage order.
    pub before: Vec<Placed>,
    /// The first ten results.
    pub after: Vec<Placed>,
    /// The query, where `admin.texts` allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// A candidate at its place in an order.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Placed {
    /// That of the candidate.
    pub id: String,
    /// Its rank in the first stage, from 1.
    pub first: usize,
    /// Its score in this order, if it has one.
    pub score: Option<f64>,
    /// How its passage begins, where `admin.texts` allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Something that went wrong: a dead letter, or a log event of WARN or above. Never holds a text of a
/// record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// How much it matters.
    pub kind: NoticeKind,
    /// A stable name: the dead letter's code, or the part of the program that logged.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// `topic/partition/offset`, of a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
}

/// How much a [`Notice`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A record was set aside.
    DeadLetter,
    /// The program got over it.
    Warning,
    /// Somebody has to act.
    Error,
}

/// What is sent to the [`Keeper`](super::Keeper).
#[derive(Debug)]
pub(super) enum Happened {
    Set(Box<SetShown>),
    Notice(Notice),
}

/// The way to the keeper. Who sends never waits: what there is no room for is only counted.
#[derive(Debug)]
pub(super) struct Outbox {
    happened: Sender<Happened>,
    sets_room: AtomicU32,
    notices_room: AtomicU32,
    missed: AtomicU64,
    /// Whether texts of records may be shown.
    pub(super) texts: bool,
}

/// Where log events go that people should see; also before anybody looks.
#[derive(Clone, Debug, Default)]
pub struct Notices(pub(super) Arc<OnceLock<Arc<Outbox>>>);

// === impl Outbox ===

impl Outbox {
    pub(super) fn new(texts: bool) -> (Self, Receiver<Happened>) {
        let (happened, received) = crossbeam_channel::bounded(WAITING_MAX);
        let (sets_room, notices_room, missed) = Default::default();
        let this = Self { happened, sets_room, notices_room, missed, texts };
        this.make_room();
        (this, received)
    }

    /// From the keeper: what has been sent is taken.
    pub(super) fn make_room(&self) {
        self.sets_room.store(KEPT_MAX as u32, Ordering::Relaxed);
        self.notices_room.store(KEPT_MAX as u32, Ordering::Relaxed);
    }

    /// Whether a set is wanted. More than are kept until the next look are not even put together, so
    /// that a fast worker pays for a few of them only.
    pub(super) fn takes_set(&self) -> bool {
        taken(&self.sets_room)
    }

    pub(super) fn set(&self, mut set: Box<SetShown>) {
        cut(&mut set.request_id);
        for placed in set.before.iter_mut().chain(&mut set.after) {
            cut(&mut placed.id);
            placed.text.iter_mut().for_each(cut);
        }
        set.query.iter_mut().for_each(cut);
        self.send(Happened::Set(set));
    }

    pub(super) fn notice(&self, notice: impl FnOnce() -> Notice) {
        if !taken(&self.notices_room) {
            self.missed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut notice = notice();
        cut(&mut notice.message);
        self.send(Happened::Notice(notice));
    }

    /// Notices that there was no room for.
    pub(super) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    fn send(&self, happened: Happened) {
        match self.happened.try_send(happened) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn taken(room: &AtomicU32) -> bool {
    // A look first: where there is none, nothing is written that other threads share.
    room.load(Ordering::Relaxed) > 0
        && room
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_ok()
}

/// To a length that can be shown, and kept.
fn cut(words: &mut String) {
    if let Some((at, _)) = words.char_indices().nth(WORDS_MAX) {
        words.truncate(at);
        words.push('…');
    }
    words.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(message: &str) -> Notice {
        let code = "test".to_owned();
        Notice { kind: NoticeKind::Warning, code, message: message.to_owned(), position: None }
    }

    #[test]
    fn who_sends_does_not_wait_and_what_nobody_takes_is_counted() {
        let (outbox, received) = Outbox::new(false);
        (0..10_000).for_each(|_| outbox.notice(|| notice("again")));
        (0..10_000).filter(|_| outbox.takes_set()).for_each(|_| outbox.set(Box::default()));
        assert_eq!(received.len(), 2 * KEPT_MAX);
        assert_eq!(outbox.missed(), 10_000 - KEPT_MAX as u64);
        // Even where the other end makes room and never looks.
        (0..100).for_each(|_| {
            outbox.make_room();
            outbox.notice(|| notice("again"));
        });
        assert_eq!(received.len(), WAITING_MAX.min(2 * KEPT_MAX + 100));
    }

    #[test]
    fn words_are_cut_at_a_character() {
        let (outbox, received) = Outbox::new(false);
        outbox.notice(|| notice(&"ä".repeat(100_000)));
        let Happened::Notice(notice) = received.recv().unwrap() else { panic!("no notice") };
        assert_eq!(notice.message.chars().count(), WORDS_MAX + 1);
        assert!(notice.message.capacity() < 4 * WORDS_MAX);
    }
}
