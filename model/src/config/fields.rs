use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{ConfigError, SIZE_MAX};

/// A JSON object whose fields are taken out one by one, so that what nobody took shows at the end.
pub(crate) struct Fields {
    path: PathBuf,
    /// Where in the file the object is, such as `sentence_transformers.`.
    prefix: String,
    left: Map<String, Value>,
}

// === impl Fields ===

impl Fields {
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ConfigError> {
        let left = serde_json::from_slice(bytes)
            .map_err(|source| ConfigError::Json { path: path.to_path_buf(), source })?;
        Ok(Self { path: path.to_path_buf(), prefix: String::new(), left })
    }

    /// The value of a field that is there and not null.
    pub(crate) fn take(&mut self, field: &str) -> Option<Value> {
        self.left.remove(field).filter(|value| !value.is_null())
    }

    /// Takes a field that must be there.
    pub(crate) fn must_be(
        &mut self,
        field: &str,
        accepts: impl Fn(&Value) -> bool,
        supported: &str,
    ) -> Result<(), ConfigError> {
        match self.take(field) {
            Some(value) if accepts(&value) => Ok(()),
            Some(value) => Err(self.unsupported(field, &value, supported)),
            None => Err(self.missing(field, supported)),
        }
    }

    /// Takes a field that may be absent or null.
    pub(crate) fn may_be(
        &mut self,
        field: &str,
        accepts: impl Fn(&Value) -> bool,
        supported: &str,
    ) -> Result<(), ConfigError> {
        match self.take(field) {
            Some(value) if !accepts(&value) => Err(self.unsupported(field, &value, supported)),
            _ => Ok(()),
        }
    }

    /// Takes a switch.
    pub(crate) fn flag(&mut self, field: &str, default: bool) -> Result<bool, ConfigError> {
        match self.take(field) {
            Some(Value::Bool(on)) => Ok(on),
            Some(value) => Err(self.unsupported(field, &value, "true or false")),
            None => Ok(default),
        }
    }

    /// Takes a positive size.
    pub(crate) fn size(
        &mut self,
        field: &str,
        default: Option<usize>,
    ) -> Result<usize, ConfigError> {
        let supported = format!("whole numbers from 1 to {SIZE_MAX}");
        match self.take(field) {
            Some(value) => value
                .as_u64()
                .and_then(|size| usize::try_from(size).ok())
                .filter(|size| (1..=SIZE_MAX).contains(size))
                .ok_or_else(|| self.unsupported(field, &value, &supported)),
            None => default.ok_or_else(|| self.missing(field, &supported)),
        }
    }

    /// Takes an object, as fields of its own.
    pub(crate) fn object(&mut self, field: &str) -> Result<Option<Self>, ConfigError> {
        match self.take(field) {
            Some(Value::Object(left)) => Ok(Some(Self {
                path: self.path.clone(),
                prefix: format!("{}{field}.", self.prefix),
                left,
            })),
            Some(value) => Err(self.unsupported(field, &value, "an object")),
            None => Ok(None),
        }
    }

    /// Refuses what nobody took, unless it is harmless, null, or private by its leading underscore.
    pub(crate) fn finish(self, harmless: &[&str]) -> Result<(), ConfigError> {
        let unknown = self.left.iter().find(|(field, value)| {
            !value.is_null() && !field.starts_with('_') && !harmless.contains(&field.as_str())
        });
        match unknown {
            None => Ok(()),
            Some((field, value)) => Err(ConfigError::Unknown {
                path: self.path.clone(),
                field: format!("{}{field}", self.prefix),
                value: shortened(value),
            }),
        }
    }

    pub(crate) fn unsupported(&self, field: &str, value: &Value, supported: &str) -> ConfigError {
        ConfigError::Unsupported {
            path: self.path.clone(),
            field: format!("{}{field}", self.prefix),
            value: shortened(value),
            supported: supported.to_owned(),
        }
    }

    pub(crate) fn missing(&self, field: &str, supported: &str) -> ConfigError {
        ConfigError::Missing {
            path: self.path.clone(),
            field: format!("{}{field}", self.prefix),
            supported: supported.to_owned(),
        }
    }
}

fn shortened(value: &Value) -> String {
    const CHARS_MAX: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}
