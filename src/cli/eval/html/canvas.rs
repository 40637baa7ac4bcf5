//! A chart as inline SVG, in colours that the page's style sheet decides.

use std::io;

use plotters::coord::Shift;
use plotters::drawing::DrawingAreaErrorKind;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::cli::CliError;

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type Drawn<T = ()> = Result<T, DrawingAreaErrorKind<io::Error>>;

/// Units of the drawing in a pixel of the page: the library draws at whole units, which are too coarse as pixels.
pub(super) const PIXEL: i32 = 8;

// Stand-ins, which nothing else is drawn in, and the style sheet's names of the colours.
pub(super) const INK: RGBColor = RGBColor(1, 0, 1);
pub(super) const MUTED: RGBColor = RGBColor(2, 0, 1);
pub(super) const LINE: RGBColor = RGBColor(3, 0, 1);
pub(super) const BEFORE: RGBColor = RGBColor(4, 0, 1);
pub(super) const OTHER: RGBColor = RGBColor(5, 0, 1);
pub(super) const AFTER: RGBColor = RGBColor(6, 0, 1);
pub(super) const BETTER: RGBColor = RGBColor(7, 0, 1);
pub(super) const WORSE: RGBColor = RGBColor(8, 0, 1);
const NAMES: [(RGBColor, &str); 8] = [
    (INK, "ink"),
    (MUTED, "muted"),
    (LINE, "line"),
    (BEFORE, "before"),
    (OTHER, "other"),
    (AFTER, "after"),
    (BETTER, "better"),
    (WORSE, "worse"),
];

/// Draws on an area of this size, in pixels. `described` is what the chart shows, for who cannot see it.
pub(super) fn draw(
    (width, height): (i32, i32),
    described: &str,
    body: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<String, CliError> {
    let size = ((width * PIXEL) as u32, (height * PIXEL) as u32);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let drawn = body(&area).and_then(|()| area.present());
        drawn.map_err(|error| CliError::Report { reason: error.to_string() })?;
    }
    for (RGBColor(r, g, b), name) in NAMES {
        // As an attribute's whole value: a text holds no quotes.
        let stand_in = format!("=\"#{r:02X}{g:02X}{b:02X}\"");
        svg = svg.replace(&stand_in, &format!("=\"var(--{name})\""));
    }
    // The first tag gives way to one that fits its surroundings.
    let inside = svg.split_once('>').map_or("", |(_tag, inside)| inside);
    let described = minijinja::HtmlEscape(described);
    let (width, height) = size;
    Ok(format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{described}\">{inside}"
    ))
}

/// Writes a line of text that ends at a point, in units of the drawing. `size` is in pixels.
pub(super) fn text(
    area: &Area<'_>,
    end: (i32, i32),
    text: &str,
    size: f64,
    colour: RGBColor,
) -> Drawn {
    let style = font(size).color(&colour).pos(Pos::new(HPos::Right, VPos::Center));
    area.draw_text(text, &style, end)
}

/// The page's font, which its style sheet names.
pub(super) fn font(size: f64) -> FontDesc<'static> {
    // The library's measure is 1.24 of the usual one.
    ("sans-serif", size * 1.24 * f64::from(PIXEL)).into_font()
}
