use std::fmt::{self, Write};

use super::report::{Report, Scoring, System, counted};
use crate::evaluation::{Comparison, Interval};

/// Columns of a mean, wider where a system's name is.
const MEAN_COLUMNS: usize = 11;

/// The figures as text for a terminal.
pub(super) fn table(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _infallible = write_table(&mut text, report);
    text
}

fn write_table(out: &mut String, report: &Report) -> fmt::Result {
    let evaluation = &report.evaluation;
    write!(out, "judged      {}", counted(evaluation.queries.len(), "query", "queries"))?;
    match (evaluation.unjudged, evaluation.absent) {
        (0, 0) => writeln!(out)?,
        (unjudged, absent) => writeln!(
            out,
            "; left out: {unjudged} without a judgement, {absent} judged but not ranked"
        )?,
    }
    for system in &report.systems {
        write_system(out, system)?;
    }
    writeln!(out)?;
    write_measures(out, report)?;
    let (words, sentence) = report.headline();
    writeln!(out, "\n{words}: {sentence}")
}

fn write_system(out: &mut String, System { name, origin, scoring, .. }: &System) -> fmt::Result {
    if let Some(origin) = origin {
        writeln!(out, "{name:<11} {origin}")?;
    }
    let Some(scoring) = scoring else { return Ok(()) };
    let Scoring { model, revision, precision, backend, device, threads, .. } = scoring;
    let label = scoring.label.as_ref().map_or(String::new(), |label| format!(", label {label:?}"));
    let start = if origin.is_some() { "" } else { "model" };
    writeln!(out, "{start:<11} {model} at {revision}{label}")?;
    let threads = counted(*threads, "thread", "threads");
    writeln!(out, "{:<11} {precision}, {backend} on {device}, {threads}", "")?;
    writeln!(
        out,
        "{:<11} {} pairs in {:.1} s: {:.1} pairs/s; {:.1} % of the passages cut at {} tokens",
        "",
        scoring.pairs,
        scoring.seconds,
        scoring.pairs_per_s(),
        scoring.truncated_share() * 100.0,
        scoring.max_length
    )
}

fn write_measures(out: &mut String, report: &Report) -> fmt::Result {
    let width = |system: &System| system.name.chars().count().max(MEAN_COLUMNS);
    let widths: Vec<usize> = report.systems.iter().map(width).collect();
    write!(out, "{:<11}", "measure")?;
    for (system, width) in report.systems.iter().zip(&widths) {
        write!(out, "  {:>width$}", system.name)?;
    }
    if report.contrast.is_some() {
        write!(out, "  difference      95 % interval  better  equal  worse  verdict")?;
    }
    writeln!(out)?;
    for (index, measure) in report.rules.measures.iter().enumerate() {
        write!(out, "{measure:<11}")?;
        for (run, width) in widths.iter().enumerate() {
            write!(out, "  {:>width$.4}", report.evaluation.mean(run, index))?;
        }
        if let Some(contrast) = &report.contrast {
            write_comparison(out, &contrast.measures[index])?;
            let verdict = report.verdict(index);
            write!(out, "  {}", verdict.map_or("-".to_owned(), |verdict| verdict.to_string()))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn write_comparison(out: &mut String, comparison: &Comparison) -> fmt::Result {
    let Comparison { difference, interval, better, equal, worse } = comparison;
    let interval = match interval {
        Some(Interval { low, high }) => format!("{low:+.4} {high:+.4}"),
        None => "-".to_owned(),
    };
    write!(out, "  {difference:>+10.4}  {interval:>17}  {better:>6}  {equal:>5}  {worse:>5}")
}
