//! One step: lists → gradients, on several threads → a model that has learnt.

use std::path::Path;

use anyhow::Context as _;
use burn::tensor::Device;
use crossrank_model::training::{Gradients, Optimizer, Trainee};
use crossrank_model::{PackedBatch, PairTokenizer};

use super::Plan;
use super::loss::loss;
use crate::list::List;
use crate::measure::limits;

/// Takes steps.
pub(super) struct Stepper<'p> {
    plan: &'p Plan,
    tokenizer: PairTokenizer,
}

/// A step that was taken.
pub(super) struct Taken {
    pub(super) trainee: Trainee,
    /// The mean over the lists.
    pub(super) loss: f64,
    pub(super) pairs: usize,
}

/// Lists with their tokens.
struct Part {
    lists: Vec<List>,
    batch: PackedBatch,
}

// === impl Stepper ===

impl<'p> Stepper<'p> {
    pub(super) fn load(model: &Path, plan: &'p Plan) -> anyhow::Result<Self> {
        let tokenizer = PairTokenizer::load(model, limits(plan.tokens_max))?;
        Ok(Self { plan, tokenizer })
    }

    pub(super) fn step(
        &self,
        trainee: Trainee,
        optimizer: &mut Optimizer,
        lists: &[List],
        step: u64,
    ) -> anyhow::Result<Taken> {
        let parts = self.parts(lists)?;
        let weight: f32 = lists.iter().map(|list| list.weight).sum();
        let pairs = parts.iter().map(|part| part.batch.pairs()).sum();
        let learnt = std::thread::scope(|scope| {
            let learn = |part| {
                let own = trainee.fork();
                scope.spawn(move || self.learn(&own, part, weight))
            };
            let running: Vec<_> = parts.iter().map(learn).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))
            };
            running.into_iter().map(join).collect::<anyhow::Result<Vec<(Gradients, f64)>>>()
        })
        .context("a step was not taken")?;
        let (gradients, losses): (Vec<_>, Vec<_>) = learnt.into_iter().unzip();
        let loss: f64 = losses.iter().sum();
        anyhow::ensure!(
            loss.is_finite(),
            "the loss of step {} is not a number; start again with a lower rate",
            step + 1
        );
        let trainee = trainee.step(optimizer, self.plan.rates_at(step), gradients);
        Ok(Taken { trainee, loss, pairs })
    }

    /// Tokenises the lists, and shares them out so that all threads have about as much to do.
    fn parts(&self, lists: &[List]) -> anyhow::Result<Vec<Part>> {
        let mut tokenised = Vec::with_capacity(lists.len());
        for list in lists {
            let query = self.tokenizer.query(&list.query)?;
            let pair = |own: &crate::list::Candidate| self.tokenizer.pair(&query, &own.text);
            let pairs = list.candidates.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
            let tokens: usize = pairs.iter().map(|pair| pair.ids.len()).sum();
            tokenised.push((tokens, list, pairs));
        }
        tokenised.sort_by_key(|(tokens, ..)| std::cmp::Reverse(*tokens));
        let count = self.plan.threads.clamp(1, lists.len().max(1));
        let empty = || Part { lists: Vec::new(), batch: PackedBatch::with_capacity(0) };
        let mut parts: Vec<Part> = std::iter::repeat_with(empty).take(count).collect();
        for (_, list, pairs) in tokenised {
            let least = parts.iter_mut().min_by_key(|part| part.batch.tokens());
            let part = least.context("there is a thread")?;
            pairs.iter().for_each(|pair| part.batch.push(&pair.ids, &pair.types));
            part.lists.push(list.clone());
        }
        Ok(parts)
    }

    /// The gradients of a part, and its share of the mean loss of all lists, which have this weight.
    fn learn(&self, trainee: &Trainee, part: &Part, weight: f32) -> (Gradients, f64) {
        let logits = trainee.forward(&part.batch);
        let device: Device = logits.device();
        let mean = loss(self.plan.loss, &part.lists, &logits, &device) / weight;
        let value = mean.clone().into_scalar::<f64>();
        (trainee.gradients(&mean), value)
    }
}
