//! Cases with one passage that answers and one that nearly does: how often is the first preferred?

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::PathBuf;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use crate::contrast;
use crate::index::Index;
use crate::measure::Ranker;
use crate::pairs;
use crate::pool::Texts;

/// Whom to ask.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Compare {
    /// Cases, JSON lines: {"kind", "query", "relevant", "distractor"}
    #[arg(long, value_name = "FILE")]
    cases: PathBuf,
    /// Cross-encoders, each a directory
    #[arg(long, num_args = 0.., value_name = "DIR")]
    models: Vec<PathBuf>,
    /// A bi-encoder with mean pooling
    #[arg(long, value_name = "DIR")]
    encoder: Option<PathBuf>,
}

/// What is generated to learn contrasts from, to be looked at or measured on.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Generate {
    #[arg(long, default_value_t = 20)]
    count: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

// === impl Generate ===

impl Generate {
    /// Prints cases, one a line, as [`Compare`] reads them.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let (mut rng, mut out) = (Rng::with_seed(self.seed), io::stdout().lock());
        for _ in 0..self.count {
            let case = contrast::case(&mut rng);
            let distractor = rng.choice(case.distractors).unwrap_or_default();
            let kind = format!("{:?}", case.kind);
            let case = Case { kind, query: case.query, relevant: case.relevant, distractor };
            serde_json::to_writer(&mut out, &case)?;
            writeln!(out)?;
        }
        Ok(())
    }
}

#[derive(Debug, Deserialize, Serialize)]
struct Case {
    kind: String,
    query: String,
    relevant: String,
    distractor: String,
}

const TOKENS_MAX: usize = 320;

// === impl Compare ===

impl Compare {
    /// Prints the share of cases, by kind, in which each scores the answer above the other passage.
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let cases: Vec<Case> = pairs::lines(&self.cases)?;
        let mut columns = vec![("BM25".to_owned(), by_words(&cases))];
        if let Some(encoder) = &self.encoder {
            columns.push(("bi-encoder".to_owned(), by_meaning(&cases, &Texts::of(encoder)?)?));
        }
        for model in &self.models {
            let ranker = Ranker::load_any(model, TOKENS_MAX)?;
            let right = ranker.each(&cases, |case| {
                let logits = ranker.logits(&case.query, &[&case.relevant, &case.distractor])?;
                Ok(logits[0] > logits[1])
            })?;
            let name = model.file_name().unwrap_or(model.as_os_str()).to_string_lossy();
            columns.push((name.into_owned(), right));
        }
        Ok(print(&cases, &columns)?)
    }
}

fn by_words(cases: &[Case]) -> Vec<bool> {
    let texts = |case: &Case| [case.relevant.clone(), case.distractor.clone()];
    let index = Index::new(&cases.iter().flat_map(texts).collect::<Vec<_>>());
    let right = |(place, case): (u32, &Case)| {
        let found = index.search(&case.query);
        let score = |place| found.iter().find(|own| own.0 == place).map_or(0.0, |own| own.1);
        score(2 * place) > score(2 * place + 1)
    };
    (0..).zip(cases).map(right).collect()
}

fn by_meaning(cases: &[Case], texts: &Texts) -> anyhow::Result<Vec<bool>> {
    let right = |case: &Case| {
        let vectors = texts.embed(&[&case.query, &case.relevant, &case.distractor])?;
        let parts: Vec<&[f32]> = vectors.chunks_exact(vectors.len() / 3).collect();
        let cosine = |own: &[f32]| parts[0].iter().zip(own).map(|(a, b)| a * b).sum::<f32>();
        Ok(cosine(parts[1]) > cosine(parts[2]))
    };
    cases.iter().map(right).collect()
}

fn print(cases: &[Case], columns: &[(String, Vec<bool>)]) -> io::Result<()> {
    let mut kinds: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, case) in cases.iter().enumerate() {
        kinds.entry(&case.kind).or_default().push(place);
    }
    let all = ("all", (0..cases.len()).collect());
    let mut out = io::stdout().lock();
    write!(out, "{:16} {:>5}", "kind", "cases")?;
    for (name, _) in columns {
        write!(out, " {name:>12}")?;
    }
    writeln!(out)?;
    for (kind, places) in kinds.into_iter().chain([all]) {
        write!(out, "{kind:16} {:>5}", places.len())?;
        for (_, right) in columns {
            let count = places.iter().filter(|place| right[**place]).count();
            write!(out, " {:>10.1} %", 100.0 * count as f64 / places.len().max(1) as f64)?;
        }
        writeln!(out)?;
    }
    Ok(())
}
