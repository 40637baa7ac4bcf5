//! Training pairs that differ in one constraint.
//!
//! Two programs that need no labels: [`case`] writes a query, a passage that answers it and near
//! ones that do not, from the grammars in `text/`; [`violate`] takes a natural query and a passage
//! that fits it and changes the passage in one thing that both name. What is to be learnt is the
//! constraint, so everything else is drawn for the relevant passage and for the others in the same
//! way: filler, length, formats, and how many of the query's words they repeat.
//!
//! Both are functions of the random generator's state alone: the same seed gives the same stream.
//!
//! | file | knows |
//! |---|---|
//! | `text/*.txt` | the schemas of each kind, the filler sentences, the word lists |
//! | `grammar` | the files' format |
//! | `scene` | slots and what they are bound to in one case |
//! | `value`, `source`, `quantity`, `words` | things that a slot can hold, where they are drawn from, how they read |
//! | `query`, `passage` | how a query is written, and what stands around a sentence |
//! | `compose` | schema → case |
//! | `violate` | the same for natural text |

mod compose;
mod grammar;
mod passage;
mod quantity;
mod query;
mod scene;
mod source;
mod value;
mod violate;
mod words;

#[cfg(test)]
mod tests;

pub use compose::case;
pub use violate::violate;

/// A query, a passage that answers it, and near ones that do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What tells them apart.
    pub kind: Kind,
    /// As a user would write it: a question, keywords, a wish, or some of these in a row.
    pub query: String,
    /// Fits the query in every respect.
    pub relevant: String,
    /// 1 to 4 passages, different from `relevant` and from each other, that miss the constraint.
    pub distractors: Vec<String>,
}

/// The constraint that sets a relevant passage apart from a near one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// With or without, allowed or not, also where no word says "not".
    Negation,
    /// A number of something.
    Number,
    /// A quantity: the number together with its unit.
    Unit,
    /// A year, month, day or time of day; before and after.
    Date,
    /// More or less than another number, in the query or in the passage.
    Comparison,
    /// A person, place, product or other thing that is named.
    Name,
    /// A code, version or section that looks almost the same.
    NearDuplicate,
    /// Who did it to whom, from where to where.
    WordOrder,
    /// Who, when, where, why, how or how many of one subject.
    Question,
}

// === impl Kind ===

impl Kind {
    /// Every kind, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::Negation,
        Self::Number,
        Self::Unit,
        Self::Date,
        Self::Comparison,
        Self::Name,
        Self::NearDuplicate,
        Self::WordOrder,
        Self::Question,
    ];
}
