//! What a slot holds, and the notations in which it is read.

use super::quantity::Quantity;
use super::words;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// What a slot holds. Values of one source are ordered as their meaning is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    Text(String),
    Number(u32),
    Year(u32),
    /// Month and day count from 1.
    Day {
        year: u32,
        month: u32,
        day: u32,
    },
    Clock {
        hour: u32,
        minute: u32,
    },
    Quantity(Quantity),
}

// === impl Value ===

impl Value {
    /// As text, in a notation drawn at random; numbers as words only where `worded`.
    pub(super) fn render(&self, worded: bool, rng: &mut fastrand::Rng) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => render_number(*number, worded, rng),
            Self::Year(year) => year.to_string(),
            Self::Day { year, month, day } => render_day(*year, *month, *day, rng),
            Self::Clock { hour, minute } => render_clock(*hour, *minute, rng),
            Self::Quantity(quantity) => quantity.render(rng),
        }
    }
}

fn render_number(number: u32, worded: bool, rng: &mut fastrand::Rng) -> String {
    let words = if worded && rng.bool() { words::number(number) } else { None };
    words.unwrap_or_else(|| {
        if rng.u8(..4) == 0 { number.to_string() } else { words::with_commas(number) }
    })
}

fn render_day(year: u32, month: u32, day: u32, rng: &mut fastrand::Rng) -> String {
    let name = MONTHS[month as usize - 1];
    match rng.u8(..5) {
        0 => format!("{day} {name} {year}"),
        1 => format!("{name} {day}, {year}"),
        2 => format!("{year}-{month:02}-{day:02}"),
        3 => format!("{day}{} {name} {year}", words::ordinal_suffix(day)),
        _ => format!("the {day}{} of {name} {year}", words::ordinal_suffix(day)),
    }
}

fn render_clock(hour: u32, minute: u32, rng: &mut fastrand::Rng) -> String {
    let half = if hour < 12 { "am" } else { "pm" };
    let twelve = (hour + 11) % 12 + 1;
    match rng.u8(..3) {
        0 => format!("{hour:02}:{minute:02}"),
        1 if minute == 0 => format!("{twelve} {half}"),
        _ => format!("{twelve}:{minute:02} {half}"),
    }
}
