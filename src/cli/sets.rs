use std::ops::ControlFlow;

use tokio::sync::mpsc;

use super::CliError;
use super::input::{Content, Inputs, Numbered};
use super::lines::Line;
use super::rerank::BadLine;
use crate::wire::{self, CandidateSet, DecodeError, Limits};

/// Lines between the reading thread and the decoder.
const LINES_WAITING_MAX: usize = 64;

/// Decodes candidate sets, one a line, and hands each on with its `file:line`, until `take` has enough. Blocks.
///
/// # Errors
/// The first line that is not a candidate set, and what `take` says.
pub(super) fn read(
    inputs: Inputs,
    limits: &Limits,
    mut take: impl FnMut(CandidateSet, String) -> Result<ControlFlow<()>, CliError>,
) -> Result<(), CliError> {
    read_lines(inputs, limits.record_bytes_max, |Numbered { place, content, .. }| {
        let set = match content {
            Content::Line(Line::Whole(line)) => wire::decode(Some(&line), limits),
            Content::Line(Line::TooLong { bytes }) => {
                let limit = limits.record_bytes_max;
                Err(DecodeError::RecordTooLarge { actual: bytes, limit })
            }
            Content::Unreadable(error) => {
                let source = BadLine::Unreadable(error);
                return Err(CliError::BadLine { place, source });
            }
        };
        match set {
            Ok(set) => take(set, place),
            Err(error) => Err(CliError::BadLine { place, source: BadLine::Decode { error } }),
        }
    })
}

/// Hands on every line that is not blank, until `take` has enough. Blocks.
///
/// # Errors
/// What `take` says.
pub(super) fn read_lines(
    inputs: Inputs,
    bytes_max: usize,
    mut take: impl FnMut(Numbered) -> Result<ControlFlow<()>, CliError>,
) -> Result<(), CliError> {
    let (into_lines, mut lines) = mpsc::channel(LINES_WAITING_MAX);
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || inputs.read(bytes_max, &into_lines));
        while let Some(line) = lines.blocking_recv() {
            if take(line)?.is_break() {
                break;
            }
        }
        // Without a receiver it has ended, or does so at its next line.
        drop(lines);
        let read = reader.join();
        read.map_err(|_| CliError::Panicked { reason: "reading the input".to_owned() })
    })
}
