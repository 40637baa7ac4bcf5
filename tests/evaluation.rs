//! Measures are those of trec_eval: held to figures that tools/evaluation_golden.py wrote with ir_measures.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crossrank::evaluation::{Measure, Qrels, Rules, Run, RunLines, evaluate};
use serde::Deserialize;

/// What the golden figures are rounded to, and a little.
const TOLERANCE: f64 = 1e-6;

#[derive(Deserialize)]
struct Expected {
    values: Vec<Values>,
}

#[derive(Deserialize)]
struct Values {
    measure: String,
    relevant: i32,
    queries: BTreeMap<String, f64>,
}

fn data(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/evaluation");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn qrels(text: &str) -> Qrels {
    let mut qrels = Qrels::default();
    text.lines().for_each(|line| qrels.add_line(line.as_bytes()).unwrap());
    qrels
}

fn run(text: &str) -> Run {
    let mut lines = RunLines::default();
    text.lines().for_each(|line| lines.add(line.as_bytes()).unwrap());
    lines.into_run()
}

#[test]
fn every_measure_of_every_query_is_that_of_ir_measures() {
    let (qrels, run) = (qrels(&data("made_up.qrels")), run(&data("made_up.trec")));
    let expected: Expected = serde_json::from_str(&data("expected.json")).unwrap();
    assert!(expected.values.len() > 15);
    for Values { measure, relevant, queries } in expected.values {
        let measures = vec![measure.parse::<Measure>().unwrap()];
        let found = evaluate(&qrels, &[&run], &Rules { measures, relevant });
        assert_eq!((found.unjudged, found.absent), (1, 1));
        assert_eq!(found.queries.len(), queries.len(), "{measure}");
        for (query, value) in found.queries.iter().zip(found.values(0, 0)) {
            let expected = queries[query];
            assert!(
                (value - expected).abs() <= TOLERANCE,
                "{measure} of {query} is {value}, not {expected}"
            );
        }
    }
}

#[test]
fn a_run_that_is_written_has_the_measures_of_the_one_that_was_read() {
    let (qrels, read) = (qrels(&data("made_up.qrels")), run(&data("made_up.trec")));
    let mut written = Vec::new();
    read.write(&mut written, "again").unwrap();
    let again = run(std::str::from_utf8(&written).unwrap());
    let measures = vec!["ndcg@10".parse().unwrap(), "map".parse().unwrap()];
    let found = evaluate(&qrels, &[&read, &again], &Rules { measures, relevant: 1 });
    for measure in 0..2 {
        assert_eq!(found.values(0, measure), found.values(1, measure));
    }
}

/// The folder of larger evaluation data, where there is one.
fn shared() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("CROSSRANK_SHARED").map_or_else(beside, PathBuf::from);
    folder.join("eval/dl19.qrels").is_file().then_some(folder)
}

/// 0.506 is what pyserini and RankGPT publish for BM25 on the passage task of TREC's deep learning track 2019.
#[test]
fn bm25_has_its_published_figure_on_dl19() {
    let Some(folder) = shared() else {
        println!("no folder of evaluation data; set CROSSRANK_SHARED");
        return;
    };
    let qrels = qrels(&std::fs::read_to_string(folder.join("eval/dl19.qrels")).unwrap());
    let file = std::fs::File::open(folder.join("eval/dl19-bm25-top100.jsonl.gz")).unwrap();
    let mut lines = String::new();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut lines).unwrap();
    let mut bm25 = Run::default();
    for line in lines.lines() {
        let set: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let ids: Vec<_> =
            set["candidates"].as_array().unwrap().iter().map(|c| text(&c["id"])).collect();
        bm25.insert_order(text(&set["request_id"]), ids);
    }
    let measures = vec!["ndcg@10".parse().unwrap()];
    let found = evaluate(&qrels, &[&bm25], &Rules { measures, relevant: 1 });
    assert_eq!(found.queries.len(), 43);
    assert!((found.mean(0, 0) - 0.506).abs() < 5e-4, "{}", found.mean(0, 0));
}
