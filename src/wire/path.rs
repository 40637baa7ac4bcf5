//! Which field: the part of a message that a person needs first.

use std::fmt;

use serde_json::value::RawValue;

use super::DecodeError;
use super::json::{kind, skip_string};

/// Characters of one name in a path, and names in a path that is found by position.
const NAME_CHARS_MAX: usize = 64;
const STEPS_MAX: usize = 8;
/// Where a value stands, spelled out only when something is wrong with it.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    Root,
    Field(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

enum Step<'a> {
    Item { index: usize },
    Field { name: Option<&'a str> },
}

// === impl At ===

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("candidate set"),
            Self::Field(Self::Root, name) => f.write_str(&shown(name)),
            Self::Field(parent, name) => write!(f, "{parent}.{}", shown(name)),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

impl<'a> At<'a> {
    pub(super) fn field(&'a self, name: &'a str) -> Self {
        Self::Field(self, name)
    }

    /// Another item of the same array.
    pub(super) fn sibling(&self, index: usize) -> At<'a> {
        match *self {
            Self::Item(array, _) => Self::Item(array, index),
            other => other,
        }
    }

    pub(super) fn invalid(&self, problem: &'static str) -> DecodeError {
        DecodeError::InvalidValue { path: self.to_string(), problem }
    }

    pub(super) fn missing(&self, name: &str, required: &'static str) -> DecodeError {
        DecodeError::MissingField { path: At::Field(self, name).to_string(), required }
    }

    pub(super) fn wrong_type(&self, expected: &'static str, raw: &RawValue) -> DecodeError {
        DecodeError::WrongType { path: self.to_string(), expected, found: kind(raw.get()) }
    }

    /// `error` arose inside of a value that is JSON by its grammar: an escape that means nothing.
    pub(super) fn syntax(&self, error: &serde_json::Error) -> DecodeError {
        DecodeError::InvalidJson { path: self.to_string(), problem: without_position(error) }
    }
}

/// The field in which byte `offset` stands, in text that is JSON up to there.
pub(super) fn path_at(json: &str, offset: usize) -> String {
    let mut steps: Vec<Step<'_>> = Vec::new();
    let mut hidden = 0usize;
    let mut bytes = json.bytes().enumerate().take(offset);
    while let Some((index, byte)) = bytes.next() {
        match byte {
            b'"' => {
                let mut end = index + 1;
                skip_string(&mut bytes.by_ref().map(|(index, byte)| {
                    end = index;
                    byte
                }));
                if let Some(Step::Field { name: name @ None }) = steps.last_mut()
                    && hidden == 0
                {
                    *name = json.get(index + 1..end);
                }
            }
            b'[' | b'{' if steps.len() == STEPS_MAX => hidden += 1,
            b'[' => steps.push(Step::Item { index: 0 }),
            b'{' => steps.push(Step::Field { name: None }),
            b']' | b'}' if hidden > 0 => hidden -= 1,
            b']' | b'}' => drop(steps.pop()),
            b',' if hidden == 0 => steps.last_mut().into_iter().for_each(Step::advance),
            _ => {}
        }
    }
    spelled(&steps, hidden > 0)
}

// === impl Step ===

impl Step<'_> {
    fn advance(&mut self) {
        match self {
            Self::Item { index } => *index += 1,
            Self::Field { name } => *name = None,
        }
    }
}

fn spelled(steps: &[Step<'_>], more: bool) -> String {
    let mut path = String::new();
    if let Some(Step::Item { .. }) = steps.first() {
        path = At::Root.to_string();
    }
    for step in steps {
        match step {
            Step::Item { index } => path.push_str(&format!("[{index}]")),
            Step::Field { name: Some(name) } => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&shown(name));
            }
            Step::Field { name: None } => {}
        }
    }
    if path.is_empty() {
        return At::Root.to_string();
    }
    if more { path + "…" } else { path }
}

/// A name as a message shows it: on one line, and short.
fn shown(name: &str) -> String {
    let mut shown: String =
        name.chars().take(NAME_CHARS_MAX).flat_map(|c| c.escape_debug()).collect();
    if name.chars().nth(NAME_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

pub(super) fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.split(" at line ").next().unwrap_or_default().to_owned()
}

/// Where parsing stopped. serde_json counts lines, and bytes from the start of the line.
pub(super) fn offset_of(json: &str, error: &serde_json::Error) -> usize {
    let before: usize =
        json.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    (before + error.column().saturating_sub(1)).min(json.len())
}
