//! Years, months and weekdays; before and after.

use super::super::Kind;
use super::text::{Edit, Text};
use super::{Change, numbers, opposites};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
/// Months that are other words, too, and so count only beside a number or a preposition of time.
const AMBIGUOUS: [&str; 3] = ["march", "may", "august"];
const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/// The last year that takes another's place.
const YEAR_MAX: u32 = 2023;
/// How far the other year is away at most.
const YEARS_AWAY: u32 = 30;
/// Behind these, "after" is no time; and so is "before".
const NO_TIME_BEFORE: [&str; 16] = [
    "named", "names", "called", "looked", "look", "looks", "looking", "taken", "takes", "took",
    "ever", "never", "as", "than", "long", "soon",
];

/// Whether this is a year, of this or the last millennium.
pub(super) fn is_year(small: &str) -> bool {
    year(small).is_some()
}

/// Another year within some decades, that neither text names; a decade such as "1990s" likewise.
pub(super) fn years(asked: &Text<'_>, told: &Text<'_>, rng: &mut fastrand::Rng) -> Vec<Change> {
    let mut changes = Vec::new();
    for small in numbers::shared(asked, told, |small| is_year(small) || decade(small).is_some()) {
        let (old, step, ending) = match (year(small), decade(small)) {
            (Some(year), _) => (year, 1, ""),
            (_, Some(decade)) => (decade, 10, "s"),
            _ => continue,
        };
        let around: Vec<u32> = (old.saturating_sub(YEARS_AWAY)..=old + YEARS_AWAY)
            .filter(|new| {
                new % step == old % step && (1000..=YEAR_MAX).contains(new) && *new != old
            })
            .collect();
        let new = opposites::draw(around, rng, |new| {
            let new = format!("{new}{ending}");
            !told.has(&new) && !asked.has(&new)
        });
        let by = new.map(|new| format!("{new}{ending}"));
        changes.extend(by.map(|by| numbers::replace(Kind::Date, told, small, &by)));
    }
    changes
}

/// Another month or weekday.
pub(super) fn calendar(asked: &Text<'_>, told: &Text<'_>, rng: &mut fastrand::Rng) -> Vec<Change> {
    let mut changes = Vec::new();
    for list in [&MONTHS[..], &WEEKDAYS[..]] {
        let named = |small: &str| {
            list.contains(&small)
                && [asked, told]
                    .iter()
                    .all(|text| text.places(small).iter().all(|&at| is_date(text, at, small)))
        };
        for small in numbers::shared(asked, told, named) {
            let new = opposites::other(list, small, told, rng);
            changes.extend(new.map(|new| numbers::replace(Kind::Date, told, small, new)));
        }
    }
    changes
}

/// "after" for "before" and the reverse, where the same word follows in the query.
pub(super) fn before_and_after(
    asked: &Text<'_>,
    told: &Text<'_>,
    _rng: &mut fastrand::Rng,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (word, other) in [("before", "after"), ("after", "before")] {
        let places = told.places(word);
        let of_time = places.iter().all(|&at| !NO_TIME_BEFORE.contains(&told.before(at)));
        let same = asked.places(word).iter().any(|&asked_at| {
            let object = object(asked, asked_at);
            !object.is_empty()
                && places.iter().any(|&told_at| object == self::object(told, told_at))
        });
        if of_time && same && !told.has(other) {
            let edits = places.into_iter().map(|word| Edit { word, by: other.to_owned() });
            changes.push(Change { kind: Kind::Date, edits: edits.collect() });
        }
    }
    changes
}

/// The first word of what follows, without an article.
fn object<'t>(text: &'t Text<'_>, at: usize) -> &'t str {
    match text.after(at) {
        "the" | "a" | "an" | "his" | "her" | "its" => text.after(at + 1),
        word => word,
    }
}

fn year(small: &str) -> Option<u32> {
    let year = small.parse().ok()?;
    (small.len() == 4 && (1000..=2099).contains(&year)).then_some(year)
}

fn decade(small: &str) -> Option<u32> {
    year(small.strip_suffix('s')?).filter(|year| year.is_multiple_of(10))
}

fn is_date(text: &Text<'_>, at: usize, small: &str) -> bool {
    let number = |word: &str| word.starts_with(|character: char| character.is_ascii_digit());
    !AMBIGUOUS.contains(&small)
        || number(text.before(at))
        || number(text.after(at))
        || (small != "may"
            && matches!(text.before(at), "in" | "since" | "until" | "last" | "every"))
}
