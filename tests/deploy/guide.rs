//! The guide names keys, series and commands that there are.

use crate::{configuration, files, metrics};

fn guide() -> String {
    files::read(&files::root().join("docs/operations.md"))
}

/// What stands between back quotes outside blocks.
fn quoted(text: &str) -> Vec<&str> {
    let outside = text.split("```").step_by(2);
    outside.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn every_key_of_the_guide_exists() {
    let guide = guide();
    let mut keys = 0;
    for word in quoted(&guide) {
        // kafka.group, or kafka.group = "…"
        let key = word.split([' ', '=']).next().unwrap();
        // What has no such section is no key: a file, a header, a setting of the brokers.
        if let Some(explained) = configuration::explains(key) {
            assert!(explained, "{key} is not in src/config/default.toml");
            keys += 1;
        }
    }
    assert!(keys > 20, "only {keys} keys were found");
}

#[test]
fn every_series_of_the_guide_exists() {
    let (guide, series) = (guide(), metrics::series());
    let mut found = 0;
    for word in quoted(&guide) {
        let name = word.split(['{', ' ']).next().unwrap();
        if !name.starts_with("crossrank_") && !name.starts_with("messaging_") {
            continue;
        }
        // A histogram goes by its name.
        let is_series = series.contains_key(name) || series.contains_key(&format!("{name}_bucket"));
        assert!(is_series, "there is no series {name}");
        found += 1;
    }
    assert!(found > 15, "only {found} series were found");
}

#[test]
fn every_command_of_the_guide_exists() {
    let guide = guide();
    let mut found = 0;
    for call in guide.split("crossrank ").skip(1) {
        let command = call.split(|c: char| !c.is_ascii_lowercase()).next().unwrap();
        // Prose has the name, too; a command is followed by a flag, or stands in back quotes.
        let behind = call.strip_prefix(command).unwrap();
        if command.is_empty() || !(behind.starts_with(" --") || behind.starts_with('`')) {
            continue;
        }
        found += 1;
        let mut help = std::process::Command::new(env!("CARGO_BIN_EXE_crossrank"));
        let output = help.args([command, "--help"]).output().unwrap();
        assert!(output.status.success(), "there is no command {command}");
        let help = String::from_utf8(output.stdout).unwrap();
        let line = call.split(['`', '\n']).next().unwrap();
        for flag in line.split(' ').filter(|word| word.starts_with("--")) {
            assert!(help.contains(flag), "{command} has no {flag}");
        }
    }
    assert!(found > 5, "only {found} commands were found");
}
