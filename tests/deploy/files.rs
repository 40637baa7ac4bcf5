//! The files of deploy/, read strictly.

use std::path::{Path, PathBuf};

use serde_json::Value;

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The content of a file below deploy/.
pub(crate) fn text(name: &str) -> String {
    read(&root().join("deploy").join(name))
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The documents of a YAML file below deploy/. Keys that stand twice are an error of the parser.
pub(crate) fn yaml(name: &str) -> Vec<Value> {
    let documents = serde_saphyr::from_multiple(&text(name));
    documents.unwrap_or_else(|error| panic!("deploy/{name}: {error}"))
}

/// The one document of a YAML file below deploy/.
pub(crate) fn document(name: &str) -> Value {
    let mut documents = yaml(name);
    assert_eq!(documents.len(), 1, "deploy/{name} has one document");
    documents.remove(0)
}

pub(crate) fn json(name: &str) -> Value {
    serde_json::from_str(&text(name)).unwrap_or_else(|error| panic!("deploy/{name}: {error}"))
}

/// Every file below deploy/, by its path from there.
pub(crate) fn all() -> Vec<String> {
    let folder = root().join("deploy");
    let mut found = Vec::new();
    let mut folders = vec![folder.clone()];
    while let Some(inner) = folders.pop() {
        for entry in std::fs::read_dir(&inner).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&folder).unwrap().to_str().unwrap();
                found.push(name.to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Every text that stands under one of these names, however deep.
pub(crate) fn under<'a>(value: &'a Value, names: &[&str]) -> Vec<&'a str> {
    let mut found = Vec::new();
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if names.contains(&name.as_str()) => {
                        found.push(text.as_str())
                    }
                    _ => found.extend(under(value, names)),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| found.extend(under(item, names))),
        _ => {}
    }
    found
}

/// Letters, digits and underscores that `text` begins with.
pub(crate) fn first_word(text: &str) -> &str {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default()
}
