use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stage::{Stage, set};
use crate::worker::{self, Worker};

/// What a file gets and what a topic gets is the same, byte for byte, but for the timings and for what
/// was known from before.
#[test]
fn files_and_topics_give_the_same_answers() {
    let Some(stage) = Stage::set("same", 3) else { return };
    compare(&stage, &(0..300).map(set).collect::<Vec<_>>());
}

/// The same for judged sets of real passages, where the folder with them is there, and with a model
/// of real size, where `CROSSRANK_REAL_MODEL` names one.
#[test]
fn files_and_topics_give_the_same_answers_to_real_sets() {
    let sets: Vec<String> = ["noveleval.jsonl.gz", "dl19-bm25-top100.jsonl.gz"]
        .iter()
        .filter_map(|name| std::fs::File::open(shared().join("eval").join(name)).ok())
        .flat_map(|file| BufReader::new(flate2::read::MultiGzDecoder::new(file)).lines())
        .map(Result::unwrap)
        .collect();
    if sets.is_empty() {
        crate::kafka::skipped("no judged sets; CROSSRANK_SHARED names the folder that has eval/");
        return;
    }
    let Some(stage) = Stage::set("same-real", 3) else { return };
    compare(&stage, &sets);
}

fn compare(stage: &Stage, sets: &[String]) {
    for (key, set) in sets.iter().enumerate() {
        stage.produce_one(&key.to_string(), Some(set.as_bytes()));
    }
    let worker = Worker::start(stage);
    stage.wait_for_answers(sets.len());
    assert_eq!(worker.terminate().code, Some(0));

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), sets.join("\n")).unwrap();
    let mut rerank = Command::new(env!("CARGO_BIN_EXE_crossrank"));
    rerank.args(["rerank", "--model"]).arg(worker::model()).arg(file.path());
    let from_file = rerank.output().unwrap();
    assert!(from_file.status.success(), "{}", String::from_utf8_lossy(&from_file.stderr));

    let mut from_file: Vec<String> =
        String::from_utf8(from_file.stdout).unwrap().lines().map(without_circumstances).collect();
    let outputs = stage.outputs().into_iter();
    let mut from_topic: Vec<String> = outputs
        .map(|output| without_circumstances(std::str::from_utf8(&output.value).unwrap()))
        .collect();
    from_file.sort();
    from_topic.sort();
    assert_eq!(from_file.len(), sets.len());
    // Not assert_eq: nobody reads a difference of megabytes.
    let differ = from_file.iter().zip(&from_topic).filter(|(file, topic)| file != topic).count();
    assert_eq!((differ, from_topic.len()), (0, sets.len()));
}

/// The bytes of an answer, but for the timings, and for which pairs the model had to read: identical
/// pairs that meet in flight are read once.
fn without_circumstances(answer: &str) -> String {
    let (before, rest) = answer.rsplit_once(r#""timing_ms":{"#).unwrap();
    let (_, after) = rest.split_once('}').unwrap();
    let (before, usage) = before.rsplit_once(r#""usage":{"#).unwrap();
    let (candidates_and_pairs, rest) = usage.split_once(r#""tokens":"#).unwrap();
    let (_, rest) = rest.split_once(r#""truncated":"#).unwrap();
    format!("{before}{candidates_and_pairs}{rest}{after}")
}

/// Data that is not part of this repository.
fn shared() -> PathBuf {
    std::env::var_os("CROSSRANK_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from)
}
