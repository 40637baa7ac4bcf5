//! A query as people write it.

use std::collections::BTreeSet;

use super::grammar::Template;
use super::scene::Scene;
use super::source::pick;

/// In front of a question.
const BEFORE_QUESTION: [&str; 5] =
    ["Quick question:", "Hi,", "Please help:", "Does anybody know this?", "One more thing:"];
/// In front of keywords.
const BEFORE_KEYWORDS: [&str; 6] =
    ["find:", "looking for:", "search:", "show me:", "information on:", "help with:"];
/// Behind a question or a wish.
const AFTER: [&str; 4] =
    ["Thanks!", "Many thanks in advance.", "Please be brief.", "Any help is welcome."];

/// `ask` as one user among many would write it: bare, with a greeting or the story before it,
/// in small letters, without a mark at its end.
pub(super) fn styled(
    ask: &str,
    lead_ins: &[Template],
    scene: &mut Scene,
    rng: &mut fastrand::Rng,
) -> String {
    let keywords = !ask.ends_with(['?', '.']);
    let mut query = match rng.u8(..20) {
        0..3 if !lead_ins.is_empty() => {
            let lead_in = scene.aside().render(pick(lead_ins, rng), rng);
            format!("{lead_in} {ask}")
        }
        3 | 4 if keywords => format!("{} {ask}", pick(&BEFORE_KEYWORDS, rng)),
        3 if ask.ends_with('?') => format!("{} {ask}", pick(&BEFORE_QUESTION, rng)),
        4 | 5 if !keywords => format!("{ask} {}", pick(&AFTER, rng)),
        _ => ask.to_owned(),
    };
    if rng.u8(..10) < 4 {
        query = query.to_lowercase();
    }
    if rng.u8(..10) < 3 {
        query.truncate(query.trim_end_matches(['?', '.']).len());
    }
    query
}

/// How many of the query's words `text` has as well; capitals do not matter.
pub(super) fn shared_words(query: &str, text: &str) -> usize {
    word_set(query).intersection(&word_set(text)).count()
}

fn word_set(text: &str) -> BTreeSet<String> {
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}
