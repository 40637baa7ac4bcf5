//! Numerals, number words, ordinals, and the units of what was asked in numbers.

use std::collections::BTreeSet;

use super::super::{Kind, source::pick, words};
use super::text::{Edit, Text};
use super::times::is_year;
use super::{Change, opposites};

/// Number words that are nothing else; "one" is a pronoun as well.
const NUMBERS: [&str; 11] =
    ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
/// Roman numerals that are no other word.
const ROMAN: [&str; 8] = ["ii", "iii", "iv", "vi", "vii", "viii", "ix", "xi"];
const ORDINALS: [&str; 10] =
    ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];
/// Before an ordinal that is an adjective. Elsewhere "first" is an adverb and "second" a verb.
const DETERMINERS: [&str; 8] = ["the", "its", "his", "her", "their", "our", "a", "my"];
/// Units of which each can stand for any other of its line, in a sentence that stays one.
const UNITS: [&[&str]; 6] = [
    &["seconds", "minutes", "hours", "days", "weeks", "months", "years", "decades", "centuries"],
    &["millimeters", "centimeters", "meters", "kilometers", "miles", "inches"],
    &["millimetres", "centimetres", "metres", "kilometres", "miles", "inches"],
    &["milligrams", "grams", "kilograms", "ounces", "tons"],
    &["millilitres", "litres", "gallons", "pints"],
    &["milliliters", "liters", "gallons", "pints"],
];
/// Draws before a number is given up for which every other of its shape is taken.
const DRAWS_MAX: usize = 20;

/// Another numeral of the same length; "24th" as well as "24", "1,200" and "3.5".
pub(super) fn numerals(asked: &Text<'_>, told: &Text<'_>, rng: &mut fastrand::Rng) -> Vec<Change> {
    let mut changes = Vec::new();
    for small in shared(asked, told, is_numeral) {
        let new = (0..DRAWS_MAX)
            .map(|_| another(small, rng))
            .find(|new| new != small && !told.has(new) && !asked.has(new));
        changes.extend(new.map(|new| replace(Kind::Number, told, small, &new)));
    }
    changes
}

/// Another number word, or Roman numeral.
pub(super) fn words(asked: &Text<'_>, told: &Text<'_>, rng: &mut fastrand::Rng) -> Vec<Change> {
    let mut changes = Vec::new();
    for (kind, list) in [(Kind::Number, &NUMBERS[..]), (Kind::NearDuplicate, &ROMAN[..])] {
        for small in shared(asked, told, |small| list.contains(&small)) {
            let new = opposites::other(list, small, told, rng);
            changes.extend(new.map(|new| replace(kind, told, small, new)));
        }
    }
    changes
}

/// Another ordinal, where every one like it in the passage follows "the" or its like.
pub(super) fn ordinals(asked: &Text<'_>, told: &Text<'_>, rng: &mut fastrand::Rng) -> Vec<Change> {
    let adjective = |text: &Text<'_>, small: &str| {
        text.places(small).iter().all(|&at| {
            DETERMINERS.contains(&text.before(at)) && !matches!(text.after(at), "half" | "quarter")
        })
    };
    let mut changes = Vec::new();
    for small in shared(asked, told, |small| ORDINALS.contains(&small)) {
        if adjective(asked, small) && adjective(told, small) {
            let new = opposites::other(&ORDINALS, small, told, rng);
            changes.extend(new.map(|new| replace(Kind::Number, told, small, new)));
        }
    }
    changes
}

/// Another unit behind the passage's numbers, where the query asks "how many" of this unit or names
/// a number of it.
pub(super) fn units(asked: &Text<'_>, told: &Text<'_>, rng: &mut fastrand::Rng) -> Vec<Change> {
    let mut changes = Vec::new();
    for list in UNITS {
        for small in shared(asked, told, |small| list.contains(&small)) {
            let counted = |text: &Text<'_>, at: usize| {
                let before = text.before(at);
                is_numeral(before) || NUMBERS.contains(&before)
            };
            let wanted = asked
                .places(small)
                .iter()
                .any(|&at| asked.before(at) == "many" || counted(asked, at));
            let places = told.places(small);
            if wanted && places.iter().any(|&at| counted(told, at)) {
                let new = opposites::other(list, small, told, rng);
                changes.extend(new.map(|new| replace(Kind::Unit, told, small, new)));
            }
        }
    }
    changes
}

/// The change of every `small` in the passage.
pub(super) fn replace(kind: Kind, told: &Text<'_>, small: &str, by: &str) -> Change {
    let edits = told.places(small).into_iter().map(|word| Edit { word, by: by.to_owned() });
    Change { kind, edits: edits.collect() }
}

/// Words of the query that the passage has as well and that `wanted` wants, each once, in order.
pub(super) fn shared<'q>(
    asked: &'q Text<'_>,
    told: &Text<'_>,
    wanted: impl Fn(&str) -> bool,
) -> BTreeSet<&'q str> {
    asked
        .words()
        .iter()
        .map(|word| word.small.as_str())
        .filter(|small| wanted(small) && told.has(small))
        .collect()
}

/// Digits with commas or points, perhaps with the ending of an ordinal; neither 1, behind which the
/// noun is singular, nor a year.
fn is_numeral(small: &str) -> bool {
    let (digits, ending) = split(small);
    let numeral = !digits.is_empty()
        && digits
            .chars()
            .all(|character| character.is_ascii_digit() || matches!(character, '.' | ','));
    numeral
        && (ending.is_empty() || matches!(ending, "st" | "nd" | "rd" | "th"))
        && !matches!(small, "0" | "1")
        && !is_year(small)
}

/// The digits at the beginning, and the rest.
fn split(small: &str) -> (&str, &str) {
    let end = small
        .find(|character: char| !character.is_ascii_digit() && !matches!(character, '.' | ','))
        .unwrap_or(small.len());
    small.split_at(end)
}

/// A numeral of the same shape: first digits are not 0 where they were not, and a single one is not 1.
fn another(small: &str, rng: &mut fastrand::Rng) -> String {
    let (digits, ending) = split(small);
    let low = 1 + u8::from(digits.len() == 1);
    let new: String = digits
        .char_indices()
        .map(|(index, character)| match character {
            '0' if index == 0 => character,
            '0'..='9' => pick_digit(if index == 0 { low } else { 0 }, rng),
            _ => character,
        })
        .collect();
    if ending.is_empty() {
        return new;
    }
    let number = new.replace([',', '.'], "").parse().unwrap_or_default();
    format!("{new}{}", words::ordinal_suffix(number))
}

fn pick_digit(low: u8, rng: &mut fastrand::Rng) -> char {
    char::from(b'0' + pick(&(low..10).collect::<Vec<u8>>(), rng))
}
