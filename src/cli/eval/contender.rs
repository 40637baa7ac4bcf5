use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::cli::ScorerArguments;
use crate::engine::Precision;

/// A model of `--compare`: what `--model` takes, and maybe `@` and a precision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contender {
    given: String,
    model: String,
    precision: Option<String>,
}

// === impl Contender ===

impl Contender {
    /// The arguments that run it, where `others` say everything else.
    pub(super) fn arguments(&self, others: &ScorerArguments) -> ScorerArguments {
        ScorerArguments {
            model: Some(self.model.clone()),
            named_by: Some("--compare"),
            precision: self.precision.clone().or_else(|| others.precision.clone()),
            ..others.clone()
        }
    }
}

impl FromStr for Contender {
    type Err = Infallible;

    /// A directory that exists is one, whatever its name.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let given = text.to_owned();
        let precise = text
            .rsplit_once('@')
            .filter(|(_, precision)| !Path::new(text).is_dir() && is_precision(precision));
        let (model, precision) = match precise {
            Some((model, precision)) => (model, Some(precision.to_owned())),
            None => (text, None),
        };
        Ok(Self { given, model: model.to_owned(), precision })
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.given)
    }
}

fn is_precision(text: &str) -> bool {
    text.parse::<Precision>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str, precision: Option<&str>) -> (String, Option<String>) {
        let others =
            ScorerArguments { precision: precision.map(str::to_owned), ..Default::default() };
        let Ok(contender) = text.parse::<Contender>();
        let arguments = contender.arguments(&others);
        (arguments.model.unwrap(), arguments.precision)
    }

    #[test]
    fn a_precision_behind_the_name_wins_over_the_one_for_both() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(arguments("a/b@int8", Some("f32")), ("a/b".to_owned(), some("int8")));
        assert_eq!(arguments("a/b", Some("f32")), ("a/b".to_owned(), some("f32")));
        assert_eq!(arguments("./m@2@f32", None), ("./m@2".to_owned(), some("f32")));
    }

    #[test]
    fn what_is_no_precision_belongs_to_the_name() {
        assert_eq!(arguments("models/v1@final", None), ("models/v1@final".to_owned(), None));
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("m@int8");
        std::fs::create_dir(&directory).unwrap();
        let name = directory.display().to_string();
        assert_eq!(arguments(&name, None), (name.clone(), None));
    }
}
