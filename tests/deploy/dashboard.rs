//! The dashboard names what there is, and explains it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{files, metrics, unknown};

const DASHBOARD: &str = "grafana/dashboards/crossrank.json";

fn panels(dashboard: &Value) -> Vec<&Value> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels.filter(|panel| panel["type"] != "row").collect()
}

#[test]
fn every_series_and_label_of_the_dashboard_exists() {
    let series = metrics::series();
    let dashboard = files::json(DASHBOARD);
    let mut wrong = Vec::new();
    let mut expressions = 0;
    for expression in files::under(&dashboard, &["expr"]) {
        wrong.extend(unknown("dashboard", expression, &series));
        expressions += 1;
    }
    assert!(expressions > 40, "only {expressions} expressions were found");
    let is_label = |label: &str| series.values().flatten().any(|known| known == label);
    for legend in files::under(&dashboard, &["legendFormat"]) {
        for label in legend.split("{{").skip(1) {
            let label = label.split("}}").next().unwrap();
            if !is_label(label) {
                wrong.push(format!("a legend has {label}, which is no label"));
            }
        }
    }
    // label_values(series, label)
    for query in files::under(&dashboard["templating"], &["definition"]) {
        let inner = query.strip_prefix("label_values(").and_then(|inner| inner.strip_suffix(')'));
        let (of, label) = inner.and_then(|inner| inner.rsplit_once(", ")).unwrap();
        wrong.extend(unknown("variable", of, &series));
        if !series[of].iter().any(|known| known == label) {
            wrong.push(format!("{of} has no label {label}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    let dashboard = files::json(DASHBOARD);
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().unwrap();
        let description = panel["description"].as_str().unwrap_or_default();
        assert!(description.ends_with('.'), "{title}: {description:?}");
        if ["stat", "timeseries"].contains(&panel["type"].as_str().unwrap()) {
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
    }
}

#[test]
fn panels_lie_beside_one_another_and_have_ids_of_their_own() {
    let dashboard = files::json(DASHBOARD);
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = &panel["title"];
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{title}");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{title} lies on another panel");
            }
        }
    }
}

#[test]
fn data_sources_of_the_dashboard_are_provisioned() {
    let provisioned = files::document("grafana/provisioning/datasources/datasources.yaml");
    let uids: Vec<&str> = files::under(&provisioned["datasources"], &["uid"]);
    let default = &files::json(DASHBOARD)["templating"]["list"][0]["current"]["value"];
    assert!(uids.contains(&default.as_str().unwrap()), "{default} is not among {uids:?}");
}
