use std::fmt;
use std::sync::Arc;

use super::duplicates::{self, Duplicates};
use super::{Order, Settings, Template, TemplateError};

/// Passages that may be passed over for being too long, before assembly ends.
const MISSES_MAX: usize = 16;

/// Counts and cuts as the model does that reads the prompt.
pub trait TokenCounter: Send + Sync {
    /// Tokens of `text`, without special tokens.
    fn count(&self, text: &str) -> usize;

    /// Tokens of `text`; any number above `tokens_max` where it has more.
    fn count_up_to(&self, text: &str, _tokens_max: usize) -> usize {
        self.count(text)
    }

    /// Whether any texts with `separator` between them have the tokens of the parts, no more and no
    /// fewer.
    fn adds_up(&self, _separator: &str) -> bool {
        false
    }

    /// The longest start of `text` that has at most `tokens_max` tokens.
    fn cut<'a>(&self, text: &'a str, tokens_max: usize) -> &'a str;
}

/// A result as the prompt shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Passage<'a> {
    /// The candidate's id.
    pub id: &'a str,
    /// Its title.
    pub title: Option<&'a str>,
    /// The passage.
    pub text: &'a str,
    /// Who retrieved it.
    pub source: Option<&'a str>,
    /// Its score, if it has one.
    pub score: Option<f64>,
}

/// Text for a prompt, and what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptContext {
    /// The text: the rendered passages, separators between them.
    pub text: String,
    /// Its tokens, counted in one piece; never more than [`Settings::tokens_max`].
    pub tokens: usize,
    /// Ids of the passages in it, in its order.
    pub passages: Vec<String>,
    /// What was left out for saying nearly the same as a passage in the text.
    pub duplicates: Vec<Duplicate>,
    /// Id of the passage that was cut to fit.
    pub truncated: Option<String>,
}

/// A passage that says nearly the same as a better one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The one left out.
    pub id: String,
    /// The better one.
    pub of: String,
}

/// Why a text could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The template fails on this passage, though it rendered the samples.
    #[error("passage {number} of the context could not be rendered")]
    Template {
        /// Its number in the text.
        number: usize,
        /// Why.
        #[source]
        source: TemplateError,
    },
}

/// Puts the prompt-ready text together.
///
/// Passages are taken best first. One that is blank is left out; one that nearly repeats a passage
/// already taken is left out and named. One that does not fit into what is left of the budget is
/// cut, which ends the text, where [`Settings::truncate`] allows that; otherwise it is passed over,
/// because a single long passage at the top must not empty the text, and shorter ones behind it
/// may still fit. After 16 that did not fit, the rest of the list is not looked at.
pub struct Assembler {
    settings: Settings,
    template: Template,
    counter: Arc<dyn TokenCounter>,
    separator_tokens: usize,
    /// Tokens of the parts are those of the whole.
    adds_up: bool,
}

/// A passage that is in the text.
struct Taken<'a> {
    index: usize,
    text: &'a str,
    /// How it read when it was taken; `None` where it was cut.
    rendered: Option<Rendered>,
}

/// A passage as the template has it.
struct Rendered {
    number: usize,
    text: String,
    tokens: usize,
}

/// What is in the text, best first, and what repeats it.
#[derive(Default)]
struct Selection<'a> {
    taken: Vec<Taken<'a>>,
    repeats: Vec<Repeat>,
}

/// A passage left out, and the one in the text that it repeats, by index.
struct Repeat {
    index: usize,
    of: usize,
}

// === impl Assembler ===

impl Assembler {
    /// Compiles the template of `settings`.
    pub fn new(settings: Settings, counter: Arc<dyn TokenCounter>) -> Result<Self, TemplateError> {
        let template = Template::new(&settings.template)?;
        let separator_tokens = counter.count(&settings.separator);
        let adds_up = counter.adds_up(&settings.separator);
        Ok(Self { settings, template, counter, separator_tokens, adds_up })
    }

    /// The text for `passages`, which stand best first.
    pub fn assemble(&self, passages: &[Passage<'_>]) -> Result<PromptContext, AssembleError> {
        let Selection { mut taken, mut repeats } = self.select(passages)?;
        // Tokens of the parts need not add up to those of the whole, so the whole decides.
        let (text, tokens) = loop {
            let (text, tokens) = self.join(passages, &taken)?;
            match tokens.checked_sub(self.settings.tokens_max) {
                None | Some(0) => break (text, tokens),
                Some(over) => self.shorten(&mut taken, over),
            }
        };
        let is_taken = |index: usize| taken.iter().any(|taken| taken.index == index);
        repeats.retain(|repeat| is_taken(repeat.of));
        let id = |index: usize| passages[index].id.to_owned();
        let cut = taken.iter().find(|taken| taken.text.len() < passages[taken.index].text.len());
        Ok(PromptContext {
            text,
            tokens,
            passages: self.arrange(&taken).into_iter().map(|taken| id(taken.index)).collect(),
            duplicates: repeats
                .iter()
                .map(|repeat| Duplicate { id: id(repeat.index), of: id(repeat.of) })
                .collect(),
            truncated: cut.map(|taken| id(taken.index)),
        })
    }

    /// Whether a passage that was scored in windows is to be given with the best of them only.
    pub fn shows_windows(&self) -> bool {
        self.settings.windows
    }

    /// The passages that fit when their tokens are added up, and what repeats them.
    fn select<'a>(&self, passages: &[Passage<'a>]) -> Result<Selection<'a>, AssembleError> {
        let mut duplicates = self.settings.duplicate_similarity.map(Duplicates::new);
        let mut selection = Selection::default();
        let (mut left, mut misses) = (self.settings.tokens_max, 0);
        let Selection { taken, repeats } = &mut selection;
        for (index, passage) in passages.iter().enumerate() {
            if passage.text.trim().is_empty() {
                continue;
            }
            let shingles = duplicates.as_ref().map(|_| duplicates::shingles(passage.text));
            if let (Some(seen), Some(shingles)) = (&duplicates, &shingles)
                && let Some(of) = seen.find(shingles)
            {
                repeats.push(Repeat { index, of });
                continue;
            }
            let separator = if taken.is_empty() { 0 } else { self.separator_tokens };
            let room = left.saturating_sub(separator);
            let number = taken.len() + 1;
            let text = self.render(passage, passage.text, number)?;
            let tokens = self.counter.count_up_to(&text, room);
            if tokens <= room {
                left = room - tokens;
                let rendered = Some(Rendered { number, text, tokens });
                taken.push(Taken { index, text: passage.text, rendered });
                if let (Some(seen), Some(shingles)) = (&mut duplicates, shingles) {
                    seen.add(index, shingles);
                }
                continue;
            }
            if self.settings.truncate {
                let text = self.fit(passage, number, room)?;
                taken.extend(text.map(|text| Taken { index, text, rendered: None }));
                break;
            }
            misses += 1;
            if misses == MISSES_MAX {
                break;
            }
        }
        Ok(selection)
    }

    /// The longest start of the passage's text with which it takes at most `room` tokens.
    fn fit<'a>(
        &self,
        passage: &Passage<'a>,
        number: usize,
        room: usize,
    ) -> Result<Option<&'a str>, AssembleError> {
        let around = self.tokens(passage, "", number)?;
        let mut text_room = room.saturating_sub(around);
        while text_room > 0 {
            let text = self.counter.cut(passage.text, text_room).trim_end();
            if text.is_empty() {
                break;
            }
            match self.tokens(passage, text, number)?.checked_sub(room) {
                None | Some(0) => return Ok(Some(text)),
                Some(over) => text_room = text_room.saturating_sub(over),
            }
        }
        Ok(None)
    }

    /// Takes `over` tokens or more from the weakest passage: a part of it where it may be cut,
    /// else all of it.
    fn shorten(&self, taken: &mut Vec<Taken<'_>>, over: usize) {
        let Some(weakest) = taken.last_mut() else { return };
        let room = self.counter.count(weakest.text).saturating_sub(over);
        let text = self.counter.cut(weakest.text, room).trim_end();
        if self.settings.truncate && !text.is_empty() && text.len() < weakest.text.len() {
            weakest.text = text;
            weakest.rendered = None;
        } else {
            taken.pop();
        }
    }

    fn join(
        &self,
        passages: &[Passage<'_>],
        taken: &[Taken<'_>],
    ) -> Result<(String, usize), AssembleError> {
        let mut text = String::new();
        let mut sum = self.separator_tokens * taken.len().saturating_sub(1);
        for (place, taken) in self.arrange(taken).into_iter().enumerate() {
            if place > 0 {
                text.push_str(&self.settings.separator);
            }
            match &taken.rendered {
                Some(rendered) if rendered.number == place + 1 => {
                    text.push_str(&rendered.text);
                    sum += rendered.tokens;
                }
                _ => {
                    let rendered = self.render(&passages[taken.index], taken.text, place + 1)?;
                    text.push_str(&rendered);
                    sum += if self.adds_up { self.counter.count(&rendered) } else { 0 };
                }
            }
        }
        let tokens = if self.adds_up { sum } else { self.counter.count(&text) };
        Ok((text, tokens))
    }

    /// Passages that stand best first, in the order of the text.
    fn arrange<'t, 'a>(&self, taken: &'t [Taken<'a>]) -> Vec<&'t Taken<'a>> {
        match self.settings.order {
            Order::BestFirst => taken.iter().collect(),
            // 1st, 3rd, 5th … 6th, 4th, 2nd.
            Order::BestAtEdges => {
                let front = taken.iter().step_by(2);
                front.chain(taken.iter().skip(1).step_by(2).rev()).collect()
            }
        }
    }

    fn tokens(
        &self,
        passage: &Passage<'_>,
        text: &str,
        number: usize,
    ) -> Result<usize, AssembleError> {
        Ok(self.counter.count(&self.render(passage, text, number)?))
    }

    fn render(
        &self,
        passage: &Passage<'_>,
        text: &str,
        number: usize,
    ) -> Result<String, AssembleError> {
        self.template
            .render(passage, text, number)
            .map_err(|source| AssembleError::Template { number, source })
    }
}

impl fmt::Debug for Assembler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assembler").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
