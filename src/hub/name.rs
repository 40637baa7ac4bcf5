use std::fmt;

/// Longest name of an owner, a model or a revision that the hub gives.
const CHARS_MAX: usize = 96;

/// The name of a model on the hub: `owner/model`, or `model` for the oldest ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelId(String);

/// A branch, a tag, a pull request's reference or a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision(String);

/// A text that names nothing on the hub.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not the name of a model.
    #[error(
        "{0:?} is neither a directory nor the name of a model; such a name is owner/model, of letters, digits, '-', '_' and '.'"
    )]
    Model(String),
    /// Not the name of a revision.
    #[error("{0:?} is not a revision; give a branch, a tag, or a commit of 40 hexadecimal digits")]
    Revision(String),
}

// === impl ModelId ===

impl ModelId {
    /// The branch that is meant where no revision is given.
    pub const BRANCH: &str = "main";

    /// # Errors
    /// The text is not a name that the hub would give.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts.len() <= 2 && parts.iter().all(|part| is_part(part)) {
            true => Ok(Self(text.to_owned())),
            false => Err(NameError::Model(text.to_owned())),
        }
    }

    /// As it is written: `owner/model`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Revision ===

impl Revision {
    /// # Errors
    /// The text is not a name that git would give.
    pub fn new(text: &str) -> Result<Self, NameError> {
        // A revision becomes a path below `refs`, so each part is as strict as a file name.
        match text.split('/').all(is_part) {
            true => Ok(Self(text.to_owned())),
            false => Err(NameError::Revision(text.to_owned())),
        }
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names one content for good: a whole commit hash, unlike a branch or a tag.
    pub fn is_commit(&self) -> bool {
        is_commit(&self.0)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether this is a whole commit hash.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether this can be one name of a path, everywhere: never `.`, `..` or a hidden file.
pub(super) fn is_part(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=CHARS_MAX).contains(&text.len()) && text.chars().all(legal) && !text.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_hub_are_taken_and_paths_are_not() {
        for good in ["cross-encoder/ms-marco-MiniLM-L6-v2", "gpt2", "BAAI/bge_1.5"] {
            assert_eq!(ModelId::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "/", "a/", "a/b/c", "../a", "a/..", "./a", "a b", "~/a", "a\\b", "é/x"] {
            ModelId::new(bad).unwrap_err();
        }
        for good in ["main", "v1.0", "refs/pr/1"] {
            assert!(!Revision::new(good).unwrap().is_commit());
        }
        for bad in ["", "..", "a/../b", "/a", "a//b", "a b"] {
            Revision::new(bad).unwrap_err();
        }
        let commit = "0123456789abcdef0123456789abcdef01234567";
        assert!(Revision::new(commit).unwrap().is_commit());
        assert!(!Revision::new(commit.trim_start_matches('0')).unwrap().is_commit());
    }
}
