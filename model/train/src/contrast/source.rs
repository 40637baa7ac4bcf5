//! Where a slot's values come from.

use std::ops::RangeInclusive;

use super::grammar::Lists;
use super::quantity::System;
use super::value::Value;

/// A range within these is one of years, which have no comma and are not written in words.
const YEARS: RangeInclusive<u32> = 1000..=2099;

/// A letter for each `A`, a digit for each `9`; anything else stands for itself.
type Pattern = &'static str;

/// Where a slot's values come from.
///
/// By name: a list of `words.txt`; a range such as `3-40` or `500-9000/500`, the latter in steps;
/// `year`, `day`, `clock`, `person`; `code`, `version`, `flight`, `course`, `form`; or the name of
/// a system of quantities.
pub(super) enum Source<'a> {
    List(&'a [&'static str]),
    Range { low: u32, high: u32, step: u32 },
    Year,
    Day,
    Clock,
    Person { first: &'a [&'static str], last: &'a [&'static str] },
    Code(&'static [Pattern]),
    Quantity(System),
}

// === impl Source ===

impl<'a> Source<'a> {
    /// The source of this name, if there is one.
    pub(super) fn named(name: &str, lists: &'a Lists) -> Option<Self> {
        let list = |name: &str| lists.get(name).map(Vec::as_slice);
        Some(match name {
            "year" => Self::Year,
            "day" => Self::Day,
            "clock" => Self::Clock,
            "person" => Self::Person { first: list("first")?, last: list("last")? },
            "code" => Self::Code(&["E-999", "A999", "AA-9999", "A99A", "9A99", "AA 99", "A-9999"]),
            "version" => Self::Code(&["9.9", "9.99", "9.9.9", "99.9"]),
            "flight" => Self::Code(&["AA999", "AA 999", "AA9999"]),
            "course" => Self::Code(&["AA999", "AAA 999", "A999"]),
            "form" => Self::Code(&["999-A", "A-99", "9999", "A9"]),
            _ => match (list(name), System::named(name)) {
                (Some(list), _) => Self::List(list),
                (_, Some(system)) => Self::Quantity(system),
                _ => Self::range(name)?,
            },
        })
    }

    fn range(name: &str) -> Option<Self> {
        let (bounds, step) = name.split_once('/').unwrap_or((name, "1"));
        let (low, high) = bounds.split_once('-')?;
        let range =
            (low.parse().ok()?, high.parse().ok()?, step.parse().ok().filter(|&step| step > 0)?);
        let (low, high, step) = range;
        (low <= high).then_some(Self::Range { low, high, step })
    }

    /// Any of its values.
    pub(super) fn draw(&self, rng: &mut fastrand::Rng) -> Value {
        match self {
            Self::List(list) => Value::Text(pick(list, rng).to_owned()),
            Self::Range { low, high, step } => {
                let drawn = low + step * rng.u32(0..=(high - low) / step);
                if YEARS.contains(low) && YEARS.contains(high) {
                    Value::Year(drawn)
                } else {
                    Value::Number(drawn)
                }
            }
            Self::Year => Value::Year(rng.u32(1850..=2019)),
            Self::Day => Value::Day {
                year: rng.u32(1990..=2023),
                month: rng.u32(1..=12),
                day: rng.u32(1..=28),
            },
            Self::Clock => Value::Clock { hour: rng.u32(0..24), minute: 5 * rng.u32(0..12) },
            Self::Person { first, last } => {
                Value::Text(format!("{} {}", pick(first, rng), pick(last, rng)))
            }
            Self::Code(patterns) => {
                let pattern = pick(patterns, rng);
                Value::Text(pattern.chars().map(|class| character(class, rng)).collect())
            }
            Self::Quantity(system) => Value::Quantity(system.draw(rng)),
        }
    }

    /// A value that could be taken for `value`; the same at times.
    pub(super) fn near(&self, value: &Value, rng: &mut fastrand::Rng) -> Value {
        match (self, value) {
            (Self::Person { first, last }, Value::Text(name)) if rng.bool() => {
                Value::Text(near_person(name, first, last, rng))
            }
            (Self::Code(_), Value::Text(code)) => Value::Text(near_code(code, rng)),
            (Self::Day, Value::Day { year, month, day }) => near_day(*year, *month, *day, rng),
            (Self::Clock, Value::Clock { hour, minute }) => {
                if rng.bool() {
                    Value::Clock { hour: (hour + 12) % 24, minute: *minute }
                } else {
                    Value::Clock { hour: rng.u32(0..24), minute: *minute }
                }
            }
            (Self::Quantity(_), Value::Quantity(quantity)) => Value::Quantity(quantity.near(rng)),
            _ => self.draw(rng),
        }
    }
}

/// One of `items`, which are not empty.
pub(super) fn pick<T: Copy>(items: &[T], rng: &mut fastrand::Rng) -> T {
    items[rng.usize(..items.len())]
}

fn character(class: char, rng: &mut fastrand::Rng) -> char {
    match class {
        'A' => rng.uppercase(),
        '9' => char::from(b'1' + rng.u8(..9)),
        other => other,
    }
}

/// The same first or the same last name.
fn near_person(name: &str, first: &[&str], last: &[&str], rng: &mut fastrand::Rng) -> String {
    let (given, family) = name.split_once(' ').unwrap_or((name, ""));
    if rng.bool() {
        format!("{} {family}", pick(first, rng))
    } else {
        format!("{given} {}", pick(last, rng))
    }
}

/// One letter or digit is another, or two neighbours are exchanged.
fn near_code(code: &str, rng: &mut fastrand::Rng) -> String {
    let mut characters: Vec<char> = code.chars().collect();
    let at = rng.usize(..characters.len());
    match characters.get(at + 1) {
        Some(next) if rng.bool() && alike(characters[at], *next) => characters.swap(at, at + 1),
        _ => {
            characters[at] = match characters[at] {
                letter if letter.is_ascii_uppercase() => character('A', rng),
                digit if digit.is_ascii_digit() => character('9', rng),
                other => other,
            }
        }
    }
    characters.into_iter().collect()
}

fn alike(one: char, other: char) -> bool {
    (one.is_ascii_digit() && other.is_ascii_digit())
        || (one.is_ascii_uppercase() && other.is_ascii_uppercase())
}

/// Another day, month or year, and the rest as it was.
fn near_day(year: u32, month: u32, day: u32, rng: &mut fastrand::Rng) -> Value {
    match rng.u8(..3) {
        0 => Value::Day { year: rng.u32(1990..=2023), month, day },
        1 => Value::Day { year, month: rng.u32(1..=12), day },
        _ => Value::Day { year, month, day: rng.u32(1..=28) },
    }
}
