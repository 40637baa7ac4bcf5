use std::collections::BTreeMap;

use config::ValueKind;

use super::keys::{self, CLIENT, KEYS};
use super::load::Setting;

/// All settings as TOML, in the order of the keys. Reading it back gives the same configuration,
/// but for the secrets.
pub(super) fn toml(settings: &BTreeMap<String, Setting>) -> String {
    let mut lines = Vec::new();
    let mut current = "";
    for key in KEYS {
        let (section, name) = key.name.rsplit_once('.').unwrap_or(("", key.name));
        if section != current {
            if current == "kafka.security.sasl" {
                client(settings, &mut lines);
            }
            lines.push(format!("{}[{section}]", if current.is_empty() { "" } else { "\n" }));
            current = section;
        }
        lines.push(match settings.get(key.name) {
            Some(setting) => format!("{name} = {}", valued(setting)),
            None => format!("# {name} is not set"),
        });
    }
    lines.push(String::new());
    lines.join("\n")
}

fn client(settings: &BTreeMap<String, Setting>, lines: &mut Vec<String>) {
    lines.push(format!("\n[{CLIENT}]"));
    for (name, setting) in settings {
        if let Some(property) = keys::below(name, CLIENT) {
            lines.push(format!("{} = {}", quoted(&ValueKind::from(property)), valued(setting)));
        }
    }
}

fn valued(Setting { shown, origin }: &Setting) -> String {
    // The name of a file may hold anything, a comment no control characters.
    let origin = origin.replace(char::is_control, "\u{fffd}");
    format!("{} # {origin}", quoted(shown))
}

fn quoted(value: &ValueKind) -> String {
    match value {
        // JSON's escapes are TOML's, and keep the text on one line, so that a comment can follow. Only
        // DEL, which JSON leaves as it is, must be escaped as well.
        ValueKind::String(text) => {
            serde_json::Value::from(text.as_str()).to_string().replace('\u{7f}', "\\u007f")
        }
        ValueKind::Float(number) => format!("{number:?}"),
        other => other.to_string(),
    }
}
