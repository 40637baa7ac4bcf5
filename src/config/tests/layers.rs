use super::{COMPLETE, Given, effective};
use crate::config::{Sources, load};

#[test]
fn later_layers_override_earlier_ones() {
    let defaults = Given::default().flag("kafka.brokers", "b:1").flag("model.path", ".");
    assert_eq!(defaults.worker().worker.sets_max, 256);
    let file = Given::default().file(&format!("{COMPLETE}[worker]\nsets_max = 3\n"));
    assert_eq!(file.worker().worker.sets_max, 3);
    let variable = file.variable("CROSSRANK__WORKER__SETS_MAX", "4");
    assert_eq!(variable.worker().worker.sets_max, 4);
    let flag = variable.flag("worker.sets_max", "5");
    assert_eq!(flag.worker().worker.sets_max, 5);
}

#[test]
fn text_of_digits_in_the_environment_stays_text() {
    let config = Given::default()
        .file(COMPLETE)
        .variable("CROSSRANK__KAFKA__GROUP", "007")
        .variable("CROSSRANK__KAFKA__SECURITY__SASL__MECHANISM", "scram-sha-512")
        .variable("CROSSRANK__KAFKA__SECURITY__SASL__USERNAME", "true")
        .variable("CROSSRANK__KAFKA__SECURITY__SASL__PASSWORD", "1e3")
        .variable("CROSSRANK__CONTEXT__SEPARATOR", "")
        .worker();
    assert_eq!(config.kafka.group, "007");
    assert_eq!(config.reranking.context.unwrap().separator, "");
    let Some(crate::kafka::Sasl::ScramSha512(credentials)) = config.kafka.security.sasl else {
        panic!("not SCRAM-SHA-512")
    };
    assert_eq!(credentials.username, "true");
    assert_eq!(credentials.password.0, "1e3");
}

#[test]
fn variables_of_others_are_not_looked_at() {
    let given = Given::default()
        .file(COMPLETE)
        .variable("CROSSRANK_TEST_BROKERS", "b:9092")
        .variable("CROSSRANKER__GROUP", "x")
        .variable("KAFKA__GROUP", "x");
    assert_eq!(given.problems(), [""; 0]);
}

#[test]
fn variables_that_are_nearly_ours_get_their_right_name() {
    let cases = [
        ("CROSSRANK_MODEL__PATH", "model.path", "CROSSRANK__MODEL__PATH"),
        ("crossrank__model__backend", "model.backend", "CROSSRANK__MODEL__BACKEND"),
        ("CrossRank_Kafka__Group", "kafka.group", "CROSSRANK__KAFKA__GROUP"),
        ("CROSSRANK__rank__top_n", "rank.top_n", "CROSSRANK__RANK__TOP_N"),
        (
            "CROSSRANK_KAFKA__CLIENT__LINGER_MS",
            "kafka.client.linger_ms",
            "CROSSRANK__KAFKA__CLIENT__LINGER_MS",
        ),
    ];
    for (variable, key, right) in cases {
        let given = Given::default().file(COMPLETE).variable(variable, "x");
        let printed = given.printed();
        assert!(printed.starts_with("configuration has 1 problem:"), "{printed}");
        assert!(printed.contains(&format!("{key}: ")), "{printed}");
        assert!(printed.contains(&format!("environment variable {variable}\n")), "{printed}");
        assert!(printed.ends_with(&format!(" {right}")), "{printed}");
    }
    let alone = Given::default().variable("CROSSRANK_MODEL__PATH", ".");
    let keys: Vec<_> = alone.problems().into_iter().filter(|p| p.starts_with("model")).collect();
    assert_eq!(keys.len(), 1, "a value that is not read is not missing too: {keys:?}");
}

#[test]
fn wrong_type_in_the_environment_names_the_variable() {
    let given = Given::default().file(COMPLETE).variable("CROSSRANK__WORKER__SETS_MAX", "abc");
    let printed = given.printed();
    assert!(printed.contains("worker.sets_max: is \"abc\""), "{printed}");
    assert!(printed.contains("environment variable CROSSRANK__WORKER__SETS_MAX"), "{printed}");
}

#[test]
fn five_mistakes_of_a_file_are_reported_together() {
    let given = Given::default().file(
        r#"[kafka]
brokers = "kafka-1"
groop = "rerankers"
drain_timeout_ms = 60000

[model]
path = "."
backend = "cuda"

[worker]
sets_max = "many"
"#,
    );
    let expected = r#"configuration has 5 problems:
  1. kafka.groop: is not a key
     from worker.toml, line 3
     fix: did you mean kafka.group?
  2. model.backend: is "cuda"
     from worker.toml, line 8
     fix: give it one of flex, ndarray, wgpu
  3. worker.sets_max: is the text "many"
     from worker.toml, line 11
     fix: give it a whole number from 1 to 1000000
  4. kafka.brokers: "kafka-1" is not host:port
     from worker.toml, line 2
     fix: write host:port, comma separated, such as kafka-1:9092,kafka-2:9092
  5. kafka.drain_timeout_ms: 60000 is not less than kafka.session_timeout_ms, 45000
     from worker.toml, line 4
     fix: set it to half of kafka.session_timeout_ms or so"#;
    assert_eq!(given.printed(), expected);
}

#[test]
fn mistakes_of_all_layers_are_reported_together() {
    let given = Given::default()
        .file("[kafka]\ngroup = 5\n")
        .variable("CROSSRANK__KAFKA__BROKER", "b:9092")
        .flag("rank.top_n", "0");
    let expected = [
        "kafka.group: is an integer, not text",
        "kafka.broker: is not a key",
        "rank.top_n: is 0, out of range",
        "kafka.brokers: is missing",
    ];
    assert_eq!(given.problems(), expected);
}

#[test]
fn unknown_names_get_a_suggestion() {
    let cases = [
        ("top_n = 3", "top_n: is not a key", "did you mean rank.top_n?"),
        ("[kafak]\ngroup = \"x\"\nbrokers = \"b:1\"", "kafak: is not a section", "[kafka]?"),
        ("[worker]\ncolour = 1", "worker.colour: is not a key", "the keys are output_topic, "),
        ("worker = 1", "worker: is a section, not a value", "[worker]"),
        ("[kafka.group]\nx = 1", "kafka.group: is a value, not a section", "text"),
        ("colour = 1", "colour: is not a key", "the sections are kafka, model, engine, "),
    ];
    for (text, wrong, remedy) in cases {
        let given = Given::default()
            .file(text)
            .variable("CROSSRANK__KAFKA__BROKERS", "b:1")
            .variable("CROSSRANK__MODEL__PATH", ".");
        assert_eq!(given.problems(), [wrong]);
        assert!(given.printed().contains(remedy), "{}", given.printed());
    }
    let variable = Given::default().file(COMPLETE).variable("CROSSRANK__KAFKA__GROOP", "x");
    let printed = variable.printed();
    assert!(printed.contains("did you mean CROSSRANK__KAFKA__GROUP?"), "{printed}");
}

#[test]
fn client_properties_reach_kafka_from_every_layer() {
    let config = Given::default()
        .file(&format!(
            "{COMPLETE}[kafka.client]\n\"socket.keepalive.enable\" = true\nlinger.ms = 5\n"
        ))
        .variable("CROSSRANK__KAFKA__CLIENT__CLIENT_RACK", "007")
        .flag("kafka.client.debug", "cgrp")
        .worker();
    let properties: Vec<_> =
        config.kafka.client.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let expected = [
        ("client.rack", "007"),
        ("debug", "cgrp"),
        ("linger.ms", "5"),
        ("socket.keepalive.enable", "true"),
    ];
    assert_eq!(properties, expected);
}

#[test]
fn client_properties_that_carry_a_guarantee_are_refused_in_every_layer() {
    let given = Given::default()
        .file(&format!("{COMPLETE}[kafka.client]\nenable.auto.commit = true\n"))
        .variable("CROSSRANK__KAFKA__CLIENT__GROUP_ID", "x")
        .variable("CROSSRANK__KAFKA__CLIENT__LOG_LEVEL", "7")
        .flag("kafka.client.acks", "1");
    let expected = [
        "kafka.client.enable.auto.commit: may not be set: an offset is committed only once its answer is acknowledged",
        "kafka.client.group.id: may not be set: use kafka.group",
        "kafka.client.log_level: may not be set: use log.filter, such as info,crossrank::kafka::client=debug",
        "kafka.client.acks: may not be set: an answer counts once every in-sync replica has it",
    ];
    assert_eq!(given.problems(), expected);
}

#[test]
fn client_properties_that_cannot_exist_are_refused() {
    let given = Given::default()
        .file(&format!("{COMPLETE}[kafka.client]\nLinger = 5\ndebug = [\"cgrp\"]\n"))
        .variable("CROSSRANK__KAFKA__CLIENT__", "x");
    let expected = [
        "kafka.client.Linger: is not the name of a librdkafka property",
        "kafka.client.debug: is a list",
        "kafka.client.: is not the name of a librdkafka property",
    ];
    assert_eq!(given.problems(), expected);
}

#[test]
fn spaces_in_the_broker_list_are_dropped() {
    let given = Given::default().file(COMPLETE).flag("kafka.brokers", "a:1, [::1]:2");
    assert_eq!(given.worker().kafka.brokers, "a:1,[::1]:2");
}

#[test]
fn file_that_cannot_be_read_is_named() {
    let sources = Sources { file: Some("no/such.toml".into()), ..Sources::default() };
    let printed = load(sources).unwrap_err().to_string();
    assert!(printed.contains("cannot be read") && printed.contains("no/such.toml"), "{printed}");
}

#[test]
fn effective_configuration_reads_back_as_itself() {
    let first = Given::default()
        .file(&format!("{COMPLETE}[kafka.client]\nlinger.ms = 5\n"))
        .variable("CROSSRANK__RANK__MIN_SCORE", "0.25")
        .raw();
    let again = Given::default().file(&first.effective()).raw();
    assert_eq!(again.problems, []);
    assert_eq!(effective(&again), effective(&first));
    let text = first.effective();
    let line = "min_score = 0.25 # environment variable CROSSRANK__RANK__MIN_SCORE\n";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("sets_max = 256 # default.toml\n"), "{text}");
    assert!(text.contains("# top_n is not set\n"), "{text}");
}

#[test]
fn effective_configuration_reads_back_whatever_characters_are_in_it() {
    let mut given = Given::default();
    let separator = "\u{7f}\u{85}\u{1b}\r\n\t\"\\\u{2028}";
    let file = given.in_folder("line\nbreak\u{7f}.toml", "[kafka]\ngroup = \"g\"\n");
    given.sources.file = Some(file);
    let first = given.flag("context.separator", separator).raw();
    let again = Given::default().file(&first.effective()).raw();
    assert_eq!(again.values.context.separator, separator);
    assert_eq!(effective(&again), effective(&first));
}
