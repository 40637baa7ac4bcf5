use std::ops::ControlFlow;
use std::path::Path;

use super::arguments::Arguments;
use super::sets::{Sets, Wanted};
use crate::cli::input::{Content, Inputs, Numbered};
use crate::cli::lines::Line;
use crate::cli::rerank::BadLine;
use crate::cli::{CliError, sets};
use crate::evaluation::{LineError, Qrels, Run, RunLines};
use crate::wire::Limits;

/// Many times the longest line of qrels or of a run that anybody writes.
const LINE_BYTES_MAX: usize = 1 << 16;

/// All that is read from files.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) sets: Option<Sets>,
    /// Those of the file, or else the grades on the candidates.
    pub(super) qrels: Qrels,
    /// In the order of the arguments.
    pub(super) runs: Vec<Run>,
}

// === impl Given ===

impl Given {
    /// Reads all files. Blocks.
    ///
    /// # Errors
    /// One cannot be read, a line is not what it should be, or no query of a ranking is judged.
    pub(super) fn read(arguments: &Arguments, limits: &Limits) -> Result<Self, CliError> {
        let wanted = Wanted { labels: arguments.qrels.is_none(), fields: arguments.writes_runs() };
        let mut sets = match &arguments.sets[..] {
            [] => None,
            paths => Some(Sets::read(Inputs::open(paths)?, limits, wanted)?),
        };
        let qrels = match &arguments.qrels {
            Some(path) => qrels(path)?,
            None => sets.as_mut().map(|sets| std::mem::take(&mut sets.labels)).unwrap_or_default(),
        };
        let runs: Result<Vec<Run>, CliError> =
            arguments.run_in.iter().map(|path| run(path)).collect();
        let given = Self { sets, qrels, runs: runs? };
        let first_stage = given.sets.iter().map(|sets| &sets.first_stage);
        first_stage.chain(&given.runs).try_for_each(|run| refuse_unjudged(&given.qrels, run))?;
        Ok(given)
    }
}

fn qrels(path: &Path) -> Result<Qrels, CliError> {
    let mut qrels = Qrels::default();
    each_line(path, |line| qrels.add_line(line))?;
    Ok(qrels)
}

fn run(path: &Path) -> Result<Run, CliError> {
    let mut lines = RunLines::default();
    each_line(path, |line| lines.add(line))?;
    Ok(lines.into_run())
}

fn each_line(
    path: &Path,
    mut add: impl FnMut(&[u8]) -> Result<(), LineError>,
) -> Result<(), CliError> {
    let inputs = Inputs::open(&[path.to_owned()])?;
    sets::read_lines(inputs, LINE_BYTES_MAX, |Numbered { place, content, .. }| {
        let added = match content {
            Content::Line(Line::Whole(line)) => add(&line).map_err(BadLine::from),
            Content::Line(Line::TooLong { bytes }) => {
                Err(BadLine::TooLong { bytes, limit: LINE_BYTES_MAX })
            }
            Content::Unreadable(error) => Err(BadLine::Unreadable(error)),
        };
        added.map_err(|source| CliError::BadLine { place, source })?;
        Ok(ControlFlow::Continue(()))
    })
}

/// Nothing can be said where no query of a ranking is judged: most likely the names do not match.
fn refuse_unjudged(qrels: &Qrels, run: &Run) -> Result<(), CliError> {
    if run.queries().any(|query| qrels.has(query)) {
        return Ok(());
    }
    let name = |name: Option<&str>| name.map_or("none".to_owned(), |name| format!("{name:?}"));
    Err(CliError::NothingJudged {
        query: name(run.queries().next()),
        judged: name(qrels.queries().next()),
    })
}
