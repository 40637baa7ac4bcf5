//! Judged pairs, in JSON lines.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context as _, bail};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;

/// A line: a query and a passage, and what somebody thinks of them.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Pair {
    pub(crate) query: String,
    #[serde(alias = "text")]
    pub(crate) passage: String,
    /// 1, or a grade, where the passage answers the query; 0 where it does not.
    #[serde(default = "relevant")]
    pub(crate) label: f32,
    /// The logit that a better model gives the pair.
    #[serde(default)]
    pub(crate) score: Option<f32>,
}

/// What is known of a query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Judged {
    pub(crate) query: String,
    /// Place of a passage, its label and perhaps its teacher's logit.
    pub(crate) passages: Vec<(u32, f32, Option<f32>)>,
}

fn relevant() -> f32 {
    1.0
}

/// Opens a file of lines, which may be compressed with gzip.
pub(crate) fn open(path: &Path) -> anyhow::Result<impl BufRead> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let file: Box<dyn Read> = match path.extension().is_some_and(|extension| extension == "gz") {
        true => Box::new(MultiGzDecoder::new(file)),
        false => Box::new(file),
    };
    Ok(BufReader::new(file))
}

/// Reads the lines of a file as JSON; empty ones are passed over.
pub(crate) fn lines<T: for<'de> Deserialize<'de>>(path: &Path) -> anyhow::Result<Vec<T>> {
    let mut values = Vec::new();
    for (number, line) in (1..).zip(open(path)?.lines()) {
        let line = line.with_context(|| format!("cannot read {}", path.display()))?;
        if line.trim().is_empty() {
            continue;
        }
        let value = serde_json::from_str(&line)
            .with_context(|| format!("{}, line {number}: not what is expected", path.display()))?;
        values.push(value);
    }
    Ok(values)
}

/// Reads pairs, and gathers them by query. Equal passages are one.
///
/// # Errors
/// A file cannot be read, a line is no pair, a text is empty, or no query has a passage that answers it.
pub(crate) fn read(paths: &[impl AsRef<Path>]) -> anyhow::Result<(Vec<String>, Vec<Judged>)> {
    let (mut passages, mut judged) = (Vec::new(), Vec::<Judged>::new());
    let (mut places, mut queries) =
        (HashMap::<String, u32>::new(), HashMap::<String, usize>::new());
    for path in paths {
        let path = path.as_ref();
        for (number, pair) in (1..).zip(lines::<Pair>(path)?) {
            let numbers = [Some(pair.label), pair.score].into_iter().flatten();
            if pair.query.trim().is_empty() || pair.passage.trim().is_empty() {
                bail!("{}, pair {number}: query and passage must not be empty", path.display());
            }
            if numbers.into_iter().any(|number| !number.is_finite()) {
                bail!("{}, pair {number}: label and score must be numbers", path.display());
            }
            let next = passages.len() as u32;
            let place = *places.entry(pair.passage.clone()).or_insert(next);
            if place == next {
                passages.push(pair.passage);
            }
            let entry = queries.entry(pair.query.clone()).or_insert_with(|| {
                judged.push(Judged { query: pair.query, passages: Vec::new() });
                judged.len() - 1
            });
            judged[*entry].passages.push((place, pair.label, pair.score));
        }
    }
    judged.retain(|of| of.passages.iter().any(|(_, label, _)| *label > 0.0));
    if judged.is_empty() {
        bail!("no query has a passage with a label above 0, so that there is nothing to learn");
    }
    Ok((passages, judged))
}
