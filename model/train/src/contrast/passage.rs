//! A sentence → the passage that it stands in.

use super::grammar::Filler;
use super::scene::Scene;
use super::source::pick;
use super::words;

/// Words of a passage at least.
const WORDS_MIN: usize = 10;
/// Once a passage has as many words, it gets no more filler.
const WORDS_ENOUGH: usize = 90;
/// Sentences of filler, by their frequency.
const SENTENCES: [usize; 12] = [0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8];
/// Headings of a related query.
const RELATED: [&str; 6] =
    ["See also", "Related", "Next page", "Often read with this", "Related search", "More"];

/// The frames of a case's passages: one for all, or one each.
pub(super) struct Frames<'a> {
    filler: &'a Filler,
    scene: &'a Scene,
    /// Words in the shortest of the sentences to be framed.
    words_min: usize,
    sentences: Option<usize>,
    shared: Option<Frame>,
}

/// Where a passage names a query.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// In front, as what it answers.
    Heading,
    /// Behind, as what another passage answers.
    Related,
}

/// What stands around a sentence.
#[derive(Clone)]
pub(super) struct Frame {
    before: Vec<String>,
    after: Vec<String>,
}

// === impl Frames ===

impl<'a> Frames<'a> {
    /// Filler whose values are not those of `scene`, for sentences of `words_min` words or more.
    pub(super) fn draw(
        filler: &'a Filler,
        scene: &'a Scene,
        words_min: usize,
        rng: &mut fastrand::Rng,
    ) -> Self {
        let mut frames = Self { filler, scene, words_min, sentences: None, shared: None };
        match rng.u8(..4) {
            0 | 1 => frames.shared = Some(frames.frame(rng)),
            2 => frames.sentences = Some(pick(&SENTENCES, rng)),
            _ => {}
        }
        frames
    }

    /// The frame of the next passage.
    pub(super) fn next(&self, rng: &mut fastrand::Rng) -> Frame {
        self.shared.clone().unwrap_or_else(|| self.frame(rng))
    }

    fn frame(&self, rng: &mut fastrand::Rng) -> Frame {
        let wanted = self.sentences.unwrap_or_else(|| pick(&SENTENCES, rng));
        let mut templates = self.filler.sentences.clone();
        rng.shuffle(&mut templates);
        let mut scene = self.scene.clone();
        let mut words = self.words_min;
        let mut frame = Frame { before: Vec::new(), after: Vec::new() };
        for (index, template) in templates.into_iter().enumerate() {
            if words >= WORDS_ENOUGH || (index >= wanted && words >= WORDS_MIN) {
                break;
            }
            let sentence = scene.render(template, rng);
            words += words_in(&sentence);
            let side = if rng.bool() { &mut frame.before } else { &mut frame.after };
            side.push(words::capitalised(&sentence));
        }
        frame
    }
}

// === impl Frame ===

impl Frame {
    /// The passage around `sentence`, with the query that it names.
    pub(super) fn around(
        &self,
        sentence: &str,
        named: Option<&(Place, String)>,
        rng: &mut fastrand::Rng,
    ) -> String {
        let mut parts = self.before.clone();
        parts.push(words::capitalised(sentence));
        parts.extend_from_slice(&self.after);
        match named {
            None => {}
            Some((Place::Heading, query)) => {
                let mark = if query.ends_with(['?', '.']) { "" } else { "." };
                parts.insert(0, format!("{}{mark}", words::capitalised(query)));
            }
            Some((Place::Related, query)) => {
                parts.push(format!("{}: {query}", pick(&RELATED, rng)));
            }
        }
        parts.join(" ")
    }
}

/// How many words `text` has, as spaces part them.
pub(super) fn words_in(text: &str) -> usize {
    text.split_whitespace().count()
}
