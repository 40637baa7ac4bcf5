use std::fmt;

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, dotted: `kafka.group`. Empty where the file itself is wrong.
    pub key: String,
    /// Where its value comes from: a file and line, an environment variable or a flag. Empty where
    /// it has none.
    pub origin: String,
    /// What is wrong with it. Never holds a secret.
    pub wrong: String,
    /// What to do.
    pub remedy: String,
}

/// Everything that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(pub(super) Vec<Problem>);

// === impl Errors ===

impl Errors {
    /// The problems, in the order of their layers, relations between keys last.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "configuration has 1 problem:")?,
            count => write!(f, "configuration has {count} problems:")?,
        }
        for (index, problem) in self.0.iter().enumerate() {
            write!(f, "\n{:>3}. {problem}", index + 1)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

// === impl Problem ===

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, origin, wrong, remedy } = self;
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        write!(f, "{wrong}")?;
        if !origin.is_empty() {
            write!(f, "\n     from {origin}")?;
        }
        write!(f, "\n     fix: {remedy}")
    }
}
