use std::path::Path;

use plotters::prelude::*;

use super::journal::Journal;

const SIZE: (u32, u32) = (960, 540);
const LOSS: RGBColor = RGBColor(0x2f, 0x6d, 0xb5);
const MEASURE: RGBColor = RGBColor(0xd0, 0x6a, 0x1e);
/// Steps that a point of the loss is the mean of.
const SMOOTHED: usize = 20;

/// Draws how the loss fell and what the judge said, as SVG.
pub(super) fn draw(path: &Path, journal: &Journal, what: &str) -> anyhow::Result<()> {
    let smooth = |part: &[(u64, f64)]| {
        let mean = part.iter().map(|(_, loss)| loss).sum::<f64>() / part.len() as f64;
        (part[part.len() - 1].0, mean)
    };
    let losses: Vec<(u64, f64)> = journal.losses().chunks(SMOOTHED).map(smooth).collect();
    let measures: Vec<(u64, f64)> =
        journal.measures().iter().map(|measured| (measured.step, measured.measure)).collect();
    let last = losses.last().map_or(1, |(step, _)| (*step).max(1));
    let range = |values: &[(u64, f64)]| {
        let values = || values.iter().map(|(_, value)| *value);
        let (low, high) =
            (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        if low < high { low - (high - low) * 0.05..high + (high - low) * 0.05 } else { 0.0..1.0 }
    };
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .right_y_label_area_size(64)
        .build_cartesian_2d(0..last, range(&losses))?
        .set_secondary_coord(0..last, range(&measures));
    chart.configure_mesh().light_line_style(TRANSPARENT).x_desc("steps").y_desc("loss").draw()?;
    chart.configure_secondary_axes().y_desc(what).draw()?;
    chart
        .draw_series(LineSeries::new(losses, LOSS.stroke_width(2)))?
        .label("loss")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], LOSS.stroke_width(2)));
    chart
        .draw_secondary_series(LineSeries::new(measures, MEASURE.stroke_width(2)).point_size(3))?
        .label(what)
        .legend(|(x, y)| PathElement::new([(x, y), (x + 16, y)], MEASURE.stroke_width(2)));
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    area.present()?;
    Ok(())
}
