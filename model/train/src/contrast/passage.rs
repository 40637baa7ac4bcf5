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
    /// The passage around `sentence`, with a related query at its end.
    pub(super) fn around(
        &self,
        sentence: &str,
        related: Option<&str>,
        rng: &mut fastrand::Rng,
    ) -> String {
        let related = related.map(|query| format!("{}: {query}", pick(&RELATED, rng)));
        let mut parts: Vec<&str> = self.before.iter().map(String::as_str).collect();
        let sentence = words::capitalised(sentence);
        parts.push(&sentence);
        parts.extend(self.after.iter().map(String::as_str));
        parts.extend(related.as_deref());
        parts.join(" ")
    }
}

/// How many words `text` has, as spaces part them.
pub(super) fn words_in(text: &str) -> usize {
    text.split_whitespace().count()
}
