//! Alerts name what there is, and tell a person what to do.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{files, metrics, unknown, unknown_values};

fn alerts() -> Vec<Value> {
    let rules = files::document("alerts.yaml");
    let groups = rules["groups"].as_array().unwrap().clone();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn name(alert: &Value) -> &str {
    alert["alert"].as_str().unwrap()
}

#[test]
fn every_series_and_label_of_the_alerts_exists() {
    let series = metrics::series();
    let mut wrong = Vec::new();
    for alert in alerts() {
        wrong.extend(unknown(name(&alert), alert["expr"].as_str().unwrap(), &series));
        for text in files::under(&alert["annotations"], &["summary", "description"]) {
            for label in text.split("$labels.").skip(1) {
                let label = files::first_word(label);
                if !series.values().flatten().any(|known| known == label) {
                    wrong.push(format!("{}: nothing has a label {label}", name(&alert)));
                }
            }
        }
    }
    let tests = files::document("alerts.test.yaml");
    for input in files::under(&tests, &["series"]) {
        wrong.extend(unknown("alerts.test.yaml", input, &series));
    }
    // What is expected: alerts with the labels of their series.
    for expected in files::under(&tests, &["labels"]) {
        wrong.extend(unknown_values("alerts.test.yaml", expected));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_alert_says_how_urgent_it_is_what_it_means_and_what_to_do() {
    for alert in alerts() {
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{}", name(&alert));
        let annotation = |key: &str| {
            let text = alert["annotations"][key].as_str();
            text.unwrap_or_else(|| panic!("{} has no {key}", name(&alert))).to_owned()
        };
        assert!(!annotation("summary").ends_with('.'), "{}: a summary is a title", name(&alert));
        assert!(annotation("description").ends_with('.'), "{}", name(&alert));
        let runbook = annotation("runbook");
        for part in ["Means: ", ". Look at: ", ". Do: "] {
            assert!(runbook.contains(part), "{}: {part:?} is not in the runbook", name(&alert));
        }
    }
}

#[test]
fn every_alert_has_a_test_and_a_place_in_the_guide_and_there_are_no_others() {
    let alerts: BTreeSet<String> = alerts().iter().map(|alert| name(alert).to_owned()).collect();
    let tests = files::text("alerts.test.yaml");
    let guide = files::read(&files::root().join("docs/operations.md"));
    let of_guide: BTreeSet<String> = guide
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .filter(|title| title.starts_with("Crossrank"))
        .map(str::to_owned)
        .collect();
    assert_eq!(alerts, of_guide, "docs/operations.md has a heading for each alert");
    for alert in alerts {
        let expected = format!("alertname=\"{alert}\", alertstate=\"firing\"");
        let grouped = format!("alertstate=\"firing\", alertname=\"{alert}\"");
        let is_tested = tests.contains(&expected) || tests.contains(&grouped);
        assert!(is_tested, "no test of alerts.test.yaml has {alert} fire");
    }
}
