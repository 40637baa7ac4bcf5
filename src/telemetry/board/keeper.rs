use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::Receiver;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::happened::{Happened, KEPT_MAX, Notice, Outbox, SetShown};
use super::stages::{Distribution, Mark, Stage};
use super::{Check, ModelShown, PartitionNow, Phase};
use crate::telemetry::{Counts, Snapshot};

/// How far back rates and latencies go.
const WINDOW: Duration = Duration::from_secs(600);
/// One rate for each look, which is every second.
const RATES_MAX: usize = WINDOW.as_secs() as usize;
/// Latencies are told for so long each: with ten sets a second, a quantile of fifty.
const SLOT: Duration = Duration::from_secs(5);
const SLOTS_MAX: usize = (WINDOW.as_secs() / SLOT.as_secs()) as usize;
/// Stages are told over the last minute.
const RECENT_SLOTS: usize = 12;
/// Partitions that are shown: those with the largest lag.
const PARTITIONS_MAX: usize = 200;
/// Between two looks there is a second. After a longer gap this process has stood still.
const GAP_MAX: Duration = Duration::from_secs(5);
/// The stages, and the whole way.
const SERIES: usize = Stage::ALL.len() + 1;

type Series = [Distribution; SERIES];

/// Keeps what a [`Board`](super::Board) tells, for ten minutes. Belongs to one thread, which
/// [looks](Self::look) every second.
#[derive(Debug)]
pub struct Keeper {
    counts: Arc<Counts>,
    outbox: Arc<Outbox>,
    happened: Receiver<Happened>,
    started_ms: u64,
    /// Since when this process has been running without standing still.
    running_since: Instant,
    looked: Instant,
    told: Snapshot,
    rates: VecDeque<Rates>,
    marks: [Mark; SERIES],
    slots: VecDeque<Latencies>,
    recent: VecDeque<Series>,
    open: Series,
    open_since: Instant,
    sets: VecDeque<Numbered<SetShown>>,
    notices: VecDeque<Numbered<Notice>>,
    /// Of what happened last.
    number: u64,
    news: News,
}

/// What the last look brought.
#[derive(Clone, Copy, Debug, Default)]
struct News {
    after: u64,
    rates: usize,
    slots: usize,
}

/// What was done in a second, and what was left at its end.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
struct Rates {
    /// Its end, in milliseconds since 1970.
    at: u64,
    sets: f64,
    pairs: f64,
    tokens: f64,
    dead_letters: f64,
    lag: Option<u64>,
    in_flight: usize,
}

/// Of the sets that were answered in one slot, in milliseconds from claim to acknowledgement.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
struct Latencies {
    at: u64,
    #[serde(flatten)]
    quantiles: Quantiles,
}

#[derive(Clone, Debug, PartialEq, serde::Serialize)]
struct Quantiles {
    count: u64,
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

/// Numbered in the order in which it happened, so that who has seen some can tell what is new.
#[derive(Clone, Debug, serde::Serialize)]
struct Numbered<T> {
    number: u64,
    /// When it was taken, in milliseconds since 1970.
    at: u64,
    #[serde(flatten)]
    what: T,
}

/// What people are shown, as one JSON object.
#[derive(Debug, serde::Serialize)]
pub struct View<'a> {
    at: u64,
    started: u64,
    version: &'static str,
    phase: Phase,
    model: Option<&'a ModelShown>,
    live: Vec<Check>,
    ready: Vec<Check>,
    totals: Totals,
    rates: Vec<&'a Rates>,
    latencies: Vec<&'a Latencies>,
    stages: Vec<StageShown>,
    partitions: Vec<PartitionShown>,
    partitions_total: usize,
    sets: Vec<&'a Numbered<SetShown>>,
    notices: Vec<&'a Numbered<Notice>>,
    notices_missed: u64,
}

#[derive(Debug)]
struct Totals(Snapshot);

#[derive(Debug, serde::Serialize)]
struct StageShown {
    name: &'static str,
    #[serde(flatten)]
    quantiles: Quantiles,
}

#[derive(Debug, serde::Serialize)]
struct PartitionShown {
    lag: Option<u64>,
    #[serde(flatten)]
    now: PartitionNow,
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(
        counts: Arc<Counts>,
        outbox: Arc<Outbox>,
        happened: Receiver<Happened>,
    ) -> Self {
        let now = Instant::now();
        Self {
            told: counts.snapshot(),
            counts,
            outbox,
            happened,
            started_ms: wall_ms(),
            running_since: now,
            looked: now,
            rates: VecDeque::with_capacity(RATES_MAX),
            marks: Default::default(),
            slots: VecDeque::with_capacity(SLOTS_MAX),
            recent: VecDeque::with_capacity(RECENT_SLOTS),
            open: Series::default(),
            open_since: now,
            sets: VecDeque::with_capacity(KEPT_MAX),
            notices: VecDeque::with_capacity(KEPT_MAX),
            number: 0,
            news: News::default(),
        }
    }

    /// The board that is kept.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Takes in what happened since the last look. `wall_ms` is now in milliseconds since 1970.
    pub fn look(&mut self, now: Instant, wall_ms: u64) {
        if now - self.looked > GAP_MAX {
            self.running_since = now;
        }
        self.news = News { after: self.number, rates: 0, slots: 0 };
        self.take(wall_ms);
        self.rate(now, wall_ms);
        self.time(now, wall_ms);
        self.looked = now;
    }

    /// Whether the process makes progress: see [`Board::live`](super::Board::live).
    pub fn live(&self, now: Instant) -> Vec<Check> {
        let gap = now - self.looked;
        // It has just been woken, and nobody has had the time to do anything.
        let running = if gap > GAP_MAX { Duration::ZERO } else { now - self.running_since };
        self.counts.board.live(running)
    }

    /// All that is kept.
    pub fn all(&self, now: Instant, wall_ms: u64) -> View<'_> {
        self.view(now, wall_ms, News { after: 0, rates: RATES_MAX, slots: SLOTS_MAX })
    }

    /// What the last look brought, and what has no history.
    pub fn news(&self, now: Instant, wall_ms: u64) -> View<'_> {
        self.view(now, wall_ms, self.news)
    }

    fn take(&mut self, wall_ms: u64) {
        for happened in self.happened.try_iter() {
            self.number += 1;
            let (number, at) = (self.number, wall_ms);
            match happened {
                Happened::Set(what) => {
                    push(&mut self.sets, KEPT_MAX, Numbered { number, at, what: *what });
                }
                Happened::Notice(what) => {
                    push(&mut self.notices, KEPT_MAX, Numbered { number, at, what });
                }
            }
        }
        self.outbox.make_room();
    }

    fn rate(&mut self, now: Instant, at: u64) {
        let elapsed = (now - self.looked).as_secs_f64();
        if elapsed <= 0.0 {
            return;
        }
        let snapshot = self.counts.snapshot();
        let added = snapshot.since(&self.told);
        self.told = snapshot;
        let per_second = |added: u64| added as f64 / elapsed;
        let partitions = self.counts.board.partitions();
        let lags = partitions.iter().filter_map(PartitionNow::lag);
        let rates = Rates {
            at,
            sets: per_second(added.sets_published),
            pairs: per_second(added.pairs_scored),
            tokens: per_second(added.tokens_scored),
            dead_letters: per_second(added.dead_letters),
            lag: lags.reduce(u64::saturating_add),
            in_flight: partitions.iter().map(|partition| partition.in_flight).sum(),
        };
        push(&mut self.rates, RATES_MAX, rates);
        self.news.rates = 1;
    }

    fn time(&mut self, now: Instant, at: u64) {
        let series = self.counts.board.stages.series();
        for ((seen, mark), open) in series.zip(&mut self.marks).zip(&mut self.open) {
            open.add(&seen.since(mark));
        }
        if now - self.open_since < SLOT {
            return;
        }
        let closed = std::mem::take(&mut self.open);
        self.open_since = now;
        let whole = &closed[SERIES - 1];
        push(&mut self.slots, SLOTS_MAX, Latencies { at, quantiles: Quantiles::of(whole) });
        push(&mut self.recent, RECENT_SLOTS, closed);
        self.news.slots = 1;
    }

    fn view(&self, now: Instant, at: u64, news: News) -> View<'_> {
        let board = &self.counts.board;
        let partitions = board.partitions();
        View {
            at,
            started: self.started_ms,
            version: env!("CARGO_PKG_VERSION"),
            phase: board.phase(),
            model: board.model.get(),
            live: self.live(now),
            ready: board.ready(),
            totals: Totals(self.counts.snapshot()),
            rates: last(&self.rates, news.rates),
            latencies: last(&self.slots, news.slots),
            stages: self.stages(),
            partitions: shown(&partitions),
            partitions_total: partitions.len(),
            sets: after(&self.sets, news.after),
            notices: after(&self.notices, news.after),
            notices_missed: self.outbox.missed(),
        }
    }

    /// Over the last minute.
    fn stages(&self) -> Vec<StageShown> {
        let names = Stage::ALL.into_iter().map(Stage::as_str).chain(["whole"]);
        let shown = names.enumerate().map(|(index, name)| {
            let mut sum = self.open[index].clone();
            self.recent.iter().for_each(|slot| sum.add(&slot[index]));
            StageShown { name, quantiles: Quantiles::of(&sum) }
        });
        shown.collect()
    }
}

// === impl Quantiles ===

impl Quantiles {
    fn of(seen: &Distribution) -> Self {
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| seen.quantile_ms(share));
        Self { count: seen.count(), p50, p95, p99 }
    }
}

impl Serialize for Totals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, number) in self.0.iter() {
            map.serialize_entry(name, &number)?;
        }
        map.end()
    }
}

fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}

fn push<T>(kept: &mut VecDeque<T>, most: usize, one: T) {
    if kept.len() >= most {
        kept.pop_front();
    }
    kept.push_back(one);
}

fn last<T>(kept: &VecDeque<T>, count: usize) -> Vec<&T> {
    kept.iter().skip(kept.len().saturating_sub(count)).collect()
}

fn after<T>(kept: &VecDeque<Numbered<T>>, number: u64) -> Vec<&Numbered<T>> {
    kept.iter().filter(|one| one.number > number).collect()
}

/// In the order of topic and index; where there are too many, those with the largest lag.
fn shown(partitions: &[PartitionNow]) -> Vec<PartitionShown> {
    let with_lag = |now: &PartitionNow| PartitionShown { lag: now.lag(), now: now.clone() };
    let mut shown: Vec<PartitionShown> = partitions.iter().map(with_lag).collect();
    if shown.len() > PARTITIONS_MAX {
        shown.sort_by_key(|partition| std::cmp::Reverse(partition.lag));
        shown.truncate(PARTITIONS_MAX);
    }
    shown.sort_by(|a, b| (&a.now.topic, a.now.index).cmp(&(&b.now.topic, b.now.index)));
    shown
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
