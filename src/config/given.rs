use config::ValueKind;
use toml::de::DeValue;

use super::keys::Kind;

/// A value as its layer gives it.
#[derive(Clone, Copy)]
pub(super) enum Given<'a> {
    /// From a file, which tells text from numbers.
    Toml(&'a DeValue<'a>),
    /// From the environment or a flag, where everything is text.
    Text(&'a str),
}

// === impl Given ===

impl Given<'_> {
    /// The value as one of this kind, or what is wrong with it.
    pub(super) fn of(self, kind: Kind) -> Result<ValueKind, String> {
        match kind {
            Kind::Text | Kind::Secret => match self.text()? {
                text if text.trim().is_empty() => Err("is empty".to_owned()),
                text => Ok(ValueKind::String(text)),
            },
            Kind::Label => match self {
                Self::Toml(DeValue::Integer(_)) => Ok(ValueKind::String(self.whole()?.to_string())),
                other => other.of(Kind::Text),
            },
            Kind::Verbatim => self.text().map(ValueKind::String),
            Kind::Toggle => self.toggle().map(ValueKind::Boolean),
            Kind::Whole(min, max) => match self.whole()? {
                number if number < i128::from(min) || number > i128::from(max) => {
                    Err(format!("is {number}, out of range"))
                }
                number => Ok(ValueKind::I128(number)),
            },
            Kind::Fraction => match self.number()? {
                number if (0.0..=1.0).contains(&number) => Ok(ValueKind::Float(number)),
                number => Err(format!("is {number}, out of range")),
            },
            Kind::Choice(words) => match self.text()? {
                word if words.contains(&word.as_str()) => Ok(ValueKind::String(word)),
                word => Err(format!("is {word:?}")),
            },
        }
    }

    /// The value as librdkafka takes it.
    pub(super) fn of_property(self) -> Result<String, String> {
        match self {
            Self::Text(text) => text_without_substitutes(text),
            Self::Toml(DeValue::String(text)) => Ok(text.to_string()),
            Self::Toml(DeValue::Boolean(value)) => Ok(value.to_string()),
            Self::Toml(DeValue::Integer(_)) => self.whole().map(|number| number.to_string()),
            Self::Toml(DeValue::Float(_)) => self.number().map(|number| number.to_string()),
            Self::Toml(other) => Err(named(other)),
        }
    }

    fn text(self) -> Result<String, String> {
        match self {
            Self::Text(text) => text_without_substitutes(text),
            Self::Toml(DeValue::String(text)) => Ok(text.to_string()),
            // Not the value itself: this may be a password without its quotes.
            Self::Toml(other) => Err(format!("{}, not text", named(other))),
        }
    }

    fn toggle(self) -> Result<bool, String> {
        match self {
            Self::Text("true") | Self::Toml(DeValue::Boolean(true)) => Ok(true),
            Self::Text("false") | Self::Toml(DeValue::Boolean(false)) => Ok(false),
            Self::Text(text) => Err(format!("is {text:?}")),
            Self::Toml(other) => Err(named(other)),
        }
    }

    fn whole(self) -> Result<i128, String> {
        match self {
            Self::Text(text) => text.parse().map_err(|_| format!("is {text:?}")),
            Self::Toml(DeValue::Integer(number)) => {
                i128::from_str_radix(number.as_str(), number.radix())
                    .map_err(|_| "is out of range".to_owned())
            }
            Self::Toml(other) => Err(named(other)),
        }
    }

    fn number(self) -> Result<f64, String> {
        match self {
            Self::Text(text) => text.parse().map_err(|_| format!("is {text:?}")),
            Self::Toml(DeValue::Float(number)) => {
                number.as_str().parse().map_err(|_| format!("is {:?}", number.as_str()))
            }
            // Every number in question is small enough to be exact.
            Self::Toml(DeValue::Integer(_)) => self.whole().map(|number| number as f64),
            Self::Toml(other) => Err(named(other)),
        }
    }
}

// === impl Kind ===

impl Kind {
    /// What the value should be, after "give it".
    pub(super) fn described(self) -> String {
        match self {
            Self::Text | Self::Verbatim | Self::Secret => "text, in quotes in a file".to_owned(),
            Self::Label => "text, in quotes in a file, or a whole number".to_owned(),
            Self::Toggle => "true or false".to_owned(),
            Self::Whole(min, max) => format!("a whole number from {min} to {max}"),
            Self::Fraction => "a number from 0 to 1".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
        }
    }
}

/// Variables that are not UTF-8 reach us with substitutes; a password would be a wrong one.
fn text_without_substitutes(text: &str) -> Result<String, String> {
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err("is not UTF-8".to_owned());
    }
    Ok(text.to_owned())
}

fn named(value: &DeValue<'_>) -> String {
    let name = match value {
        DeValue::String(text) => return format!("is the text {:?}", text.as_ref()),
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    format!("is {name}")
}
