//! What a run promised, held against what was seen. Pure: from a ledger to its findings.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::ledger::{Ends, Input, Ledger, Sample, Topic};

/// Of each kind, so many are told in words.
const EXAMPLES_MAX: usize = 5;
/// Workers start with less memory than they need after a while; what comes on top of this is a leak.
const GROWTH_MAX: f64 = 1.25;
const GROWTH_BYTES: u64 = 24 << 20;
/// Samples in a row, some two seconds, for which a commit may seem to have gone back.
const BACK_MAX: usize = 8;

/// What the workers promise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    pub(crate) order: Order,
    /// Whether each input has one end, not one or more.
    pub(crate) is_exactly_once: bool,
}

/// In which order ends stand in their topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    None,
    /// Those of one input partition and key.
    Key,
    /// Those of one input partition.
    Partition,
}

/// A broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Broken {
    /// An input has neither an output nor a dead letter.
    Lost,
    /// An end answers an input that was never sent, or stands elsewhere.
    MadeUp,
    /// An end is not what its input leads to.
    Wrong,
    /// Two ends of one input differ in more than their times.
    Differs,
    /// An input has more than one end, where one was promised.
    Repeated,
    /// More records were published again than were in flight when a fault struck.
    TooManyRepeats,
    /// An end stands behind one that should follow it.
    OutOfOrder,
    /// A record below the committed position had no end at that time.
    CommittedPast,
    /// The committed position went back.
    CommitWentBack,
    /// The workers need ever more memory.
    MemoryGrows,
}

/// What an audit found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    counts: BTreeMap<Broken, u64>,
    examples: BTreeMap<Broken, Vec<String>>,
    /// Ends beyond the first of their input.
    pub(crate) repeats: u64,
    /// The same, for the time before the first fault, and then for each fault.
    pub(crate) repeats_by_window: Vec<u64>,
    pub(crate) outputs: u64,
    pub(crate) letters: u64,
}

/// An end with the place of its list.
#[derive(Clone, Copy)]
struct Seen {
    list: usize,
    offset: u32,
    published_ms: u32,
    fingerprint: u64,
}

// === impl Findings ===

impl Findings {
    pub(crate) fn count(&self, broken: Broken) -> u64 {
        self.counts.get(&broken).copied().unwrap_or(0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    fn add(&mut self, broken: Broken, example: impl FnOnce() -> String) {
        *self.counts.entry(broken).or_default() += 1;
        let examples = self.examples.entry(broken).or_default();
        if examples.len() < EXAMPLES_MAX {
            examples.push(example());
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (broken, count) in &self.counts {
            writeln!(f, "{broken:?}: {count}")?;
            for example in &self.examples[broken] {
                writeln!(f, "  {example}")?;
            }
        }
        Ok(())
    }
}

/// Holds `ledger` against `promise`.
pub(crate) fn audit(ledger: &Ledger, promise: Promise) -> Findings {
    let mut findings = Findings {
        repeats_by_window: vec![0; ledger.windows.len() + 1],
        outputs: count(ledger, Topic::Outputs),
        letters: count(ledger, Topic::Letters),
        ..Findings::default()
    };
    let seen = by_input(ledger, &mut findings);
    lost(ledger, &seen, &mut findings);
    repeats(ledger, &seen, promise, &mut findings);
    order(ledger, &seen, promise.order, &mut findings);
    commits(ledger, &seen, &mut findings);
    memory(ledger, &mut findings);
    findings
}

fn count(ledger: &Ledger, topic: Topic) -> u64 {
    ledger.ends.iter().filter(|ends| ends.topic == topic).map(|ends| ends.ends.len() as u64).sum()
}

/// The ends of each input that is known: partition, offset.
fn by_input(ledger: &Ledger, findings: &mut Findings) -> Vec<Vec<Vec<Seen>>> {
    let mut seen: Vec<Vec<Vec<Seen>>> =
        ledger.inputs.iter().map(|inputs| vec![Vec::new(); inputs.len()]).collect();
    for (list, ends) in ledger.ends.iter().enumerate() {
        for end in &ends.ends {
            let place = || format!("{:?}/{}/{}", ends.topic, ends.partition, end.offset);
            let (partition, offset) = end.input;
            let input = input(ledger, partition, offset);
            if input.is_none_or(|input| input.id != end.id) {
                findings.add(Broken::MadeUp, || {
                    let (place, id) = (place(), end.id);
                    format!("{place} answers record {id} at {partition}/{offset}: there {input:?}")
                });
                continue;
            }
            if !end.is_right {
                findings.add(Broken::Wrong, || format!("{}, of record {}", place(), end.id));
            }
            seen[usize::from(partition)][offset as usize].push(Seen {
                list,
                offset: end.offset,
                published_ms: end.published_ms,
                fingerprint: end.fingerprint,
            });
        }
    }
    seen
}

fn input(ledger: &Ledger, partition: u16, offset: u32) -> Option<Input> {
    ledger.inputs.get(usize::from(partition))?.get(offset as usize).copied()
}

fn lost(ledger: &Ledger, seen: &[Vec<Vec<Seen>>], findings: &mut Findings) {
    for (partition, inputs) in seen.iter().enumerate() {
        for (offset, _) in inputs.iter().enumerate().filter(|(_, ends)| ends.is_empty()) {
            let id = ledger.inputs[partition][offset].id;
            findings.add(Broken::Lost, || format!("record {id} at {partition}/{offset}"));
        }
    }
}

fn repeats(ledger: &Ledger, seen: &[Vec<Vec<Seen>>], promise: Promise, findings: &mut Findings) {
    for (partition, inputs) in seen.iter().enumerate() {
        for (offset, ends) in inputs.iter().enumerate().filter(|(_, ends)| ends.len() > 1) {
            let what = || format!("{partition}/{offset}, {} times", ends.len());
            // Only where both are in one topic is there a content to compare.
            if ends.iter().any(|end| {
                end.fingerprint != ends[0].fingerprint
                    || ledger.ends[end.list].topic != ledger.ends[ends[0].list].topic
            }) {
                findings.add(Broken::Differs, what);
            }
            if promise.is_exactly_once {
                findings.add(Broken::Repeated, what);
            }
            let mut published: Vec<u32> = ends.iter().map(|end| end.published_ms).collect();
            published.sort_unstable();
            for ms in published.drain(1..) {
                let window = ledger.windows.partition_point(|window| window.begun_ms <= ms);
                findings.repeats_by_window[window] += 1;
                findings.repeats += 1;
            }
        }
    }
    let bounds = std::iter::once(0).chain(ledger.windows.iter().map(|w| u64::from(w.repeats_max)));
    for (window, bound) in bounds.enumerate() {
        let repeats = findings.repeats_by_window[window];
        if repeats > bound {
            findings.add(Broken::TooManyRepeats, || {
                format!("{repeats} after fault {window} (0: before the first one), {bound} allowed")
            });
        }
    }
}

/// Whether what first came of each input stands in the order of the inputs. What is read again is
/// published again, in the same order.
fn order(ledger: &Ledger, seen: &[Vec<Vec<Seen>>], order: Order, findings: &mut Findings) {
    if order == Order::None {
        return;
    }
    for ends in &ledger.ends {
        let mut firsts: HashMap<(u16, Option<u32>), u32> = HashMap::new();
        let mut known: Vec<Vec<bool>> =
            ledger.inputs.iter().map(|inputs| vec![false; inputs.len()]).collect();
        for end in &ends.ends {
            let (partition, offset) = end.input;
            let Some(input) = input(ledger, partition, offset) else { continue };
            // Without a key, the same record can come again in another partition: which was first?
            let ends_of = &seen[usize::from(partition)][offset as usize];
            if ends_of.iter().any(|end| end.list != ends_of[0].list) {
                continue;
            }
            let known = &mut known[usize::from(partition)][offset as usize];
            let lane = match (order, input.key) {
                (Order::Key, None) => continue,
                (Order::Key, key) => (partition, key),
                (Order::None | Order::Partition, _) => (partition, None),
            };
            if std::mem::replace(known, true) {
                continue;
            }
            let last = firsts.insert(lane, offset);
            if last.is_some_and(|last| last > offset) {
                findings.add(Broken::OutOfOrder, || {
                    let Ends { topic, partition: at, .. } = ends;
                    format!(
                        "{topic:?}/{at}/{}: input {partition}/{offset} after {last:?}, key {:?}",
                        end.offset, input.key
                    )
                });
            }
        }
    }
}

/// Whether everything below each sampled commit had an end by then, and no commit was taken back.
///
/// A coordinator that has just taken over answers with what it knows to be replicated, which may be
/// less than was committed until its followers have asked again. So it counts where samples stay back.
fn commits(ledger: &Ledger, seen: &[Vec<Vec<Seen>>], findings: &mut Findings) {
    for (partition, inputs) in seen.iter().enumerate() {
        let mut last = 0;
        let mut back = 0;
        for Sample { committed, limits } in &ledger.samples {
            let Some(committed) = committed[partition] else { continue };
            back = if committed < last { back + 1 } else { 0 };
            if back > BACK_MAX {
                findings.add(Broken::CommitWentBack, || {
                    format!("partition {partition}: from {last} to {committed}")
                });
            }
            // What is below the last sample had its end by then.
            for offset in last..committed {
                let had_end = inputs
                    .get(offset as usize)
                    .is_some_and(|ends| ends.iter().any(|end| end.offset < limits[end.list]));
                if !had_end {
                    findings.add(Broken::CommittedPast, || {
                        format!("{partition}/{offset} had no end when {committed} was committed")
                    });
                }
            }
            last = last.max(committed);
        }
    }
}

/// Whether the last third of the run took more memory than the first.
fn memory(ledger: &Ledger, findings: &mut Findings) {
    let (first, last) = thirds(ledger);
    if last > ((first as f64 * GROWTH_MAX) as u64).max(first + GROWTH_BYTES) {
        findings.add(Broken::MemoryGrows, || {
            format!("{} MiB at most in the first third, then {} MiB", first >> 20, last >> 20)
        });
    }
}

/// The most memory in the first and in the last third of the run.
pub(crate) fn thirds(ledger: &Ledger) -> (u64, u64) {
    let end = ledger.memory.last().map(|memory| memory.at).unwrap_or_default();
    let most = |is_in: &dyn Fn(std::time::Duration) -> bool| {
        let bytes = ledger.memory.iter().filter(|memory| is_in(memory.at)).map(|m| m.bytes);
        bytes.max().unwrap_or(0)
    };
    (most(&|at| at <= end / 3), most(&|at| at > end / 3 * 2))
}

#[cfg(test)]
#[path = "auditor_tests.rs"]
mod tests;
