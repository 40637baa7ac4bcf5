use clap::Parser;

use super::*;

#[derive(Parser)]
struct Only {
    #[command(flatten)]
    tune: Tune,
}

/// A folder with pairs, and a model to start from.
struct Case {
    folder: tempfile::TempDir,
}

// === impl Case ===

impl Case {
    fn new(lines: impl IntoIterator<Item = String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines: Vec<String> = lines.into_iter().collect();
        fs::write(folder.path().join("pairs.jsonl"), lines.join("\n")).unwrap();
        Self { folder }
    }

    fn tune(&self, more: &[&str]) -> Tune {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/tiny-bert");
        let (pairs, out) = (self.folder.path().join("pairs.jsonl"), self.out());
        let own = [
            Path::new("tune"),
            Path::new("--from"),
            &fixture,
            Path::new("--pairs"),
            &pairs,
            Path::new("--out"),
            &out,
        ];
        let own = own.map(|part| part.to_str().unwrap().to_owned());
        let small = "--tokens-max 64 --candidates 4 --threads 2".split(' ').map(str::to_owned);
        let more = more.iter().map(|part| (*part).to_owned());
        Only::parse_from(own.into_iter().chain(small).chain(more)).tune
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("tuned")
    }

    #[track_caller]
    fn refused(&self, more: &[&str], parts: &[&str]) {
        let error = format!("{:#}", self.tune(more).run().unwrap_err());
        for part in parts {
            assert!(error.contains(part), "\"{error}\" lacks \"{part}\"");
        }
    }
}

/// Queries about days, answered by passages about meals, which no word in common gives away.
fn pairs(count: usize) -> impl Iterator<Item = String> {
    let days = ["monday", "tuesday", "wednesday", "thursday"];
    let line = move |at: usize| {
        let (day, label) = (days[at % 4], u8::from(at.is_multiple_of(2)));
        let meal = if label == 1 { "soup and bread" } else { "nothing at all" };
        format!(
            r#"{{"query": "{day} number {}", "passage": "number {} has {meal}", "label": {label}}}"#,
            at / 2,
            at / 2
        )
    };
    (0..2 * count).map(line)
}

#[test]
fn a_model_is_tuned_to_pairs_and_written_where_it_is_asked_for() {
    let case = Case::new(pairs(40));
    let options = ["--epochs", "6", "--rate", "2e-3", "--held-out", "0.2", "--patience", "50"];
    let outcome = case.tune(&options).run().unwrap();
    assert!(outcome.measure > outcome.before && outcome.measure > 0.8, "{outcome:?}");
    assert!(case.out().join("model.safetensors").is_file());
    assert!(Ranker::load(&case.out(), 64, 1).is_ok());
    case.refused(&[], &["tuned exists", "name a directory that does not"]);
}

#[test]
fn a_teacher_is_learnt_from() {
    let case = Case::new(pairs(20));
    let teacher = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/tiny-bert-relu");
    let teacher = teacher.to_str().unwrap();
    let tune = |more: &[&str]| {
        let options = ["--steps", "4", "--every", "4", "--patience", "9"];
        fs::remove_dir_all(case.folder.path().join("tuned.work")).ok();
        let options: Vec<&str> = options.into_iter().chain(more.iter().copied()).collect();
        let tune = case.tune(&options);
        tune.run().unwrap();
        let learnt = case.folder.path().join("tuned.work/checkpoint-4/model/model.safetensors");
        let weights = fs::read(learnt).unwrap();
        fs::remove_dir_all(case.out()).unwrap();
        weights
    };
    let alone = tune(&[]);
    assert_eq!(tune(&[]), alone, "equal runs give equal models");
    assert_ne!(tune(&["--teacher", teacher]), alone);
}

#[test]
fn pairs_that_cannot_be_learnt_from_are_refused_with_their_place() {
    Case::new(["{\"query\": 1}".to_owned()]).refused(&[], &["pairs.jsonl, line 1"]);
    let empty = r#"{"query": " ", "passage": "p"}"#.to_owned();
    Case::new([empty]).refused(&[], &["pairs.jsonl, pair 1", "must not be empty"]);
    let none = r#"{"query": "q", "passage": "p", "label": 0}"#.to_owned();
    Case::new([none]).refused(&[], &["nothing to learn"]);
    Case::new(pairs(1)).refused(&[], &["too few to hold 1 out"]);
    Case::new(pairs(9)).refused(&["--held-out", "0.7"], &["--held-out must be"]);
    Case::new(pairs(9)).refused(&["--lists", "0"], &["at least 1 list"]);
}
