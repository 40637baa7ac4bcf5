//! Fitting a cross-encoder to lists: the loop, its checkpoints, and what it tells.

mod checkpoint;
mod journal;
mod loss;
mod plan;
mod plot;
mod step;

use std::path::{Path, PathBuf};
use std::sync::mpsc;

use anyhow::Context as _;
use crossrank_model::training::{Optimizer, Trainee};
use indicatif::{ProgressBar, ProgressStyle};

use crate::list::List;
use checkpoint::Checkpoints;
use journal::{Entry, Journal};
pub(crate) use plan::{Loss, Plan};
use step::Stepper;

/// Lists that wait to be learnt, in steps.
const STEPS_AHEAD: usize = 4;

/// Where the lists of a step come from. Equal steps give equal lists, so that a run that was cut off goes on as it would
/// have.
pub(crate) trait Source: Sync {
    /// The lists of a step, at least one.
    fn lists(&self, step: u64) -> anyhow::Result<Vec<List>>;
}

/// Says how good a model is: the more the better.
pub(crate) trait Judge {
    /// What it measures, such as `nDCG@10`.
    fn what(&self) -> &str;

    /// The measure of the model in a directory.
    fn judge(&self, model: &Path) -> anyhow::Result<f64>;
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// The directory of the best model.
    pub(crate) model: PathBuf,
    /// After so many steps.
    pub(crate) step: u64,
    /// What the judge says of it.
    pub(crate) measure: f64,
    /// What the judge says of the model that training began with.
    pub(crate) before: f64,
}

/// Trains the model of `from`, keeps checkpoints in `work`, and goes on from the last of those where there is one.
pub(crate) fn fit(
    from: &Path,
    work: &Path,
    plan: &Plan,
    source: &dyn Source,
    judge: &dyn Judge,
) -> anyhow::Result<Outcome> {
    let checkpoints = Checkpoints::open(work)?;
    let mut journal = Journal::open(&work.join("journal.jsonl"))?;
    let last = checkpoints.last()?;
    let start = last.as_ref().map_or(0, |last| last.step);
    let model = last.as_ref().map_or(from.to_path_buf(), |last| last.model());
    let mut trainee = load(&model, plan)?;
    let mut optimizer = Optimizer::adamw(plan.weight_decay, plan.gradient_max);
    if let Some(last) = &last {
        optimizer = optimizer.load(&last.optimizer())?;
        journal.cut_after(last.step)?;
    }
    if journal.measures().is_empty() {
        let measure = judge.judge(from)?;
        journal.write(&Entry::Measure { step: 0, measure })?;
    }
    let stepper = Stepper::load(&model, plan)?;
    let bar = progress(plan, start);
    let (sender, lists) = mpsc::sync_channel(STEPS_AHEAD);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for step in start..plan.steps {
                // Nobody listens when training has ended.
                if sender.send(source.lists(step)).is_err() {
                    break;
                }
            }
        });
        for step in start..plan.steps {
            let lists = lists.recv().context("lists have ended")??;
            let taken = stepper.step(trainee, &mut optimizer, &lists, step)?;
            trainee = taken.trainee;
            journal.write(&Entry::Step { step: step + 1, loss: taken.loss, pairs: taken.pairs })?;
            bar.set_message(format!(
                "loss {:.3}, best {} {:.4}",
                journal.recent_loss(),
                judge.what(),
                journal.best().measure
            ));
            bar.set_position(step + 1);
            if (step + 1) % plan.every == 0 || step + 1 == plan.steps {
                let saved = checkpoints.save(step + 1, &trainee, &optimizer)?;
                let measure = judge.judge(&saved.model())?;
                journal.write(&Entry::Measure { step: step + 1, measure })?;
                bar.println(format!(
                    "step {}: {} {measure:.4}, loss {:.3}",
                    step + 1,
                    judge.what(),
                    journal.recent_loss()
                ));
                checkpoints.keep(&[journal.best().step, step + 1])?;
                plot::draw(&work.join("loss.svg"), &journal, judge.what())?;
                if plan.patience.is_some_and(|patience| journal.measures_since_best() >= patience) {
                    bar.println(format!(
                        "no better for {} measures: stopped",
                        journal.measures_since_best()
                    ));
                    break;
                }
            }
        }
        drop(lists);
        anyhow::Ok(())
    })?;
    bar.finish_and_clear();
    let best = journal.best();
    let model = match best.step {
        0 => from.to_path_buf(),
        step => checkpoints.at(step).model(),
    };
    Ok(Outcome { model, step: best.step, measure: best.measure, before: journal.first().measure })
}

fn load(model: &Path, plan: &Plan) -> anyhow::Result<Trainee> {
    let trainee = Trainee::load(model, plan.backend)?;
    Ok(if plan.embeddings { trainee } else { trainee.with_frozen_embeddings() })
}

fn progress(plan: &Plan, start: u64) -> ProgressBar {
    let style = "{bar:30} {pos}/{len} steps, {elapsed} of about {duration}: {msg}";
    let bar = ProgressBar::new(plan.steps).with_position(start);
    bar.with_style(
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}

#[cfg(test)]
mod tests;
