//! A model that learns is the model that scores, before and after.
#![cfg(all(feature = "train", feature = "flex"))]

mod support;

use std::path::Path;

use crossrank_model::training::{
    Embedder, LearningRates, Optimizer, Start, StartError, Trainee, TraineeError, start,
};
use crossrank_model::{Backend, CrossEncoder, Device, PackedBatch, Precision};
use support::copy::Copy;
use support::fixture;

/// One of each architecture that is trained.
const TRAINED: [&str; 7] = [
    "tiny-bert",
    "tiny-distilbert",
    "tiny-electra",
    "tiny-modernbert",
    "tiny-mpnet",
    "tiny-roberta",
    "tiny-modernbert-modules",
];
const RATES: LearningRates = LearningRates { encoder: 1e-3, head: 1e-2 };
const NEW: Start = Start { layers: None, random: false, seed: 1 };

/// Pairs of several lengths.
fn batch() -> PackedBatch {
    let mut batch = PackedBatch::with_capacity(0);
    for length in [9, 23, 5, 12, 23, 17] {
        let ids: Vec<u32> = (0..length).map(|at| 5 + (at * 37 + length * 11) % 200).collect();
        batch.push(&ids, &vec![0; ids.len()]);
    }
    batch
}

fn scores(dir: &Path) -> Vec<f32> {
    let device = Device::open(Backend::Flex).unwrap();
    CrossEncoder::load(dir, &device, Precision::F32).unwrap().score(&batch()).unwrap()
}

fn logits(trainee: &Trainee) -> Vec<f32> {
    trainee.forward(&batch()).into_data().try_to_vec().unwrap()
}

#[track_caller]
fn assert_near(what: &str, a: &[f32], b: &[f32]) {
    let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(a.len() == b.len() && apart < 1e-4, "{what}: {a:?}, not {b:?}");
}

/// Steps towards a logit of 1 for the first half of the pairs and -1 for the others; the loss before and after.
fn learn(mut trainee: Trainee, steps: usize, threads: usize) -> (Trainee, [f32; 2]) {
    let batch = batch();
    let wanted: Vec<f32> =
        (0..batch.pairs()).map(|pair| if pair < 3 { 1.0 } else { -1.0 }).collect();
    let mut optimizer = Optimizer::adamw(0.0, 1.0);
    let mut losses = Vec::new();
    for _ in 0..steps {
        let mut gradients = Vec::new();
        for _ in 0..threads {
            let own = trainee.fork();
            let logits = own.forward(&batch);
            let wanted = burn::tensor::Tensor::<1>::from_floats(&wanted[..], &logits.device());
            let loss = (logits - wanted).square().mean() / threads as f64;
            losses.push(loss.clone().into_scalar::<f32>() * threads as f32);
            gradients.push(own.gradients(&loss));
        }
        trainee = trainee.step(&mut optimizer, RATES, gradients);
    }
    let ends = [losses[0], losses[losses.len() - 1]];
    (trainee, ends)
}

#[test]
fn a_trainee_gives_the_scores_of_its_model_and_learns_others() {
    for name in TRAINED {
        let dir = fixture(name);
        let trainee = Trainee::load(&dir, Backend::Flex).unwrap();
        assert_near(name, &logits(&trainee), &scores(&dir));
        let (learnt, [before, after]) = learn(trainee, 30, 1);
        assert!(after < before / 4.0, "{name}: from {before} to {after}");
        let folder = tempfile::tempdir().unwrap();
        let saved = folder.path().join("learnt");
        learnt.save(&saved).unwrap();
        assert_near(name, &scores(&saved), &logits(&learnt));
    }
}

#[test]
fn what_was_not_trained_is_saved_as_it_was() {
    for name in TRAINED {
        let folder = tempfile::tempdir().unwrap();
        let saved = folder.path().join("same");
        Trainee::load(&fixture(name), Backend::Flex).unwrap().save(&saved).unwrap();
        assert_eq!(scores(&saved), scores(&fixture(name)), "{name}");
    }
}

#[test]
fn a_trainee_outlives_the_directory_that_it_came_from() {
    let copy = Copy::of("tiny-modernbert-modules");
    let (folder, expected) = (tempfile::tempdir().unwrap(), scores(&copy.dir));
    let trainee = Trainee::load(&copy.dir, Backend::Flex).unwrap();
    drop(copy);
    let saved = folder.path().join("saved");
    trainee.save(&saved).unwrap();
    assert_eq!(scores(&saved), expected);
    let error = trainee.save(&saved).unwrap_err().to_string();
    assert!(error.contains("cannot write"), "{error}");
}

#[test]
fn two_halves_of_a_loss_are_one_loss() {
    let load = || Trainee::load(&fixture("tiny-bert"), Backend::Flex).unwrap();
    let (one, _) = learn(load(), 5, 1);
    let (two, _) = learn(load(), 5, 2);
    assert_near("halves", &logits(&two), &logits(&one));
}

#[test]
fn frozen_embeddings_stay_and_all_else_learns() {
    let trainee = Trainee::load(&fixture("tiny-bert"), Backend::Flex).unwrap();
    let (learnt, [before, after]) = learn(trainee.with_frozen_embeddings(), 20, 1);
    assert!(after < before);
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("learnt");
    learnt.save(&saved).unwrap();
    let tensor = |dir: &Path, name: &str| {
        let bytes = std::fs::read(dir.join("model.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        file.tensor(name).unwrap().data().to_vec()
    };
    let words = "bert.embeddings.word_embeddings.weight";
    assert_eq!(tensor(&saved, words), tensor(&fixture("tiny-bert"), words));
    let query = "bert.encoder.layer.0.attention.self.query.weight";
    assert_ne!(tensor(&saved, query), tensor(&fixture("tiny-bert"), query));
}

#[test]
fn an_optimizer_goes_on_as_if_it_had_never_been_saved() {
    let dir = fixture("tiny-bert");
    let folder = tempfile::tempdir().unwrap();
    let (model, memory) = (folder.path().join("model"), folder.path().join("optimizer.bpk"));
    let step = |trainee: Trainee, optimizer: &mut Optimizer| {
        let loss = trainee.forward(&batch()).square().mean();
        let gradients = trainee.gradients(&loss);
        trainee.step(optimizer, RATES, [gradients])
    };
    let mut optimizer = Optimizer::adamw(0.01, 1.0);
    let mut trainee = Trainee::load(&dir, Backend::Flex).unwrap();
    for _ in 0..3 {
        trainee = step(trainee, &mut optimizer);
    }
    trainee.save(&model).unwrap();
    optimizer.save(&memory).unwrap();
    let whole = step(trainee, &mut optimizer);

    let mut optimizer = Optimizer::adamw(0.01, 1.0).load(&memory).unwrap();
    let again = step(Trainee::load(&model, Backend::Flex).unwrap(), &mut optimizer);
    assert_eq!(logits(&again), logits(&whole));
    let mut forgetful = Optimizer::adamw(0.01, 1.0);
    let other = step(Trainee::load(&model, Backend::Flex).unwrap(), &mut forgetful);
    assert_ne!(logits(&other), logits(&whole));
}

#[test]
fn models_that_are_not_trained_are_refused_with_the_reason() {
    let refused = |dir: &Path| match Trainee::load(dir, Backend::Flex) {
        Err(error) => error,
        Ok(_) => panic!("{} was taken", dir.display()),
    };
    let error = refused(&fixture("tiny-deberta-v2"));
    assert!(matches!(error, TraineeError::ProjectedDistances(_)), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let int8 = folder.path().join("int8");
    crossrank_model::quantize(&fixture("tiny-bert"), &int8).unwrap();
    let error = refused(&int8).to_string();
    assert!(error.contains("int8"), "{error}");
}

#[test]
fn a_cross_encoder_starts_from_an_encoder_and_a_drawn_head() {
    // As sentence-transformers keeps an encoder: no head, no prefix.
    let copy = Copy::of("tiny-bert").edit_json("config.json", |config| {
        config["architectures"] = serde_json::json!(["BertModel"]);
        let config = config.as_object_mut().unwrap();
        config.remove("id2label");
        config.remove("label2id");
    });
    let copy = copy.edit_tensors(|tensors| {
        let own =
            |(name, tensor): (String, _)| Some((name.strip_prefix("bert.")?.to_owned(), tensor));
        *tensors = std::mem::take(tensors).into_iter().filter_map(own).collect();
    });
    let folder = tempfile::tempdir().unwrap();
    let begin = |name: &str, new: &Start| {
        let to = folder.path().join(name);
        start(&copy.dir, &to, new).unwrap();
        scores(&to)
    };
    let first = begin("first", &NEW);
    assert_eq!(begin("again", &NEW), first, "equal seeds draw equal heads");
    assert_ne!(begin("other", &Start { seed: 2, ..NEW.clone() }), first);
    let drawn = begin("drawn", &Start { random: true, ..NEW.clone() });
    assert_ne!(drawn, first);

    let short = folder.path().join("short");
    start(&copy.dir, &short, &Start { layers: Some(vec![1]), ..NEW.clone() }).unwrap();
    let config = std::fs::read_to_string(short.join("config.json")).unwrap();
    assert!(config.contains("\"num_hidden_layers\": 1"), "{config}");
    assert_eq!(scores(&short).len(), batch().pairs());
    let too_far = Start { layers: Some(vec![0, 9]), ..NEW.clone() };
    let error = start(&copy.dir, &folder.path().join("none"), &too_far).unwrap_err();
    assert!(matches!(error, StartError::NoLayer { asked: 9, last: 1, .. }), "{error}");
    let error = start(&copy.dir, &short, &NEW).unwrap_err().to_string();
    assert!(error.contains("cannot write"), "{error}");
}

#[test]
fn a_cross_encoder_that_starts_from_one_keeps_its_head() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("same");
    start(&fixture("tiny-bert"), &to, &NEW).unwrap();
    assert_eq!(scores(&to), scores(&fixture("tiny-bert")));
}

#[test]
fn a_cross_encoder_starts_from_int8_weights_as_the_floats_that_they_stand_for() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::open(Backend::Flex).unwrap();
    for name in ["tiny-bert", "tiny-modernbert", "tiny-electra"] {
        let (int8, to) = (folder.path().join(format!("{name}-int8")), folder.path().join(name));
        crossrank_model::quantize(&fixture(name), &int8).unwrap();
        start(&int8, &to, &NEW).unwrap();
        let rounded = CrossEncoder::load(&int8, &device, Precision::Int8).unwrap();
        let rounded = rounded.score(&batch()).unwrap();
        let (floats, original) = (scores(&to), scores(&fixture(name)));
        for ((float, int8), original) in floats.iter().zip(&rounded).zip(&original) {
            assert_ne!(float, original, "{name}: the weights are rounded");
            assert!((float - int8).abs() < 0.3, "{name}: {floats:?}, not {rounded:?}");
        }
        assert_near(name, &logits(&Trainee::load(&to, Backend::Flex).unwrap()), &floats);
    }
}

#[test]
fn an_embedder_pools_as_its_modules_say_and_takes_the_mean_where_they_do_not() {
    let device = Device::open(Backend::Flex).unwrap();
    let vectors = |dir: &Path| Embedder::load(dir, &device).unwrap().embed(&batch()).unwrap();
    let pooled = |mode: &str| {
        let copy =
            Copy::of("tiny-modernbert-modules").edit_json("1_Pooling/config.json", |config| {
                config["pooling_mode"] = mode.into();
            });
        vectors(&copy.dir)
    };
    let (first, mean) = (pooled("cls"), pooled("mean"));
    assert_ne!(first, mean);
    let copy = Copy::of("tiny-modernbert-modules");
    std::fs::remove_file(copy.dir.join("modules.json")).unwrap();
    assert_eq!(vectors(&copy.dir), mean);
}

#[test]
fn an_embedders_vectors_have_length_1_and_do_not_depend_on_their_company() {
    let device = Device::open(Backend::Flex).unwrap();
    let embedder = Embedder::load(&fixture("tiny-bert"), &device).unwrap();
    let (batch, width) = (batch(), embedder.width());
    let all = embedder.embed(&batch).unwrap();
    for (pair, vector) in all.chunks_exact(width).enumerate() {
        let length: f32 = vector.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
        let own = batch.offsets()[pair] as usize..batch.offsets()[pair + 1] as usize;
        let mut alone = PackedBatch::with_capacity(0);
        alone.push(&batch.ids()[own.clone()], &batch.types()[own]);
        assert_eq!(embedder.embed(&alone).unwrap(), vector);
    }
}
