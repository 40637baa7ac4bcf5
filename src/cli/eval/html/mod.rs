//! The report to look at: one HTML file with its style and charts inside, and no script.

mod canvas;
mod charts;
mod density;
mod examples;

use jiff::Timestamp;
use minijinja::value::Value;
use minijinja::{Environment, context};

use self::examples::{Examples, gains};
use super::report::{Report, Scoring, System, counted, grouped, signed, title};
use super::sets::Sets;
use crate::cli::CliError;
use crate::evaluation::{Comparison, Interval, Qrels, RESAMPLES, Verdict};

const PAGE: &str = include_str!("page.html");
/// Its ending is what makes the engine escape every text.
const NAME: &str = "page.html";

/// Draws the report.
///
/// # Errors
/// Only where there is a defect in here.
pub(super) fn page(
    report: &Report,
    qrels: &Qrels,
    sets: Option<&Sets>,
) -> Result<String, CliError> {
    let (words, sentence) = report.headline();
    let contrast = report.contrast.as_ref();
    let headline = contrast.map(|contrast| &contrast.measures[0]);
    let examples = contrast.map(|contrast| Examples { report, contrast, qrels, sets });
    let gains = contrast.map(|contrast| gains(report, contrast)).filter(|gains| !gains.is_empty());
    let safe = Value::from_safe_string;
    let view = context! {
        words => words,
        sentence => sentence,
        tone => tone(report.verdict(0)),
        first => title(report.rules.measures[0]),
        tiles => tiles(report, qrels),
        split => headline.map(split),
        systems => report.systems.iter().enumerate().map(|one| system(one, report)).collect::<Value>(),
        measures => safe(charts::measures(report)?),
        rows => rows(report),
        compared => contrast.is_some(),
        waterfall => gains.map(|gains| charts::waterfall(&gains)).transpose()?.map(safe),
        scores => charts::scores(report, qrels)?.map(safe),
        scorer => report.systems.last().map(|system| &system.name),
        examples => examples.map(|all| lists(all.wins_and_losses())),
        left_out => left_out(report),
        relevant => report.rules.relevant,
        resamples => grouped(RESAMPLES),
        version => env!("CARGO_PKG_VERSION"),
        date => Timestamp::now().strftime("%-d %B %Y, %H:%M UTC").to_string(),
        command => command(),
    };
    render(view).map_err(|error| CliError::Report { reason: crate::error_text(&error) })
}

/// What was typed.
fn command() -> String {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    words.collect::<Vec<_>>().join(" ")
}

fn render(view: Value) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.add_template(NAME, PAGE)?;
    environment.get_template(NAME)?.render(view)
}

fn tone(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Helps) => "better",
        Some(Verdict::Hurts) => "worse",
        Some(Verdict::NoDifferenceShown | Verdict::TooFewQueries) | None => "muted",
    }
}

/// A few figures that say how much is known, and how fast it was found out.
fn tiles(report: &Report, qrels: &Qrels) -> Value {
    let mut tiles = vec![(grouped(report.evaluation.queries.len()), "judged queries".to_owned())];
    if let Some(System { run, scoring, .. }) = report.systems.last() {
        let ranked = report.evaluation.queries.iter().flat_map(|query| {
            run.ranking(query).iter().map(|ranked| qrels.grade(query, &ranked.document).is_some())
        });
        let (judged, all) =
            ranked.fold((0, 0), |(judged, all), is| (judged + usize::from(is), all + 1));
        tiles.push((grouped(all), "passages ranked".to_owned()));
        tiles.push((percent(judged, all, 0), "of them judged".to_owned()));
        if let Some(scoring) = scoring {
            let speed = scoring.pairs_per_s();
            let speed = if speed < 100.0 { format!("{speed:.1}") } else { grouped(speed as usize) };
            tiles.push((speed, format!("pairs a second, {}", scoring.precision)));
            let cut = percent(scoring.truncated, scoring.pairs, 1);
            tiles.push((cut, format!("cut at {} tokens", scoring.max_length)));
        }
    }
    tiles.into_iter().map(|(figure, name)| context! { figure, name }).collect()
}

fn percent(part: usize, whole: usize, decimals: usize) -> String {
    format!("{:.decimals$} %", 100.0 * part as f64 / whole.max(1) as f64)
}

/// How many queries are better, equal and worse.
fn split(comparison: &Comparison) -> Value {
    let Comparison { better, equal, worse, .. } = *comparison;
    let parts = [("better", better), ("equal", equal), ("worse", worse)];
    parts.into_iter().map(|(name, count)| context! { name, count }).collect()
}

fn system((index, system): (usize, &System), report: &Report) -> Value {
    let role = match report.systems.len() - index {
        1 => "after",
        2 => "before",
        _ => "other",
    };
    let facts = system.scoring.as_ref().map(|scoring| {
        let Scoring { model, revision, precision, backend, device, threads, .. } = scoring;
        let threads = counted(*threads, "thread", "threads");
        context! {
            model => model,
            revision => revision,
            label => scoring.label.as_deref(),
            engine => format!("{precision}, {backend} on {device}, {threads}"),
            speed => format!(
                "{} pairs and {} tokens in {:.1} s: {:.1} pairs a second",
                grouped(scoring.pairs), grouped(scoring.tokens), scoring.seconds, scoring.pairs_per_s()
            ),
        }
    });
    context! { name => &system.name, origin => system.origin.as_deref(), role, facts }
}

/// The table below the bars.
fn rows(report: &Report) -> Value {
    let row = |index: usize| {
        let means = (0..report.systems.len()).map(|run| report.evaluation.mean(run, index));
        let comparison = report.contrast.as_ref().map(|contrast| &contrast.measures[index]);
        context! {
            measure => title(report.rules.measures[index]),
            means => means.map(|mean| format!("{mean:.4}")).collect::<Value>(),
            difference => comparison.map(|c| signed(c.difference)),
            interval => comparison.and_then(|c| c.interval).map(|Interval { low, high }| {
                format!("{} to {}", signed(low), signed(high))
            }),
            better => comparison.map(|c| c.better),
            equal => comparison.map(|c| c.equal),
            worse => comparison.map(|c| c.worse),
            verdict => report.verdict(index).map(|verdict| verdict.to_string()),
            tone => tone(report.verdict(index)),
        }
    };
    (0..report.rules.measures.len()).map(row).collect()
}

fn lists([wins, losses]: [Value; 2]) -> Value {
    let lists = [("Biggest wins", "better", wins), ("Biggest losses", "worse", losses)];
    lists.into_iter().map(|(name, tone, queries)| context! { name, tone, queries }).collect()
}

fn left_out(report: &Report) -> Option<String> {
    match (report.evaluation.unjudged, report.evaluation.absent) {
        (0, 0) => None,
        (unjudged, absent) => Some(format!(
            "Left out: {} without a judgement, {} that {} judged but not ranked.",
            counted(unjudged, "query", "queries"),
            absent,
            if absent == 1 { "is" } else { "are" },
        )),
    }
}
