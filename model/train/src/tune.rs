//! Fine-tuning on pairs of one's own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use crossrank_model::Backend;
use crossrank_model::training::{LearningRates, Start, start};
use fastrand::Rng;

use crate::fit::{self, Judge, Loss, Outcome, Plan, Source};
use crate::index::Index;
use crate::list::{Candidate, List};
use crate::measure::Ranker;
use crate::pairs::{self, Judged};

/// What to train from, on what, and how.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Tune {
    /// Model or encoder to start from: a Hugging Face directory
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Judged pairs, JSON lines, perhaps .gz: {"query", "passage", "label": 1 or 0, "score": a teacher's logit}
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pairs: Vec<PathBuf>,
    /// Where the model goes
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Folder for checkpoints and journal; the output's name with .work behind it by default
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// A cross-encoder that teaches: its logits are learnt beside the labels
    #[arg(long, value_name = "DIR")]
    teacher: Option<PathBuf>,
    /// Draw all weights at random; the directory then needs no weights
    #[arg(long)]
    random: bool,
    /// Layers that are kept, such as 0,2,4; all by default
    #[arg(long, value_delimiter = ',', value_name = "LAYERS")]
    layers: Option<Vec<usize>>,
    /// Passages of a list: one that answers, and others that BM25 finds
    #[arg(long, default_value_t = 8)]
    candidates: usize,
    /// Lists of a step
    #[arg(long, default_value_t = 8)]
    lists: usize,
    /// How often each query is seen
    #[arg(long, default_value_t = 3.0)]
    epochs: f64,
    /// Steps, rather than epochs
    #[arg(long)]
    steps: Option<u64>,
    /// Largest learning rate
    #[arg(long, default_value_t = 3e-5)]
    rate: f64,
    /// Largest learning rate of the head; that of all by default, ten times that for a new head
    #[arg(long)]
    head_rate: Option<f64>,
    /// Share of the steps in which the rate rises
    #[arg(long, default_value_t = 0.1)]
    warm_up: f64,
    #[arg(long, default_value_t = 0.01)]
    weight_decay: f32,
    /// Weight of the listwise loss
    #[arg(long, default_value_t = 1.0)]
    listwise: f32,
    /// Weight of the binary loss, which keeps the height of scores
    #[arg(long, default_value_t = 0.1)]
    binary: f32,
    /// Weight of the teacher's loss, where there is a teacher
    #[arg(long, default_value_t = 1.0)]
    distill: f32,
    /// Weight of the mean square by which logits differ from the teacher's
    #[arg(long, default_value_t = 0.05)]
    regress: f32,
    /// What a teacher's logits are divided by
    #[arg(long, default_value_t = 1.0)]
    temperature: f32,
    /// Tokens of the longest pair
    #[arg(long, default_value_t = 256)]
    tokens_max: usize,
    /// Keep the embeddings as they are
    #[arg(long)]
    freeze_embeddings: bool,
    /// Share of the queries that are held out to judge by
    #[arg(long, default_value_t = 0.1)]
    held_out: f64,
    /// Steps between two checkpoints; a fifth of an epoch by default
    #[arg(long)]
    every: Option<u64>,
    /// Checkpoints without a better one after which training stops
    #[arg(long, default_value_t = 5)]
    patience: usize,
    #[arg(long, default_value_t = 17)]
    seed: u64,
    /// flex, or wgpu where it is compiled in
    #[arg(long, default_value = "flex")]
    backend: Backend,
    /// Threads that learn; on a GPU one
    #[arg(long)]
    threads: Option<usize>,
}

/// What BM25 finds for a query, from which negatives are drawn.
const FOUND_MAX: usize = 50;
/// Passages of a list that is judged.
const JUDGED_MAX: usize = 30;
/// Held-out queries that are judged at most.
const HELD_OUT_MAX: usize = 300;

// === impl Tune ===

impl Tune {
    pub(crate) fn run(&self) -> anyhow::Result<Outcome> {
        self.check()?;
        let work = self.work.clone().unwrap_or_else(|| self.out.with_added_extension("work"));
        fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
        let from = work.join("start");
        if !from.is_dir() {
            let new = Start { layers: self.layers.clone(), random: self.random, seed: self.seed };
            start(&self.from, &from, &new)?;
        }
        let (passages, mut queries) = pairs::read(&self.pairs)?;
        Rng::with_seed(self.seed).shuffle(&mut queries);
        let count = (queries.len() as f64 * self.held_out).ceil() as usize;
        let count = count.clamp(1, HELD_OUT_MAX);
        if queries.len() < 2 * count {
            bail!(
                "{} queries are too few to hold {count} out; give more pairs, or a smaller --held-out",
                queries.len()
            );
        }
        let learnt = queries.split_off(count);
        let threads = self.threads();
        let teacher = match &self.teacher {
            Some(dir) => Some(Ranker::load(dir, self.tokens_max, 1)?),
            None => None,
        };
        let index = Index::new(&passages);
        let judge = HeldOut {
            lists: queries.iter().map(|own| judged(own, &passages, &index)).collect(),
            tokens_max: self.tokens_max,
            threads,
        };
        let plan = self.plan(learnt.len());
        let lists = Lists { passages, index, queries: learnt, teacher, of: self };
        let outcome = fit::fit(&from, &work, &plan, &lists, &judge)?;
        crate::copy(&outcome.model, &self.out)?;
        Ok(outcome)
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.out.try_exists().context("cannot look for what --out names")? {
            bail!("{} exists; name a directory that does not, or remove it", self.out.display());
        }
        if self.candidates < 2 || self.lists == 0 {
            bail!("a list has at least 2 candidates, and a step at least 1 list");
        }
        if !(self.held_out > 0.0 && self.held_out < 0.5) {
            bail!(
                "--held-out must be above 0 and below 0.5, so that there is something to judge by and to learn from"
            );
        }
        Ok(())
    }

    fn plan(&self, queries: usize) -> Plan {
        let epoch = (queries as f64 / self.lists as f64).max(1.0);
        let steps = self.steps.unwrap_or((epoch * self.epochs).ceil() as u64).max(1);
        Plan {
            backend: self.backend,
            threads: self.threads(),
            steps,
            rates: LearningRates { encoder: self.rate, head: self.head_rate.unwrap_or(self.rate) },
            warm_up: self.warm_up,
            weight_decay: self.weight_decay,
            gradient_max: 1.0,
            loss: Loss {
                listwise: self.listwise,
                binary: self.binary,
                distill: self.distill,
                regress: self.regress,
                temperature: self.temperature,
            },
            tokens_max: self.tokens_max,
            embeddings: !self.freeze_embeddings,
            every: self.every.unwrap_or((epoch / 5.0).ceil() as u64).max(1),
            patience: Some(self.patience),
        }
    }

    fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, |count| count.get());
        let all = if self.backend == Backend::Wgpu { 1 } else { cores };
        self.threads.unwrap_or(all).max(1)
    }
}

/// Lists of judged queries, in another order each epoch.
struct Lists<'t> {
    passages: Vec<String>,
    index: Index,
    queries: Vec<Judged>,
    teacher: Option<Ranker>,
    of: &'t Tune,
}

// === impl Lists ===

impl Source for Lists<'_> {
    fn lists(&self, step: u64) -> anyhow::Result<Vec<List>> {
        let mut lists = Vec::with_capacity(self.of.lists);
        for own in 0..self.of.lists as u64 {
            let number = step * self.of.lists as u64 + own;
            let (epoch, place) =
                (number / self.queries.len() as u64, number % self.queries.len() as u64);
            let mut order: Vec<usize> = (0..self.queries.len()).collect();
            Rng::with_seed(self.of.seed ^ (epoch + 1)).shuffle(&mut order);
            let mut rng = Rng::with_seed(self.of.seed.rotate_left(32) ^ number);
            lists.push(self.list(&self.queries[order[place as usize]], &mut rng)?);
        }
        Ok(lists)
    }
}

impl Lists<'_> {
    /// A passage that answers, those that were judged not to, and of what BM25 finds as many as there is room for.
    fn list(&self, judged: &Judged, rng: &mut Rng) -> anyhow::Result<List> {
        let (mut good, mut bad): (Vec<_>, Vec<_>) =
            judged.passages.iter().copied().partition(|(_, label, _)| *label > 0.0);
        rng.shuffle(&mut good);
        rng.shuffle(&mut bad);
        let mut chosen = vec![good[0]];
        chosen.extend(bad.into_iter().take(self.of.candidates - 1));
        let is_judged = |place: u32| judged.passages.iter().any(|(other, ..)| *other == place);
        let found = self.index.search(&judged.query).into_iter().map(|(place, _)| place);
        let mut found: Vec<u32> =
            found.filter(|place| !is_judged(*place)).take(FOUND_MAX).collect();
        rng.shuffle(&mut found);
        while chosen.len() < self.of.candidates {
            let any = rng.usize(0..self.passages.len()) as u32;
            let place = found.pop().unwrap_or(any);
            if is_judged(place) || chosen.iter().any(|(other, ..)| *other == place) {
                // So few passages that there may be no other.
                if self.passages.len() <= judged.passages.len() + chosen.len() {
                    break;
                }
                continue;
            }
            chosen.push((place, 0.0, None));
        }
        let texts: Vec<&str> =
            chosen.iter().map(|(place, ..)| self.passages[*place as usize].as_str()).collect();
        let taught = match &self.teacher {
            Some(teacher) => teacher.logits(&judged.query, &texts)?.into_iter().map(Some).collect(),
            None => chosen.iter().map(|(.., score)| *score).collect::<Vec<_>>(),
        };
        let candidates =
            texts.iter().zip(&chosen).zip(taught).map(|((text, (_, label, _)), teacher)| {
                Candidate { text: (*text).to_owned(), label: Some(*label), teacher }
            });
        Ok(List { query: judged.query.clone(), candidates: candidates.collect(), weight: 1.0 })
    }
}

/// What BM25 finds for a held-out query, and what was judged.
fn judged(own: &Judged, passages: &[String], index: &Index) -> List {
    let found = index.search(&own.query).into_iter().map(|(place, _)| place);
    let mut places: Vec<u32> = found.take(JUDGED_MAX).collect();
    for (place, ..) in &own.passages {
        if !places.contains(place) {
            places.push(*place);
        }
    }
    let label = |place: u32| {
        let judged = own.passages.iter().find(|(other, ..)| *other == place);
        judged.map_or(0.0, |(_, label, _)| *label)
    };
    let candidate = |place: u32| Candidate {
        text: passages[place as usize].clone(),
        label: Some(label(place)),
        teacher: None,
    };
    List {
        query: own.query.clone(),
        candidates: places.into_iter().map(candidate).collect(),
        weight: 1.0,
    }
}

/// Held-out queries.
struct HeldOut {
    lists: Vec<List>,
    tokens_max: usize,
    threads: usize,
}

// === impl HeldOut ===

impl Judge for HeldOut {
    fn what(&self) -> &str {
        "nDCG@10"
    }

    fn judge(&self, model: &Path) -> anyhow::Result<f64> {
        Ranker::load(model, self.tokens_max, self.threads)?.ndcg(&self.lists)
    }
}

#[cfg(test)]
mod tests;
