//! The three charts of a report.

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::canvas::{
    AFTER, BEFORE, BETTER, Drawn, INK, LINE, MUTED, OTHER, PIXEL, WORSE, draw, font, text,
};
use super::density::{Density, densities};
use crate::cli::CliError;
use crate::cli::eval::report::{Report, title};
use crate::evaluation::{Interval, Qrels};

/// Narrow enough for a phone, where it is shown at about three quarters of its size.
const WIDTH: i32 = 480;
/// Columns for names at the left, and for figures at the right.
const NAMES: i32 = 94;
const FIGURES: i32 = 52;
/// A row for the figures of an axis.
const BELOW: i32 = 28;
const LABEL: f64 = 12.5;
const SMALL: f64 = 11.5;

/// Bars that a waterfall has room for; more queries share them.
const BARS_MAX: usize = 160;

/// The colours of systems, the last one always the same.
pub(super) fn colour(index: usize, systems: usize) -> RGBColor {
    match systems - index {
        1 => AFTER,
        2 => BEFORE,
        _ => OTHER,
    }
}

/// Every measure of every system, each a bar with its interval.
pub(super) fn measures(report: &Report) -> Result<String, CliError> {
    let systems = report.systems.len();
    let (bar, gap) = (15, 22);
    let row = bar * systems as i32 + gap;
    let height = row * report.rules.measures.len() as i32 + BELOW;
    draw((WIDTH, height), "Every measure of every system, with its interval", |area| {
        let highs = report.intervals.iter().flatten().map(|i| i.map_or(1.0, |i| i.high));
        let top = highs.fold(0.05, f64::max);
        let right = (top * 10.0).ceil() / 10.0;
        let mut chart = ChartBuilder::on(area)
            .margin_right(FIGURES * PIXEL)
            .set_label_area_size(LabelAreaPosition::Left, NAMES * PIXEL)
            .set_label_area_size(LabelAreaPosition::Bottom, BELOW * PIXEL)
            .build_cartesian_2d(0.0..right, 0.0..f64::from(height - BELOW))?;
        grid(&mut chart, |x| format!("{x:.1}"))?;
        for (index, measure) in report.rules.measures.iter().enumerate() {
            // From the top, in pixels; the chart counts from below.
            let from = index as i32 * row + gap / 2;
            let below = |pixels: i32| f64::from(height - BELOW - pixels);
            let (_, middle) = chart.backend_coord(&(0.0, below(from + bar * systems as i32 / 2)));
            let name = title(*measure);
            text(area, ((NAMES - 10) * PIXEL, middle), &name, LABEL, INK)?;
            for system in 0..systems {
                let mean = report.evaluation.mean(system, index);
                let (upper, lower) =
                    (from + bar * system as i32 + 2, from + bar * (system as i32 + 1) - 2);
                let fill = colour(system, systems).filled();
                let corners = [(0.0, below(upper)), (mean, below(lower))];
                chart.draw_series([Rectangle::new(corners, fill)])?;
                let middle = below((upper + lower) / 2);
                if let Some(Interval { low, high }) = report.intervals[system][index] {
                    chart.draw_series([line((low, middle), (high, middle), INK)])?;
                }
                let (_, at) = chart.backend_coord(&(0.0, middle));
                let figure = format!("{mean:.3}");
                text(area, (WIDTH * PIXEL, at), &figure, SMALL, INK)?;
            }
        }
        Ok(())
    })
}

/// The gain of every query, from the largest to the smallest.
pub(super) fn waterfall(gains: &[f64]) -> Result<String, CliError> {
    let bars = shared(gains, BARS_MAX);
    let reach = bars.iter().fold(0.05, |reach: f64, gain| reach.max(gain.abs()));
    let reach = (reach * 10.0).ceil() / 10.0;
    let (height, left) = (280, 54);
    draw((WIDTH, height), "The gain of every query, from the largest to the smallest", |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8 * PIXEL)
            .set_label_area_size(LabelAreaPosition::Left, (left - 8) * PIXEL)
            .build_cartesian_2d(0.0..bars.len() as f64, -reach..reach)?;
        for step in [-1.0, -0.5, 0.0, 0.5, 1.0] {
            let y = step * reach;
            chart.draw_series([line((0.0, y), (bars.len() as f64, y), LINE)])?;
            let (_, at) = chart.backend_coord(&(0.0, y));
            let label = if step == 0.0 { "0".to_owned() } else { tick(y) };
            text(area, ((left - 8) * PIXEL, at), &label, SMALL, MUTED)?;
        }
        let bar = |(index, &gain): (usize, &f64)| {
            let x = index as f64;
            let fill = if gain > 0.0 { BETTER.filled() } else { WORSE.filled() };
            Rectangle::new([(x + 0.12, 0.0), (x + 0.88, gain)], fill)
        };
        chart.draw_series(bars.iter().enumerate().filter(|(_, gain)| **gain != 0.0).map(bar))?;
        chart.draw_series([line((0.0, 0.0), (bars.len() as f64, 0.0), MUTED)])?;
        Ok(())
    })
}

/// How the scores of each grade are distributed. `None` where there are too few to draw.
pub(super) fn scores(report: &Report, qrels: &Qrels) -> Result<Option<String>, CliError> {
    let Some(after) = report.systems.last() else { return Ok(None) };
    let densities = densities(&after.run, qrels);
    let (Some(first), true) = (densities.first(), densities.len() > 1) else { return Ok(None) };
    let (from, to) = (first.points[0].0, first.points[first.points.len() - 1].0);
    let row = 54;
    let height = row * densities.len() as i32 + BELOW + 12;
    let drawn = draw((WIDTH, height), "How the scores of each grade are distributed", |area| {
        let mut chart = ChartBuilder::on(area)
            .margin_right(12 * PIXEL)
            .margin_top(10 * PIXEL)
            .set_label_area_size(LabelAreaPosition::Left, (NAMES + 10) * PIXEL)
            .set_label_area_size(LabelAreaPosition::Bottom, BELOW * PIXEL)
            .build_cartesian_2d(from..to, 0.0..densities.len() as f64 + 0.1)?;
        grid(&mut chart, tick_plain)?;
        for (index, density) in densities.iter().enumerate() {
            let base = (densities.len() - 1 - index) as f64;
            let Density { name, count, median, points, .. } = density;
            let curve = points.iter().map(|&(x, y)| (x, base + 0.95 * y));
            let fill = density.colour.mix(0.55);
            let edge = density.colour.stroke_width(PIXEL as u32);
            chart.draw_series(AreaSeries::new(curve, base, fill).border_style(edge))?;
            chart.draw_series([line((*median, base), (*median, base + 0.3), INK)])?;
            let (_, at) = chart.backend_coord(&(from, base + 0.3));
            let right = NAMES * PIXEL;
            text(area, (right, at - 8 * PIXEL), name, LABEL, INK)?;
            text(area, (right, at + 7 * PIXEL), count, SMALL, MUTED)?;
        }
        Ok(())
    });
    drawn.map(Some)
}

/// As thick as a pixel.
fn line(from: (f64, f64), to: (f64, f64), colour: RGBColor) -> PathElement<(f64, f64)> {
    PathElement::new([from, to], colour.stroke_width(PIXEL as u32))
}

type Numbers = RangedCoordf64;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Numbers, Numbers>>;

/// Light lines up from the horizontal axis, with a figure below each.
fn grid(chart: &mut Chart<'_, '_>, label: impl Fn(f64) -> String) -> Drawn {
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels(5)
        .x_max_light_lines(0)
        .bold_line_style(LINE.stroke_width(PIXEL as u32))
        .axis_style(TRANSPARENT)
        .set_all_tick_mark_size(3 * PIXEL)
        .x_label_style(font(SMALL).color(&MUTED))
        .x_label_formatter(&|x| label(*x))
        .draw()
}

/// The gains from the largest to the smallest, neighbours brought together until there are `bars_max` at most.
fn shared(gains: &[f64], bars_max: usize) -> Vec<f64> {
    let mut sorted = gains.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let size = sorted.len().div_ceil(bars_max).max(1);
    sorted.chunks(size).map(|chunk| chunk.iter().sum::<f64>() / chunk.len() as f64).collect()
}

fn tick(number: f64) -> String {
    let text = format!("{:.2}", number.abs());
    format!("{}{text}", if number < 0.0 { "−" } else { "+" })
}

fn tick_plain(number: f64) -> String {
    let text = format!("{:.1}", number.abs());
    let text = text.strip_suffix(".0").unwrap_or(&text);
    format!("{}{text}", if number < 0.0 && text != "0" { "−" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_queries_share_bars_without_a_change_of_order() {
        assert_eq!(shared(&[0.1, 0.3, -0.2], 5), [0.3, 0.1, -0.2]);
        assert_eq!(shared(&[4.0, 2.0, 3.0, 1.0, 0.0], 2), [3.0, 0.5]);
        assert_eq!(shared(&[], 5), [0.0; 0]);
    }

    #[test]
    fn ticks_have_true_minus_signs() {
        assert_eq!((tick(-0.25), tick(0.5)), ("−0.25".to_owned(), "+0.50".to_owned()));
        assert_eq!((tick_plain(-2.0), tick_plain(-0.0)), ("−2".to_owned(), "0".to_owned()));
    }
}
