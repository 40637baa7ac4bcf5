//! Queries in the styles in which people search, made from questions and from a passage's own words.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use fastrand::Rng;

/// Words that say little by themselves.
const STOP_WORDS: &str = "a about after again all also although am an and any are as at be because been before being \
    between both but by can could did do does doing down during each either few for from further had has have having he \
    her here hers him his how however i if in into is it its itself just may me might more most much must my no nor not \
    of off on once only or other our out over own per same shall she should since so some such than that the their them \
    then there these they this those through to too under until up upon use used using very was we well were what when \
    where which while who whom whose why will with within without would you your";

/// What is asked of a thing: `{}` is the thing.
const PATTERNS: &[&str] = &[
    "what is {}",
    "what is {}",
    "what are {}",
    "define {}",
    "{} definition",
    "{} meaning",
    "what does {} mean",
    "definition of {}",
    "meaning of {}",
    "how does {} work",
    "how is {} used",
    "how to {}",
    "how many {}",
    "how long does {} last",
    "how much {}",
    "why {}",
    "why is {} important",
    "causes of {}",
    "what causes {}",
    "effects of {}",
    "types of {}",
    "examples of {}",
    "who is {}",
    "who was {}",
    "who invented {}",
    "when was {}",
    "when did {}",
    "where is {}",
    "where are {} found",
    "history of {}",
    "{} facts",
    "{} symptoms",
    "{} treatment",
    "treatment for {}",
    "is {} dangerous",
    "is {} {}",
    "are {} {}",
    "does {} {}",
    "can {} {}",
    "{} vs {}",
    "difference between {} and {}",
    "{} and {}",
    "what {} {}",
    "which {} {}",
    "role of {} in {}",
    "{} in {}",
    "{} of {}",
    "tell me about {}",
    "information on {}",
    "i want to know about {}",
];

/// Reads a file with a query a line; a tab, and what stands behind it, is no part of one.
pub(crate) fn read(file: &Path) -> anyhow::Result<Vec<String>> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let query = |line: &str| line.split('\t').next().unwrap_or_default().trim().to_owned();
    let queries: Vec<String> = text.lines().map(query).filter(|query| !query.is_empty()).collect();
    if queries.is_empty() {
        bail!("{} holds no query; it has one a line", file.display());
    }
    Ok(queries)
}

/// How often words stand in passages.
pub(crate) struct Words {
    passages: f64,
    holding: HashMap<String, u32>,
    stop: Vec<&'static str>,
}

// === impl Words ===

impl Words {
    pub(crate) fn count(passages: &[String]) -> Self {
        let mut holding = HashMap::new();
        for passage in passages {
            let mut own: Vec<String> = words(passage).map(plain).collect();
            own.sort_unstable();
            own.dedup();
            own.into_iter().for_each(|word| *holding.entry(word).or_insert(0) += 1);
        }
        let stop = STOP_WORDS.split_whitespace().collect();
        Self { passages: passages.len() as f64, holding, stop }
    }

    /// A query made of a passage's own words; `None` where it has too few.
    pub(crate) fn query(&self, passage: &str, rng: &mut Rng) -> Option<String> {
        let words: Vec<&str> = words(passage).collect();
        if words.len() < 6 {
            return None;
        }
        match rng.u32(0..10) {
            0..4 => self.keywords(&words, rng),
            4..6 => self.span(&words, rng),
            _ => self.asked(&words, rng),
        }
    }

    /// A question in another style: as it is, without its mark, or its telling words alone.
    pub(crate) fn restyled(&self, question: &str, rng: &mut Rng) -> String {
        let plain = question.trim_end_matches([' ', '?', '.']);
        match rng.u32(0..10) {
            0..3 => question.to_owned(),
            3..7 => plain.to_lowercase(),
            _ => {
                let telling: Vec<String> =
                    words(plain).filter(|word| !self.is_stop(word)).map(self::plain).collect();
                if telling.len() < 2 { plain.to_owned() } else { telling.join(" ") }
            }
        }
    }

    /// Some telling words, rare ones more often.
    fn keywords(&self, words: &[&str], rng: &mut Rng) -> Option<String> {
        let count = rng.usize(2..=6);
        let mut telling: Vec<(usize, String)> = Vec::new();
        for (place, word) in words.iter().enumerate().filter(|(_, word)| !self.is_stop(word)) {
            let word = plain(word);
            if telling.iter().all(|(_, other)| *other != word) {
                telling.push((place, word));
            }
        }
        // Weighted choice without replacement (Efraimidis and Spirakis, 2006).
        let mut drawn: Vec<(f64, (usize, String))> = telling
            .into_iter()
            .map(|own| (rng.f64().max(f64::MIN_POSITIVE).ln() / self.rarity(&own.1), own))
            .collect();
        drawn.sort_by(|a, b| b.0.total_cmp(&a.0));
        drawn.truncate(count);
        if drawn.len() < 2 {
            return None;
        }
        let mut chosen: Vec<(usize, String)> = drawn.into_iter().map(|(_, own)| own).collect();
        if rng.u32(0..10) < 7 {
            chosen.sort_unstable();
        }
        Some(chosen.into_iter().map(|(_, word)| word).collect::<Vec<_>>().join(" "))
    }

    /// Some words in a row.
    fn span(&self, words: &[&str], rng: &mut Rng) -> Option<String> {
        let length = rng.usize(3..=9).min(words.len());
        let first = rng.usize(0..=words.len() - length);
        let span = &words[first..first + length];
        let telling = span.iter().filter(|word| !self.is_stop(word)).count();
        (telling >= 2).then(|| span.iter().map(|word| plain(word)).collect::<Vec<_>>().join(" "))
    }

    /// A thing that the passage speaks of, asked about.
    fn asked(&self, words: &[&str], rng: &mut Rng) -> Option<String> {
        let pattern = PATTERNS[rng.usize(0..PATTERNS.len())];
        let mut query = String::new();
        let mut parts = pattern.split("{}").peekable();
        while let Some(part) = parts.next() {
            query.push_str(part);
            if parts.peek().is_some() {
                query.push_str(&self.thing(words, rng)?);
            }
        }
        Some(query)
    }

    /// One to three telling words in a row, among them a rather rare one.
    fn thing(&self, words: &[&str], rng: &mut Rng) -> Option<String> {
        let runs: Vec<&[&str]> =
            words.split(|word| self.is_stop(word)).filter(|run| !run.is_empty()).collect();
        let mut best: Option<(f64, String)> = None;
        for _ in 0..3 {
            let run = runs.get(rng.usize(0..runs.len().max(1)))?;
            let length = rng.usize(1..=3).min(run.len());
            let first = rng.usize(0..=run.len() - length);
            let thing: Vec<String> =
                run[first..first + length].iter().map(|word| plain(word)).collect();
            let rarity = thing.iter().map(|word| self.rarity(word)).fold(0.0, f64::max);
            if best.as_ref().is_none_or(|(other, _)| rarity > *other) {
                best = Some((rarity, thing.join(" ")));
            }
        }
        best.map(|(_, thing)| thing)
    }

    /// The logarithm of how seldom a word is.
    fn rarity(&self, word: &str) -> f64 {
        let holding = self.holding.get(word).copied().unwrap_or(0);
        (self.passages / (f64::from(holding) + 1.0)).ln().max(0.5)
    }

    fn is_stop(&self, word: &str) -> bool {
        let word = plain(word);
        word.len() < 2 || self.stop.binary_search(&word.as_str()).is_ok()
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric))
}

/// A word in small letters, without what stands around it.
fn plain(word: &str) -> String {
    word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSAGE: &str = "The American Football Conference champion Denver Broncos defeated the National Football \
        Conference champion Carolina Panthers to earn their third Super Bowl title.";

    #[test]
    fn stop_words_are_sorted_so_that_they_are_found() {
        let words = Words::count(&[]);
        assert!(words.stop.is_sorted() && words.is_stop("The") && !words.is_stop("Broncos"));
    }

    #[test]
    fn queries_are_read_a_line_each_without_what_stands_behind_a_tab() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "who sings it\t['a singer']\n\n where is it \n").unwrap();
        assert_eq!(read(file.path()).unwrap(), ["who sings it", "where is it"]);
        fs::write(file.path(), "\t['a singer']\n").unwrap();
        assert!(read(file.path()).unwrap_err().to_string().contains("holds no query"));
    }

    #[test]
    fn queries_are_made_of_the_passage_and_of_ways_to_ask() {
        let (words, mut rng) = (Words::count(&[PASSAGE.to_owned()]), Rng::with_seed(3));
        let (mut styles, lower) = (std::collections::BTreeSet::new(), PASSAGE.to_lowercase());
        for _ in 0..500 {
            let query = words.query(PASSAGE, &mut rng);
            let Some(query) = query else { continue };
            let own = query.split(' ').filter(|word| lower.contains(*word)).count();
            assert!(own >= 1, "{query}");
            styles.insert(query);
        }
        assert!(styles.len() > 300, "{}", styles.len());
    }

    #[test]
    fn a_question_keeps_its_telling_words_in_every_style() {
        let (words, mut rng) = (Words::count(&[]), Rng::with_seed(5));
        for _ in 0..50 {
            let query = words.restyled("Which team won Super Bowl 50?", &mut rng).to_lowercase();
            assert!(query.contains("super bowl 50"), "{query}");
        }
    }
}
