//! What deploy/ and docs/operations.md say of the worker is so. `tests/deploy/validate` runs the tools that read the
//! files.

mod alerts;
mod configuration;
mod dashboard;
mod files;
mod guide;
mod metrics;
mod promql;

use std::collections::BTreeMap;

use crossrank::telemetry;

/// What `expression` names and no worker has. `context` is for people.
fn unknown(context: &str, expression: &str, series: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let names = promql::names(expression);
    let mut wrong = Vec::new();
    let mut labels_of_all = Vec::new();
    for (name, chosen_by) in &names.series {
        let Some(labels) = series.get(name) else {
            wrong.push(format!("{context}: there is no series {name:?}, in {expression}"));
            continue;
        };
        for label in chosen_by.iter().map(|chosen| &chosen.label) {
            if !labels.contains(label) {
                wrong.push(format!("{context}: {name} has no label {label}, in {expression}"));
            }
        }
        labels_of_all.extend(labels);
    }
    for label in names.grouped_by.iter().filter(|label| !labels_of_all.contains(label)) {
        wrong.push(format!("{context}: nothing has a label {label}, in {expression}"));
    }
    wrong.extend(unknown_values(context, expression));
    wrong
}

/// Values of labels that no worker gives them.
fn unknown_values(context: &str, expression: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for matcher in promql::names(expression).series.into_iter().flat_map(|(_, chosen)| chosen) {
        let known = telemetry::label_values(&matcher.label);
        let (Some(known), Some(words)) = (known, matcher.words()) else { continue };
        for word in words.into_iter().filter(|word| !known.contains(word)) {
            let label = &matcher.label;
            wrong.push(format!("{context}: {label} is never {word:?}, in {expression}"));
        }
    }
    wrong
}

#[test]
fn every_file_is_sound() {
    let mut read = 0;
    for name in files::all() {
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("yaml" | "yml") => drop(files::yaml(&name)),
            Some("json") => drop(files::json(&name)),
            Some("toml") => drop(toml::from_str::<toml::Table>(&files::text(&name)).unwrap()),
            _ => continue,
        }
        read += 1;
    }
    assert!(read >= 15, "only {read} files were read");
}

/// Negative control of all that looks for names.
#[test]
fn a_series_or_label_that_is_not_there_is_reported() {
    let series = metrics::series();
    let reported = |expression: &str| unknown("here", expression, &series).join("\n");
    assert_eq!(reported("sum by (instance) (rate(crossrank_cache_hits_total[5m]))"), "");
    assert!(reported("crossrank_cache_hit_total").contains("\"crossrank_cache_hit_total\""));
    assert!(reported("crossrank_cache_hits").contains("\"crossrank_cache_hits\""));
    assert!(reported("crossrank_consumer_lag{partition=\"0\"}").contains("no label partition"));
    assert!(reported("sum by (topic) (crossrank_consumer_lag)").contains("a label topic"));
    assert!(reported("messaging_process_duration_seconds_sum{le=\"1\"}").contains("no label le"));
    assert_eq!(reported("crossrank_dead_letters_total{crossrank_code=~\"$code\"}"), "");
    let outcomes = |op, values| {
        reported(&format!("crossrank_transactions_total{{crossrank_outcome{op}\"{values}\"}}"))
    };
    assert_eq!(outcomes("=~", "committed|aborted"), "");
    for op in ["=", "!=", "=~", "!~"] {
        assert!(outcomes(op, "abandoned").contains("is never \"abandoned\""), "{op}");
    }
    assert!(outcomes("=~", "aborted|abandoned").contains("is never \"abandoned\""));
    assert!(reported("{job=\"crossrank\"}").contains("no series \"\""));
}
