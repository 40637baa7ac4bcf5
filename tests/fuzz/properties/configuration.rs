//! A file, variables and flags → what is in force, or what is wrong.

use std::cell::RefCell;
use std::path::PathBuf;

use crossrank::config::{Errors, Raw, Sources, load};
use tempfile::TempDir;
use toml::{Table, Value};

use super::{fuel, memory};

/// The line between the file, the variables and the flags of an input.
const NEXT: &str = "\n====\n";
/// Keys that name a file or a folder.
const PATHS: [&str; 9] = [
    "model.path",
    "model.expected",
    "context.tokenizer",
    "kafka.security.ca_file",
    "kafka.security.certificate_file",
    "kafka.security.key_file",
    "kafka.security.sasl.password_file",
    "kafka.security.sasl.token_file",
    "admin.token_file",
];
/// Set where it must never be seen again.
const SECRET: &str = "s3cret-Passw0rd";
const SECRETS: [&str; 3] = [
    "CROSSRANK__KAFKA__SECURITY__SASL__PASSWORD",
    "CROSSRANK__KAFKA__CLIENT__SSL_KEY_PASSWORD",
    "CROSSRANK__ADMIN__TOKEN",
];

thread_local! {
    /// A folder for the file, and whether it is there.
    static FOLDER: RefCell<Option<TempDir>> = const { RefCell::new(None) };
}

/// Takes `data` as a file, variables (`NAME=value`, one a line) and flags (`key=value`), with a line of
/// four equals signs between them, and loads that.
///
/// # Panics
/// Where a property does not hold that is promised of any input.
pub(crate) fn run(data: &[u8]) {
    memory::within(fuel::BYTES_MAX, || {
        let text = String::from_utf8_lossy(data);
        let mut parts = text.splitn(3, NEXT);
        let mut part = || parts.next().unwrap_or_default();
        let mut sources = Sources { file: Some(written(part())), ..Sources::default() };
        sources.environment = pairs(part()).collect();
        sources.flags = pairs(part()).map(|(key, value)| (key, value, "--flag")).collect();
        let may_show = text.contains(SECRET);
        if let Some((raw, settings)) = checked(sources.clone(), may_show) {
            assert_read_back(&raw, &settings);
            let is_whole = raw.worker().is_ok();
            assert!(!is_whole || raw.reranking().is_ok() && raw.streaming().is_ok());
        }
        let secrets = SECRETS.map(|name| (name.to_owned(), SECRET.to_owned()));
        sources.environment.extend(secrets);
        sources.file = Some(written(text.split(NEXT).next().unwrap_or_default()));
        checked(sources, may_show);
    });
}

/// The path of a file with this text.
fn written(text: &str) -> PathBuf {
    FOLDER.with_borrow_mut(|folder| {
        let folder = folder.get_or_insert_with(|| tempfile::tempdir().expect("a folder"));
        let path = folder.path().join("worker.toml");
        std::fs::write(&path, text).expect("a file in our own folder");
        path
    })
}

fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    text.lines().filter_map(pair)
}

/// What is loaded, and what is in force as it is shown, where that can be checked here.
fn checked(sources: Sources, may_show: bool) -> Option<(Raw, Table)> {
    let raw = match load(sources) {
        Ok(raw) => raw,
        Err(errors) => {
            assert_told(&errors, may_show);
            return None;
        }
    };
    let shown = raw.effective();
    assert!(may_show || !shown.contains(SECRET), "{shown}");
    let settings: Table = shown.parse().unwrap_or_else(|error| panic!("{error}\n{shown}"));
    let template = settings.get("context").and_then(|context| context.get("template")?.as_str());
    if names_another_place(&settings) || template.is_some_and(fuel::is_beyond) {
        return None;
    }
    if let Err(errors) = raw.worker() {
        assert_told(&errors, may_show);
    }
    Some((raw, settings))
}

/// Whether a path leads out of the working folder: a fuzzer opens no file of its own choice.
fn names_another_place(settings: &Table) -> bool {
    PATHS.iter().any(|key| {
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        let table =
            section.split('.').try_fold(settings, |table, name| table.get(name)?.as_table());
        let path = table.and_then(|table| table.get(name)).and_then(Value::as_str);
        path.is_some_and(|path| path.contains('/'))
    })
}

/// What is in force, given as a file, is in force.
fn assert_read_back(raw: &Raw, settings: &Table) {
    let sources = Sources { file: Some(written(&raw.effective())), ..Sources::default() };
    let again = load(sources).unwrap_or_else(|errors| panic!("{errors}"));
    let read: Table = again.effective().parse().expect("TOML");
    assert_eq!(&read, settings);
}

fn assert_told(errors: &Errors, may_show: bool) {
    let told = errors.to_string();
    assert!(may_show || !told.contains(SECRET), "{told}");
    assert!(!errors.problems().is_empty());
    for problem in errors.problems() {
        assert!(!problem.wrong.is_empty() && !problem.remedy.is_empty(), "{problem:?}");
        assert!(!problem.key.is_empty() || !problem.origin.is_empty(), "{problem:?}");
    }
}
