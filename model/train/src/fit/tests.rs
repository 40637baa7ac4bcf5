use std::path::PathBuf;

use crossrank_model::Backend;
use crossrank_model::training::LearningRates;

use super::*;
use crate::list::Candidate;
use crate::measure::Ranker;

/// Lists in which those passages are better that speak of fruit; step `broken` has none.
struct Fruit {
    broken: Option<u64>,
}

// === impl Fruit ===

impl Source for Fruit {
    fn lists(&self, step: u64) -> anyhow::Result<Vec<List>> {
        anyhow::ensure!(self.broken != Some(step), "the cable was pulled");
        Ok((0..3).map(|own| list(step * 3 + own)).collect())
    }
}

/// Holds other lists out.
struct Taste;

// === impl Taste ===

impl Judge for Taste {
    fn what(&self) -> &str {
        "taste"
    }

    fn judge(&self, model: &Path) -> anyhow::Result<f64> {
        let lists: Vec<List> = (10_000..10_040).map(list).collect();
        Ranker::load(model, 64, 2)?.ndcg(&lists)
    }
}

fn list(seed: u64) -> List {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut any = |words: [&str; 3]| words[rng.usize(0..3)].to_owned();
    let texts = [
        any(["an apple tree", "ripe apples", "an apple a day"]),
        any(["a stone wall", "grey stones", "a heavy stone"]),
        any(["a long road", "the road home", "roads and bridges"]),
    ];
    let candidate = |(place, text)| Candidate {
        text,
        label: Some(if place == 0 { 1.0 } else { 0.0 }),
        teacher: None,
    };
    let mut candidates: Vec<_> = texts.into_iter().enumerate().map(candidate).collect();
    rng.shuffle(&mut candidates);
    List { query: "fruit".to_owned(), candidates, weight: 1.0 }
}

fn plan() -> Plan {
    Plan {
        backend: Backend::Flex,
        threads: 2,
        steps: 30,
        rates: LearningRates { encoder: 2e-3, head: 2e-3 },
        warm_up: 0.1,
        weight_decay: 0.01,
        gradient_max: 1.0,
        loss: Loss { listwise: 1.0, binary: 0.1, distill: 0.0, regress: 0.0, temperature: 1.0 },
        tokens_max: 64,
        embeddings: true,
        every: 10,
        patience: None,
    }
}

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/tiny-bert")
}

fn weights(model: &Path) -> Vec<u8> {
    std::fs::read(model.join("model.safetensors")).unwrap()
}

#[test]
fn a_model_learns_what_lists_show_and_the_best_one_is_kept() {
    let work = tempfile::tempdir().unwrap();
    let outcome = fit(&tiny(), work.path(), &plan(), &Fruit { broken: None }, &Taste).unwrap();
    assert!(outcome.before < 0.9 && outcome.measure > 0.99, "{outcome:?}");
    assert_eq!(Taste.judge(&outcome.model).unwrap(), outcome.measure);
    assert!(std::fs::read_to_string(work.path().join("loss.svg")).unwrap().contains("taste"));
}

#[test]
fn a_run_that_was_cut_off_goes_on_as_it_would_have() {
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fit(&tiny(), whole.path(), &plan(), &Fruit { broken: None }, &Taste).unwrap();
    let error = fit(&tiny(), cut.path(), &plan(), &Fruit { broken: Some(17) }, &Taste).unwrap_err();
    assert!(format!("{error:#}").contains("the cable was pulled"), "{error:#}");
    fit(&tiny(), cut.path(), &plan(), &Fruit { broken: None }, &Taste).unwrap();
    let last = |work: &Path| weights(&work.join("checkpoint-30/model"));
    assert_eq!(last(cut.path()), last(whole.path()));
    let journal = |work: &Path| std::fs::read_to_string(work.join("journal.jsonl")).unwrap();
    assert_eq!(journal(cut.path()), journal(whole.path()));
}

#[test]
fn training_stops_when_it_gets_no_better() {
    struct Bored;
    impl Judge for Bored {
        fn what(&self) -> &str {
            "boredom"
        }
        fn judge(&self, _model: &Path) -> anyhow::Result<f64> {
            Ok(0.5)
        }
    }
    let work = tempfile::tempdir().unwrap();
    let plan = Plan { patience: Some(2), every: 5, ..plan() };
    let outcome = fit(&tiny(), work.path(), &plan, &Fruit { broken: None }, &Bored).unwrap();
    assert_eq!((outcome.step, &outcome.model), (0, &tiny()));
    assert!(!work.path().join("checkpoint-15").is_dir());
    assert!(work.path().join("checkpoint-10").is_dir());
}
