//! The texts that the bundled model learns from: SQuAD's sentences, MedQuAD's answers in pieces, WordNet's glosses.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use fastrand::Rng;
use serde::Deserialize;

use super::wordnet;
use crate::pairs;

/// Words of the shortest and longest piece of a text.
const SQUAD_WORDS: [f64; 2] = [14.0, 110.0];
const MEDQUAD_WORDS: [f64; 2] = [20.0, 200.0];
/// Pieces of an answer that are kept: its first ones.
const PIECES_MAX: usize = 4;
/// A source of MedQuAD that is never learnt, to show what fine-tuning on a domain is worth: kidneys and digestion.
const UNSEEN: &str = "5_NIDDK_QA/";
/// Answers that are tables in disguise.
const TABLE: &str = "Human Phenotype Ontology";

/// Where a text is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Wikipedia, and questions that people asked of its paragraphs.
    Squad,
    /// Answers of health services to consumers.
    Medquad,
    /// A dictionary: words that the others never use.
    Wordnet,
}

/// Passages and questions, and which answer which.
#[derive(Default)]
pub(crate) struct Corpus {
    pub(crate) passages: Vec<String>,
    /// Where the passages of each source stand.
    pub(crate) places: Vec<(Source, Range<usize>)>,
    pub(crate) questions: Vec<Question>,
}

/// A question somebody asked.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) text: String,
    /// The passages of which one answers it: pieces of one text.
    pub(crate) answers: Vec<u32>,
    pub(crate) source: Source,
}

#[derive(Deserialize)]
struct SquadPair {
    query: String,
    passage: String,
}

#[derive(Deserialize)]
struct MedquadPair {
    query: String,
    passage: String,
    in_liveqa_eval: bool,
    source: String,
}

// === impl Corpus ===

impl Corpus {
    /// Reads `squad_sentence_pairs.jsonl.gz` and `medquad_pairs.jsonl.gz` of a folder, the second where `medical`, and
    /// WordNet's `data.*` where a folder with them is given. Rows that LiveQA's test set has, too, are left out.
    pub(crate) fn read(
        folder: &Path,
        medical: bool,
        glosses: Option<&Path>,
        rng: &mut Rng,
    ) -> anyhow::Result<Self> {
        let mut corpus = Self::default();
        corpus.add_squad(pairs::lines(&folder.join("squad_sentence_pairs.jsonl.gz"))?, rng);
        corpus.ends(Source::Squad);
        if medical {
            corpus.add_medquad(pairs::lines(&folder.join("medquad_pairs.jsonl.gz"))?, rng);
            corpus.ends(Source::Medquad);
        }
        if let Some(glosses) = glosses {
            corpus.add_wordnet(&wordnet::read(glosses)?, rng);
            corpus.ends(Source::Wordnet);
        }
        Ok(corpus)
    }

    /// The passages that were added last are of this source.
    fn ends(&mut self, source: Source) {
        let first = self.places.last().map_or(0, |(_, places)| places.end);
        self.places.push((source, first..self.passages.len()));
    }

    /// Neighbouring sentences become passages of many lengths.
    fn add_squad(&mut self, pairs: Vec<SquadPair>, rng: &mut Rng) {
        let mut of_sentence = HashMap::<String, u32>::new();
        let (mut piece, mut words, mut wanted) = (String::new(), 0, length(SQUAD_WORDS, rng));
        for pair in pairs {
            if !of_sentence.contains_key(&pair.passage) {
                if words >= wanted {
                    self.passages.push(std::mem::take(&mut piece));
                    (words, wanted) = (0, length(SQUAD_WORDS, rng));
                }
                let sentence = untokenised(&pair.passage);
                words += sentence.split(' ').count();
                piece.push_str(if piece.is_empty() { "" } else { " " });
                piece.push_str(&sentence);
                of_sentence.insert(pair.passage.clone(), self.passages.len() as u32);
            }
            let answers = vec![of_sentence[&pair.passage]];
            self.questions.push(Question {
                text: untokenised(&pair.query),
                answers,
                source: Source::Squad,
            });
        }
        self.passages.push(piece);
    }

    fn add_medquad(&mut self, pairs: Vec<MedquadPair>, rng: &mut Rng) {
        let mut known = HashMap::<String, u32>::new();
        let is_left_out = |pair: &MedquadPair| {
            pair.in_liveqa_eval || pair.source.starts_with(UNSEEN) || pair.passage.contains(TABLE)
        };
        for pair in pairs.into_iter().filter(|pair| !is_left_out(pair)) {
            let mut answers = Vec::new();
            for piece in pieces(&pair.passage, rng).into_iter().take(PIECES_MAX) {
                let next = self.passages.len() as u32;
                let place = *known.entry(piece.clone()).or_insert(next);
                if place == next {
                    self.passages.push(piece);
                }
                answers.push(place);
            }
            let text = pair.query.replace(" ?", "?").replace("What is (are)", "What is");
            self.questions.push(Question { text, answers, source: Source::Medquad });
        }
    }

    fn add_wordnet(&mut self, entries: &[wordnet::Entry], rng: &mut Rng) {
        for entry in entries {
            let answers = vec![self.passages.len() as u32];
            self.passages.push(entry.passage(rng));
            let text = entry.question(rng);
            self.questions.push(Question { text, answers, source: Source::Wordnet });
        }
    }
}

/// A length in words, short ones as often as long ones.
fn length([least, most]: [f64; 2], rng: &mut Rng) -> usize {
    (least * (most / least).powf(rng.f64())) as usize
}

/// A text in pieces of many lengths, cut between sentences.
fn pieces(text: &str, rng: &mut Rng) -> Vec<String> {
    let (mut pieces, mut piece, mut words) = (Vec::new(), String::new(), 0);
    let mut wanted = length(MEDQUAD_WORDS, rng);
    for word in text.split_whitespace() {
        piece.push_str(if piece.is_empty() { "" } else { " " });
        piece.push_str(word);
        words += 1;
        // A text without sentences is cut anyway.
        if (words >= wanted && word.ends_with(['.', '?', '!'])) || words >= 2 * wanted.max(100) {
            pieces.push(std::mem::take(&mut piece));
            (words, wanted) = (0, length(MEDQUAD_WORDS, rng));
        }
    }
    // A rest of a few words says nothing by itself.
    match pieces.last_mut() {
        Some(last) if words < 12 && !piece.is_empty() => *last = format!("{last} {piece}"),
        _ if piece.is_empty() => {}
        _ => pieces.push(piece),
    }
    pieces
}

/// Text as people write it, from one that was taken apart for a parser.
fn untokenised(text: &str) -> String {
    let mut text = format!(" {text} ");
    for (from, to) in [
        (" -lrb- ", " ("),
        (" -rrb- ", ") "),
        (" `` ", " \""),
        (" '' ", "\" "),
        (" ( ", " ("),
        (" ) ", ") "),
        (" , ", ", "),
        (" . ", ". "),
        (" ? ", "? "),
        (" ; ", "; "),
        (" : ", ": "),
        (" 's ", "'s "),
        (" n't ", "n't "),
        (" % ", "% "),
        ("$ ", "$"),
    ] {
        text = text.replace(from, to);
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_text_cut_between_sentences() {
        let text = "One two three four five six seven eight nine ten. ".repeat(60);
        let pieces = pieces(&text, &mut Rng::with_seed(1));
        assert!(pieces.len() > 2 && pieces.iter().all(|piece| piece.ends_with("ten.")));
        assert_eq!(pieces.join(" "), text.trim());
    }

    #[test]
    fn tokenised_text_becomes_text() {
        let text = "the nfl -lrb- 1920 -rrb- 's champion , denver , won 24 -- 10 .";
        assert_eq!(untokenised(text), "the nfl (1920)'s champion, denver, won 24 -- 10.");
    }
}
