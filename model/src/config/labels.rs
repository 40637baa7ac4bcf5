use std::fmt;
use std::path::Path;

use serde_json::Value;

use super::{ConfigError, Fields};

/// What the outputs of a head are called, and which of them the score is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Labels {
    /// In the order of the outputs, no two of them equal.
    names: Vec<String>,
    /// The first, until another is chosen.
    chosen: usize,
}

// === impl Labels ===

impl Labels {
    /// Of a head with one output.
    pub(crate) fn one() -> Self {
        Self { names: vec![numbered(0)], chosen: 0 }
    }

    /// Reads `id2label`. Where it is absent, transformers calls them LABEL_0 and so on: as many as `num_labels` says,
    /// or two.
    pub(super) fn read(fields: &mut Fields) -> Result<Self, ConfigError> {
        let number = fields.take("num_labels");
        let count = match &number {
            None => None,
            Some(value) => {
                let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
                let count = count.filter(|count| (1..=Self::COUNT_MAX).contains(count));
                let supported = format!("whole numbers from 1 to {}", Self::COUNT_MAX);
                Some(count.ok_or_else(|| fields.unsupported("num_labels", value, &supported))?)
            }
        };
        let Some(value) = fields.take("id2label") else {
            return Ok(Self { names: (0..count.unwrap_or(2)).map(numbered).collect(), chosen: 0 });
        };
        let names = named(&value).ok_or_else(|| {
            fields.unsupported("id2label", &value, "a name of its own for each label from \"0\" on")
        })?;
        match (count, number) {
            (Some(count), Some(number)) if count != names.len() => {
                let supported = format!("as many as id2label names, {}", names.len());
                Err(fields.unsupported("num_labels", &number, &supported))
            }
            _ => Ok(Self { names, chosen: 0 }),
        }
    }

    /// A head with more is no reranker.
    const COUNT_MAX: usize = 1 << 16;

    /// Makes the score that of the label with this name, or else with this index. A head with one label needs none.
    ///
    /// # Errors
    /// There is no such label, or there are several and none is asked for. `path` is the file that names them.
    pub(crate) fn choose(&mut self, path: &Path, asked: Option<&str>) -> Result<(), ConfigError> {
        let Some(asked) = asked else {
            return match self.names.len() {
                1 => Ok(()),
                _ => Err(ConfigError::NoLabel { path: path.to_owned(), labels: self.to_string() }),
            };
        };
        let by_name = self.names.iter().position(|name| name == asked);
        let by_index = || asked.parse().ok().filter(|&index| index < self.names.len());
        self.chosen = by_name.or_else(by_index).ok_or_else(|| ConfigError::UnknownLabel {
            path: path.to_owned(),
            asked: asked.to_owned(),
            labels: self.to_string(),
        })?;
        Ok(())
    }

    /// In the order of the outputs.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Place of the label that the score is about.
    pub(crate) fn chosen(&self) -> usize {
        self.chosen
    }

    /// Its name; `None` where there is no other.
    pub(crate) fn chosen_name(&self) -> Option<&str> {
        self.names.get(self.chosen).filter(|_| self.names.len() > 1).map(String::as_str)
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_MAX: usize = 12;
        for (index, name) in self.names.iter().enumerate().take(SHOWN_MAX) {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{index} {name:?}")?;
        }
        match self.names.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// As transformers calls a label that nobody named.
fn numbered(index: usize) -> String {
    format!("LABEL_{index}")
}

/// The names of `{"0": …, "1": …}`, in that order; some are numbers. `None` where one is missing or there twice.
fn named(value: &Value) -> Option<Vec<String>> {
    let labels = value.as_object().filter(|labels| !labels.is_empty())?;
    let names = (0..labels.len()).map(|index| match labels.get(&index.to_string())? {
        Value::String(name) => Some(name.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    let names = names.collect::<Option<Vec<_>>>()?;
    let is_new = |(index, name)| !names[..index].contains(name);
    names.iter().enumerate().all(is_new).then(|| names.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(config: Value) -> Result<Labels, String> {
        let text = config.to_string();
        let mut fields = Fields::parse(Path::new("config.json"), text.as_bytes()).unwrap();
        Labels::read(&mut fields).map_err(|error| error.to_string())
    }

    fn chosen(asked: Option<&str>) -> Result<usize, String> {
        let names = serde_json::json!({"0": "contradiction", "1": "2", "2": "neutral"});
        let mut labels = labels(serde_json::json!({ "id2label": names })).unwrap();
        let choice = labels.choose(Path::new("config.json"), asked);
        choice.map(|()| labels.chosen()).map_err(|error| error.to_string())
    }

    #[test]
    fn labels_stand_in_the_order_of_their_numbers() {
        let many: serde_json::Map<_, _> =
            (0..12).map(|index| (index.to_string(), format!("L{index}").into())).collect();
        let read = labels(serde_json::json!({ "id2label": many })).unwrap();
        assert_eq!((read.names()[2].as_str(), read.names()[11].as_str()), ("L2", "L11"));
        let numbers = serde_json::json!({"id2label": {"1": 7, "0": "no"}});
        assert_eq!(labels(numbers).unwrap().names(), ["no", "7"]);
    }

    #[test]
    fn what_nobody_named_is_called_as_transformers_calls_it() {
        let read = |config| labels(config).unwrap().names;
        assert_eq!(read(serde_json::json!({})), ["LABEL_0", "LABEL_1"]);
        assert_eq!(read(serde_json::json!({"num_labels": 1})), ["LABEL_0"]);
        assert_eq!(read(serde_json::json!({"num_labels": 3})).len(), 3);
    }

    #[test]
    fn labels_that_are_no_row_of_names_are_refused() {
        for wrong in [
            serde_json::json!({"id2label": {}}),
            serde_json::json!({"id2label": {"1": "a"}}),
            serde_json::json!({"id2label": {"0": "a", "1": "a"}}),
            serde_json::json!({"id2label": {"0": true}}),
            serde_json::json!({"id2label": ["a", "b"]}),
            serde_json::json!({"id2label": {"0": "a"}, "num_labels": 2}),
            serde_json::json!({"num_labels": 0}),
            serde_json::json!({"num_labels": 1_u64 << 40}),
        ] {
            let error = labels(wrong.clone()).expect_err(&wrong.to_string());
            assert!(error.contains("id2label") || error.contains("num_labels"), "{error}");
        }
    }

    #[test]
    fn a_label_is_chosen_by_its_name_or_else_by_its_number() {
        assert_eq!(chosen(Some("contradiction")), Ok(0));
        assert_eq!(chosen(Some("0")), Ok(0));
        assert_eq!(chosen(Some("2")), Ok(1), "a name goes before a number");
        for unknown in ["Contradiction", "3", "-1", ""] {
            let error = chosen(Some(unknown)).unwrap_err();
            let told = format!(
                "label {unknown:?} does not exist; by number and name the model has: 0 \"contradiction\""
            );
            assert!(error.contains(&told), "{error}");
        }
        let error = chosen(None).unwrap_err();
        for part in ["config.json", "model.label", "--label", "1 \"2\", 2 \"neutral\""] {
            assert!(error.contains(part), "{error}");
        }
    }
}
