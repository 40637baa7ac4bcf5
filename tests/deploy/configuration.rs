//! Keys, paths, ports and times of the manifests are those of the worker.

use serde_json::Value;

use crate::files;

const ADMIN_PORT: u64 = 9464;
const IN_TOML: &str = "k8s/base/crossrank.toml";

/// Whether `default.toml` has this key or section, set or in a comment; `None` where it has nothing of the kind.
pub(crate) fn explains(key: &str) -> Option<bool> {
    let defaults = files::read(&files::root().join("src/config/default.toml"));
    if defaults.contains(&format!("[{key}]\n")) {
        return Some(true);
    }
    let (section, name) = key.rsplit_once('.')?;
    let heading = format!("[{section}]\n");
    let below = defaults.split_once(&heading)?.1;
    let of_section = below.split("\n[").next()?;
    Some(of_section.lines().flat_map(keys_of_line).any(|key| key == name))
}

/// `name = value`, `# name: why`, or `# one, or other: why`.
fn keys_of_line(line: &str) -> Vec<&str> {
    let head = line.trim_start_matches("# ").split([':', '=']).next().unwrap_or_default();
    let of_keys = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_, ".contains(c);
    let words: Vec<&str> = head.split([',', ' ']).filter(|word| !word.is_empty()).collect();
    if head.chars().all(of_keys) && words.len() <= 3 { words } else { Vec::new() }
}

fn is_key(key: &str) -> bool {
    explains(key) == Some(true)
}

/// Dotted keys of a table.
fn keys(table: &toml::Table, before: &str, found: &mut Vec<String>) {
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) => keys(inner, &format!("{before}{name}."), found),
            _ => found.push(format!("{before}{name}")),
        }
    }
}

#[test]
fn every_key_of_the_manifests_exists() {
    let mut found = Vec::new();
    let table: toml::Table = files::text(IN_TOML).parse().unwrap();
    keys(&table, "", &mut found);
    for file in ["compose.yaml", "Dockerfile", "k8s/base/deployment.yaml"] {
        for variable in files::text(file).split("CROSSRANK__").skip(1) {
            found.push(files::first_word(variable).to_ascii_lowercase().replace("__", "."));
        }
    }
    assert!(found.len() > 12, "{found:?}");
    for key in found {
        assert!(is_key(&key), "{key} is not in src/config/default.toml");
    }
    // Negative controls.
    assert!(!is_key("kafka.broker") && !is_key("worker.address") && !is_key("nowhere.address"));
}

fn container(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]["containers"][0]
}

#[test]
fn a_worker_has_time_to_finish_before_it_is_killed() {
    let table: toml::Table = files::text(IN_TOML).parse().unwrap();
    let shutdown_ms = table["worker"]["shutdown_timeout_ms"].as_integer().unwrap();
    let defaults = files::read(&files::root().join("src/config/default.toml"));
    assert!(defaults.contains(&format!("\nshutdown_timeout_ms = {shutdown_ms}\n")));

    let deployment = files::document("k8s/base/deployment.yaml");
    let grace = &deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"];
    let grace_ms = grace.as_i64().unwrap() * 1000;
    assert!(grace_ms >= shutdown_ms + 5_000, "{grace_ms} ms for {shutdown_ms} ms and telemetry");

    let compose = files::document("compose.yaml");
    let stop = compose["services"]["crossrank"]["stop_grace_period"].as_str().unwrap();
    let stop_ms = stop.strip_suffix('s').unwrap().parse::<i64>().unwrap() * 1000;
    assert!(stop_ms >= shutdown_ms + 5_000, "{stop}");
}

#[test]
fn probes_ask_the_admin_port_for_what_it_answers() {
    let deployment = files::document("k8s/base/deployment.yaml");
    let container = container(&deployment);
    assert_eq!(container["ports"][0]["containerPort"], ADMIN_PORT);
    let path = |probe: &str| container[probe]["httpGet"]["path"].as_str().unwrap();
    assert_eq!(path("startupProbe"), "/readyz");
    assert_eq!(path("livenessProbe"), "/livez");
    assert_eq!(path("readinessProbe"), "/readyz");
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], container["ports"][0]["name"]);
    }
    let port = ADMIN_PORT.to_string();
    for file in ["Dockerfile", "prometheus.yml", "k8s/base/service.yaml", "compose.yaml", IN_TOML] {
        assert!(files::text(file).contains(&port), "{file}");
    }
    let defaults = files::read(&files::root().join("src/config/default.toml"));
    assert!(defaults.contains(&format!("\naddress = \"127.0.0.1:{port}\"\n")));
}

#[test]
fn a_pod_has_no_rights_that_it_does_not_need() {
    let deployment = files::document("k8s/base/deployment.yaml");
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let context = &container(&deployment)["securityContext"];
    assert_eq!(context["allowPrivilegeEscalation"], false);
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(context["capabilities"]["drop"], serde_json::json!(["ALL"]));
    // The same user as in the image, which is a number, as runAsNonRoot asks.
    let user = pod["securityContext"]["runAsUser"].as_u64().unwrap();
    assert_eq!(files::text("Dockerfile").matches(&format!("USER {user}:{user}\n")).count(), 2);
}

#[test]
fn an_image_computes_on_a_card_or_says_that_it_has_none_and_may_write_where_models_go() {
    let dockerfile = files::text("Dockerfile");
    let (gpu, cpu) = dockerfile.split_once(" AS cpu\n").unwrap();
    let (_, gpu) = gpu.split_once(" AS gpu\n").unwrap();
    // Mesa's driver for the processor comes with those for cards.
    assert!(gpu.contains("mesa-vulkan-drivers"));
    assert!(gpu.contains("&& rm /usr/share/vulkan/icd.d/lvp_icd*.json"));
    assert!(gpu.contains("--owner=65532 --group=65532 /var/cache/crossrank\n"));
    assert!(cpu.contains("--chown=65532:65532 /out/crossrank /var/cache/crossrank\n"));
}

#[test]
fn the_scaler_asks_for_the_group_and_topic_that_workers_read() {
    let defaults = files::read(&files::root().join("src/config/default.toml"));
    let scaler = &files::yaml("k8s/keda/scaledobject.yaml")[0];
    let trigger = &scaler["spec"]["triggers"][0]["metadata"];
    for (key, value) in [("group", "consumerGroup"), ("input_topic", "topic")] {
        let value = trigger[value].as_str().unwrap();
        assert!(defaults.contains(&format!("\n{key} = \"{value}\"\n")), "{key} is not {value}");
    }
    let table: toml::Table = files::text(IN_TOML).parse().unwrap();
    assert_eq!(trigger["bootstrapServers"].as_str(), table["kafka"]["brokers"].as_str());
}
