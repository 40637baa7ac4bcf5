//! Words of which one excludes the other, in place of each other.

use super::super::{Kind, source::pick};
use super::text::Text;
use super::{Change, numbers};

/// Words that take the same place in a sentence and that exclude each other. Not here are those
/// with a second meaning, such as "left", "high" or "lower".
const SETS: [(Kind, &[&str]); 34] = [
    (Kind::WordOrder, &["northern", "southern", "eastern", "western"]),
    (Kind::WordOrder, &["northeast", "northwest", "southeast", "southwest"]),
    (Kind::WordOrder, &["northernmost", "southernmost", "easternmost", "westernmost"]),
    (Kind::Comparison, &["increase", "decrease"]),
    (Kind::Comparison, &["increases", "decreases"]),
    (Kind::Comparison, &["increased", "decreased"]),
    (Kind::Comparison, &["increasing", "decreasing"]),
    (Kind::Comparison, &["highest", "lowest"]),
    (Kind::Comparison, &["largest", "smallest"]),
    (Kind::Comparison, &["biggest", "smallest"]),
    (Kind::Comparison, &["larger", "smaller"]),
    (Kind::Comparison, &["longest", "shortest"]),
    (Kind::Comparison, &["oldest", "youngest", "newest"]),
    (Kind::Comparison, &["fastest", "slowest"]),
    (Kind::Comparison, &["warmest", "coldest"]),
    (Kind::Comparison, &["hottest", "coldest"]),
    (Kind::Comparison, &["wettest", "driest"]),
    (Kind::Comparison, &["heaviest", "lightest"]),
    (Kind::Comparison, &["maximum", "minimum"]),
    (Kind::Comparison, &["majority", "minority"]),
    (Kind::Name, &["male", "female"]),
    (Kind::Name, &["males", "females"]),
    (Kind::Name, &["men", "women", "children"]),
    (Kind::Name, &["mother", "father"]),
    (Kind::Name, &["son", "daughter"]),
    (Kind::Name, &["husband", "wife"]),
    (Kind::Name, &["summer", "winter"]),
    (Kind::Name, &["internal", "external"]),
    (Kind::Name, &["rural", "urban"]),
    (Kind::Name, &["acute", "chronic"]),
    (Kind::Name, &["benign", "malignant"]),
    (Kind::Name, &["dominant", "recessive"]),
    (Kind::Name, &["imports", "exports"]),
    (Kind::Name, &["undergraduate", "postgraduate"]),
];
/// Words of place that are surnames as well, and so count only behind a preposition or before a word
/// that follows them in the query, too.
const SIDES: &[&str] = &["north", "south", "east", "west"];
/// Before a word that is then a direction.
const TOWARDS: [&str; 7] = ["the", "in", "to", "from", "of", "far", "due"];
/// Countries, without those that are people, birds or parts of another country's name as well.
const COUNTRIES: &[&str] = &[
    "argentina",
    "australia",
    "austria",
    "belgium",
    "brazil",
    "bulgaria",
    "canada",
    "china",
    "colombia",
    "cuba",
    "denmark",
    "egypt",
    "england",
    "estonia",
    "finland",
    "france",
    "germany",
    "greece",
    "hungary",
    "iceland",
    "india",
    "iran",
    "iraq",
    "israel",
    "italy",
    "japan",
    "kenya",
    "latvia",
    "lebanon",
    "mexico",
    "morocco",
    "nepal",
    "nigeria",
    "norway",
    "pakistan",
    "peru",
    "poland",
    "portugal",
    "romania",
    "russia",
    "scotland",
    "spain",
    "sweden",
    "switzerland",
    "syria",
    "thailand",
    "tunisia",
    "uganda",
    "ukraine",
    "uruguay",
    "venezuela",
    "vietnam",
];
/// Before a word that is then part of another name.
const PARTS_OF_NAMES: [&str; 5] = ["new", "east", "west", "northern", "southern"];
/// Behind a word that is then one of two, such as "north and south", or a name, such as "west 's".
const LEFT_ALONE: [&str; 5] = ["and", "or", "by", "to", "s"];

/// Every shared word of a set, by another of it.
pub(super) fn changes(asked: &Text<'_>, told: &Text<'_>, rng: &mut fastrand::Rng) -> Vec<Change> {
    let mut changes = Vec::new();
    for (kind, set) in SETS {
        for small in numbers::shared(asked, told, |small| set.contains(&small)) {
            // A passage with both may speak of either, and "south and west" would read oddly.
            let lone = set.iter().all(|other| *other == small || !told.has(other));
            let plain = told.places(small).iter().all(|&at| !LEFT_ALONE.contains(&told.after(at)));
            if lone && plain {
                let new = other(set, small, told, rng);
                changes.extend(new.map(|new| numbers::replace(kind, told, small, new)));
            }
        }
    }
    for small in numbers::shared(asked, told, |small| SIDES.contains(&small)) {
        if is_direction(asked, told, small) {
            let new = other(SIDES, small, told, rng);
            changes.extend(new.map(|new| numbers::replace(Kind::WordOrder, told, small, new)));
        }
    }
    for small in numbers::shared(asked, told, |small| COUNTRIES.contains(&small)) {
        if told.places(small).iter().all(|&at| !PARTS_OF_NAMES.contains(&told.before(at))) {
            let new = other(COUNTRIES, small, told, rng);
            changes.extend(new.map(|new| numbers::replace(Kind::Name, told, small, new)));
        }
    }
    changes
}

/// Whether each `small` of the passage is a side of something, not somebody.
fn is_direction(asked: &Text<'_>, told: &Text<'_>, small: &str) -> bool {
    let after_asked: Vec<&str> =
        asked.places(small).into_iter().map(|at| asked.after(at)).collect();
    told.places(small).into_iter().all(|at| {
        let after = told.after(at);
        !LEFT_ALONE.contains(&after)
            && (TOWARDS.contains(&told.before(at))
                || (!after.is_empty() && after_asked.contains(&after)))
    })
}

/// A word of `set` that is not `small` and that the passage does not have.
pub(super) fn other<'s>(
    set: &[&'s str],
    small: &str,
    told: &Text<'_>,
    rng: &mut fastrand::Rng,
) -> Option<&'s str> {
    let others = set.iter().copied().filter(|other| *other != small).collect();
    draw(others, rng, |other| !told.has(other))
}

/// One of those that are `free`.
pub(super) fn draw<T: Copy>(
    from: Vec<T>,
    rng: &mut fastrand::Rng,
    free: impl Fn(&T) -> bool,
) -> Option<T> {
    let free: Vec<T> = from.into_iter().filter(free).collect();
    (!free.is_empty()).then(|| pick(&free, rng))
}
