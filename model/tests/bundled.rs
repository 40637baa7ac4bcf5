//! The model that ships inside: small enough, the same everywhere, and on no disk.
#![cfg(feature = "bundled")]

mod support;

use std::path::{Path, PathBuf};

use crossrank_model::{
    CrossEncoder, Device, ModelFile, PairTokenizer, Precision, TextTokenizer, TokenLimits, bundled,
    deciding_files, quantize, shown,
};
use support::{cpus, gpu, noted, pack, with_kernels, without_kernels};

/// All files of `default/` together.
const BYTES_MAX: u64 = 25_000_000;
/// Between backends, in standard deviations of the logits: each rounds inputs to 8 bits, and where they add up in another
/// order a number may be rounded the other way.
const TOLERANCE: f32 = 0.15;

const QUERIES: [&str; 3] =
    ["how is steel made", "weather in lisbon in may", "Is python's sort stable?"];
const PASSAGES: [&str; 4] = [
    "Pig iron from the blast furnace is blown with oxygen until little of its carbon is left.",
    "May brings 22 degrees to Lisbon by day, and rain on six days of the month.",
    "sorted() guarantees stability: records that compare equal keep their order.",
    "no",
];

fn inside() -> &'static Path {
    bundled().expect("the feature is on")
}

fn default() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("default")
}

fn score(dir: &Path, device: &Device) -> Vec<f32> {
    let encoder = CrossEncoder::load(dir, device, Precision::Int8).unwrap();
    let limits = TokenLimits { tokens_max: encoder.tokens_max(), query_tokens_max: 64 };
    let tokenizer = PairTokenizer::load(dir, limits).unwrap();
    let pairs = QUERIES.iter().flat_map(|query| {
        let query = tokenizer.query(query).unwrap();
        PASSAGES.map(|passage| tokenizer.pair(&query, passage).unwrap())
    });
    encoder.score(&pack(&pairs.collect::<Vec<_>>())).unwrap()
}

#[test]
fn its_files_take_no_more_than_25_megabytes_together() {
    let sizes = std::fs::read_dir(default()).unwrap().map(|entry| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len())
    });
    let sizes: Vec<_> = sizes.collect();
    let bytes: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
    assert!(bytes <= BYTES_MAX, "{bytes} bytes: {sizes:?}");
    noted("bundled", &format!("{bytes} bytes of files"));
}

#[test]
fn every_backend_gives_a_pair_the_same_score() {
    let devices = with_kernels().into_iter().chain(without_kernels()).chain(gpu("bundled"));
    let mut scores = devices.map(|device| (device.name(), score(inside(), &device)));
    let (_, expected) = scores.next().unwrap();
    let count = expected.len() as f32;
    let mean = expected.iter().sum::<f32>() / count;
    let variance = expected.iter().map(|logit| (logit - mean).powi(2)).sum::<f32>() / count;
    let deviation = variance.sqrt();
    for (device, scores) in scores {
        let tolerance = TOLERANCE * deviation;
        let worst = support::assert_close(&device, &scores, &expected, tolerance) / deviation;
        noted("bundled", &format!("{device} differs by {worst:.3} of a deviation at most"));
    }
}

#[test]
fn what_is_inside_is_what_lies_in_the_repository() {
    let device = cpus().into_iter().next().unwrap();
    let load = |dir: &Path| CrossEncoder::load(dir, &device, Precision::Int8).unwrap();
    let (here, there) = (load(inside()), load(&default()));
    assert_eq!(here.revision(), there.revision());
    assert_eq!(here.tokens_max(), there.tokens_max());
    assert_eq!((here.name(), there.name()), ("crossrank-bundled", "default"));
    assert_eq!(score(inside(), &device), score(&default(), &device));
    assert_eq!(deciding_files(inside()).unwrap(), deciding_files(&default()).unwrap());
    let count = |dir: &Path| TextTokenizer::load(dir).unwrap().count("some words of text");
    assert_eq!(count(inside()), count(&default()));
}

#[test]
fn no_directory_can_be_taken_for_it() {
    inside().try_exists().unwrap_err();
    std::fs::create_dir(inside()).unwrap_err();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(inside())).unwrap_err();
    // What people are told of is no way in.
    let told = shown(inside()).to_string();
    assert_eq!(told, "crossrank-bundled");
    ModelFile::open(Path::new(&told), "config.json").unwrap_err();
    ModelFile::open(&folder.path().join(inside()), "config.json").unwrap_err();
}

#[test]
fn floats_of_it_are_refused_and_so_is_quantizing_it() {
    let device = cpus().into_iter().next().unwrap();
    let error = CrossEncoder::load(inside(), &device, Precision::F32).unwrap_err().to_string();
    assert!(error.starts_with("crossrank-bundled holds int8 weights"), "{error:?}");
    let folder = tempfile::tempdir().unwrap();
    let error = quantize(inside(), &folder.path().join("out")).unwrap_err().to_string();
    assert!(error.starts_with("crossrank-bundled holds int8 weights already"), "{error:?}");
    let label = CrossEncoder::load_label(inside(), &device, Precision::Int8, Some("no such label"));
    let error = label.unwrap_err().to_string();
    assert!(error.starts_with("crossrank-bundled/config.json: label"), "{error:?}");
    assert_eq!(
        ModelFile::read_whole(inside(), "no-such-file").unwrap_err().kind(),
        std::io::ErrorKind::NotFound
    );
}
