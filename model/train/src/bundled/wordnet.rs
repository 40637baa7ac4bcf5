//! WordNet's glosses: a sentence for nearly every English word, <https://wordnet.princeton.edu>.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use fastrand::Rng;

const FILES: [&str; 4] = ["data.noun", "data.verb", "data.adj", "data.adv"];
/// Words of the shortest gloss that says something.
const GLOSS_WORDS: usize = 4;
/// The number of the file in which lexicographers keep people.
const PERSON: &str = "18";

/// A sense that some words share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    words: Vec<String>,
    gloss: String,
    examples: Vec<String>,
    /// What it is a kind of, and the gloss of that.
    kind: Option<(String, String)>,
    is_person: bool,
}

/// A line of the files.
struct Line {
    entry: Entry,
    /// The sense above it.
    above: Option<(char, String)>,
}

/// Reads `data.noun`, `data.verb`, `data.adj` and `data.adv` of a folder, whose format is that of wndb(5WN).
pub(super) fn read(folder: &Path) -> anyhow::Result<Vec<Entry>> {
    let mut lines = Vec::new();
    let mut places = HashMap::new();
    for file in FILES {
        let path = folder.join(file);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}; it is WordNet's", path.display()))?;
        // The licence stands before the data, behind spaces.
        for text in text.lines().filter(|line| !line.starts_with(' ')) {
            let (place, line) = Line::parse(text)
                .with_context(|| format!("{}: not a line of WordNet: {text:?}", path.display()))?;
            places.insert(place, lines.len());
            lines.push(line);
        }
    }
    if lines.is_empty() {
        bail!("{} holds no glosses", folder.display());
    }
    let kind = |line: &Line| {
        let above: &Line = &lines[*places.get(line.above.as_ref()?)?];
        Some((above.entry.words.first()?.clone(), above.entry.gloss.clone()))
    };
    let whole = |line: &Line| Entry { kind: kind(line), ..line.entry.clone() };
    let says = |entry: &Entry| entry.gloss.split(' ').count() >= GLOSS_WORDS;
    Ok(lines.iter().map(whole).filter(says).collect())
}

// === impl Line ===

impl Line {
    /// A line, and where it stands; `None` where it is none.
    fn parse(line: &str) -> Option<((char, String), Self)> {
        let (fields, gloss) = line.split_once(" | ")?;
        let mut fields = fields.split(' ');
        let (offset, file, part) = (fields.next()?, fields.next()?, fields.next()?.chars().next()?);
        let mut words = Vec::new();
        for _ in 0..usize::from_str_radix(fields.next()?, 16).ok()? {
            // A mark of where an adjective may stand is no part of it.
            let word = fields.next()?.split('(').next()?;
            words.push(word.replace('_', " "));
            fields.next()?;
        }
        let mut above = None;
        for _ in 0..fields.next()?.parse::<usize>().ok()? {
            let (sign, place) = (fields.next()?, fields.next()?);
            let part = fields.next()?.chars().next()?;
            fields.next()?;
            if above.is_none() && matches!(sign, "@" | "@i") {
                above = Some((part, place.to_owned()));
            }
        }
        let mut parts = gloss.split("; \"");
        let gloss = parts.next()?.trim().to_owned();
        let examples = parts.map(|part| part.trim().trim_end_matches('"').to_owned()).collect();
        let is_person = part == 'n' && file == PERSON;
        let entry = Entry { words, gloss, examples, kind: None, is_person };
        Some(((part, offset.to_owned()), Self { entry, above }))
    }
}

// === impl Entry ===

impl Entry {
    /// What a text might say of it: with the word or without, alone or with what it is a kind of.
    pub(super) fn passage(&self, rng: &mut Rng) -> String {
        let Self { words, gloss, examples, kind, .. } = self;
        let mut text = match rng.u32(0..10) {
            // Only its meaning leads there.
            0..4 => format!("{}.", capital(gloss)),
            4..7 => format!("{}: {gloss}.", capital(&words.join(", "))),
            _ => format!("{} is {gloss}.", capital(&words[rng.usize(0..words.len())])),
        };
        if let Some((word, gloss)) = kind
            && rng.bool()
        {
            text.push_str(&format!(" It is a kind of {word}: {gloss}."));
        }
        if rng.bool() {
            for example in examples {
                text.push_str(&format!(" {}.", capital(example)));
            }
        }
        text
    }

    /// How it is asked for.
    pub(super) fn question(&self, rng: &mut Rng) -> String {
        let word = &self.words[rng.usize(0..self.words.len())];
        match rng.u32(0..8) {
            _ if self.is_person => format!("who is {word}?"),
            0..3 => format!("what is {word}?"),
            3 => format!("what does {word} mean?"),
            4 => format!("define {word}"),
            5 => format!("{word} meaning"),
            _ => word.clone(),
        }
    }
}

fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOUNS: &str = "  1 This software and database is being provided\n\
        00401639 05 n 01 fish 0 000 | any of various cold-blooded vertebrates with gills and fins  \n\
        00401783 05 n 02 goldfish 0 Carassius_auratus 0 001 @ 00401639 n 0000 | small golden or orange-red fishes \
        of Eurasia; \"her goldfish swam in a bowl\"  \n\
        00401784 05 n 01 stub 0 000 | too short  \n";

    #[test]
    fn glosses_are_read_with_their_words_examples_and_kind() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("data.noun"), NOUNS).unwrap();
        for file in &FILES[1..] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let entries = read(folder.path()).unwrap();
        assert_eq!(entries.len(), 2);
        let kind = "any of various cold-blooded vertebrates with gills and fins";
        let goldfish = Entry {
            words: vec!["goldfish".to_owned(), "Carassius auratus".to_owned()],
            gloss: "small golden or orange-red fishes of Eurasia".to_owned(),
            examples: vec!["her goldfish swam in a bowl".to_owned()],
            kind: Some(("fish".to_owned(), kind.to_owned())),
            is_person: false,
        };
        assert_eq!(entries[1], goldfish);
        let mut rng = Rng::with_seed(1);
        for _ in 0..50 {
            assert!(goldfish.passage(&mut rng).to_lowercase().contains("small golden or orange"));
            let question = goldfish.question(&mut rng);
            assert!(goldfish.words.iter().any(|word| question.contains(word.as_str())));
        }
    }

    #[test]
    fn a_folder_without_the_files_is_named() {
        let error = read(Path::new("/nowhere")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/data.noun"), "{error}");
    }
}
