use super::{COMPLETE, Given};
use crate::hub::Source;

fn problems(text: &str) -> Vec<String> {
    Given::default().file(COMPLETE).layered(text).problems()
}

// === impl Given ===

impl Given {
    /// `key=value` flags, separated by spaces.
    fn layered(mut self, text: &str) -> Self {
        for (key, value) in text.split_whitespace().filter_map(|flag| flag.split_once('=')) {
            self = self.flag(key, value);
        }
        self
    }
}

#[test]
fn contradictions_between_keys_are_found() {
    let cases = [
        (
            "model.precision=f16",
            "model.precision: f16 is nothing that model.backend = \"flex\" computes in",
        ),
        (
            "model.precision=bf16 model.backend=ndarray",
            "model.precision: bf16 is nothing that model.backend = \"ndarray\" computes in",
        ),
        (
            "kafka.drain_timeout_ms=45000",
            "kafka.drain_timeout_ms: 45000 is not less than kafka.session_timeout_ms, 45000",
        ),
        (
            "kafka.drain_timeout_ms=300000 kafka.session_timeout_ms=200000",
            "kafka.drain_timeout_ms: 300000 is not less than kafka.rebalance_timeout_ms, 300000",
        ),
        (
            "kafka.drain_timeout_ms=300000",
            "kafka.drain_timeout_ms: 300000 is not less than kafka.rebalance_timeout_ms, 300000",
        ),
        (
            "kafka.session_timeout_ms=300001",
            "kafka.session_timeout_ms: 300001 is more than kafka.rebalance_timeout_ms, 300000",
        ),
        (
            "kafka.group_protocol=consumer kafka.session_timeout_ms=45000",
            "kafka.session_timeout_ms: has no effect with kafka.group_protocol = \"consumer\"",
        ),
        (
            "kafka.client.reconnect.backoff.max.ms=7501",
            "kafka.watchdog_timeout_ms: 15000 is less than twice kafka.client.reconnect.backoff.max.ms, 7501",
        ),
        (
            "kafka.transaction_records=50",
            "kafka.transaction_records: has no effect with kafka.delivery = \"at-least-once\"",
        ),
        (
            "kafka.delivery=exactly-once kafka.commit_interval_ms=50",
            "kafka.commit_interval_ms: has no effect with kafka.delivery = \"exactly-once\"",
        ),
        (
            "kafka.delivery=exactly-once kafka.keep_completed=true",
            "kafka.keep_completed: has no effect with kafka.delivery = \"exactly-once\"",
        ),
        (
            "kafka.delivery=exactly-once kafka.transaction_interval_ms=30000",
            "kafka.transaction_interval_ms: 30000 is not less than kafka.transaction_timeout_ms, 30000",
        ),
        (
            "kafka.delivery=exactly-once kafka.transaction_records=257",
            "kafka.transaction_records: 257 is more than worker.sets_max, 256, so that many never wait",
        ),
        (
            "worker.retry_wait_min_ms=30001",
            "worker.retry_wait_min_ms: 30001 is more than worker.retry_wait_max_ms, 30000",
        ),
        (
            "limits.candidates_max=10001",
            "limits.candidates_max: 10001 is more than limits.candidates_refused_above, 10000",
        ),
        (
            "model.query_tokens_max=61 model.tokens_max=64",
            "model.query_tokens_max: 61 leaves no room for a passage in model.tokens_max, 64",
        ),
        (
            "limits.record_bytes_max=8388608",
            "kafka.record_bytes_max: 8388608 cannot hold the dead letter of an input of limits.record_bytes_max, 8388608",
        ),
        (
            "worker.output_topic=x worker.dead_letter_topic=x",
            "worker.dead_letter_topic: x is worker.output_topic too",
        ),
        (
            "kafka.input_topic=crossrank.context.v1",
            "worker.output_topic: crossrank.context.v1 is kafka.input_topic too",
        ),
        ("kafka.input_topic=a/b", "kafka.input_topic: \"a/b\" is not a legal topic name"),
        ("worker.output_topic=..", "worker.output_topic: \"..\" is not a legal topic name"),
        ("kafka.brokers=a:1,b", "kafka.brokers: \"b\" is not host:port"),
        ("kafka.brokers=a:1,", "kafka.brokers: \"\" is not host:port"),
        ("kafka.brokers=a:70000", "kafka.brokers: \"a:70000\" is not host:port"),
        ("kafka.brokers=http://a:1", "kafka.brokers: \"http://a:1\" is not host:port"),
        ("kafka.brokers=::1:9092", "kafka.brokers: \"::1:9092\" is not host:port"),
        ("worker.late=drop", "worker.late: is \"drop\""),
        ("worker.deadline_reserve_ms=-1", "worker.deadline_reserve_ms: is -1, out of range"),
        ("rank.min_score=1.5", "rank.min_score: is 1.5, out of range"),
        ("rank.min_score=NaN", "rank.min_score: is NaN, out of range"),
        ("worker.sets_max=0", "worker.sets_max: is 0, out of range"),
        (
            "log.filter=infoo",
            "log.filter: log filter \"infoo\" holds \"infoo\", which is no level; write infoo=trace for a target",
        ),
        (
            "context.template={{titel}}",
            "context.template: the template for a passage names \"titel\"; it can use number, id, title, text, source and score",
        ),
        (
            "context.tokenizer=no/such.json",
            "context.tokenizer: no/such.json cannot be read: No such file or directory (os error 2)",
        ),
        ("context.tokenizer=src", "context.tokenizer: src is not a file"),
        (
            "model.path=no/such",
            "model.path: no/such cannot be read: No such file or directory (os error 2)",
        ),
        (
            "model.path=Cargo.toml",
            "model.path: Cargo.toml cannot be read: Not a directory (os error 20)",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(text), [expected], "{text}");
    }
}

#[test]
fn security_settings_that_do_not_fit_together_are_found() {
    let cases: [(&str, &[&str]); 9] = [
        (
            "kafka.security.ca_file=Cargo.toml",
            &["ca_file: has no effect while kafka.security.tls is false"],
        ),
        ("tls=true certificate_file=Cargo.toml", &["key_file: is missing"]),
        ("tls=true key_file=Cargo.toml", &["certificate_file: is missing"]),
        ("sasl.username=u", &["sasl.username: has no effect: no mechanism is set"]),
        ("sasl.mechanism=plain", &["sasl.username: is missing", "sasl.password: is missing"]),
        ("sasl.mechanism=scram-sha-256 sasl.password=p", &["sasl.username: is missing"]),
        ("sasl.mechanism=oauthbearer", &["sasl.token_file: is missing"]),
        (
            "sasl.mechanism=oauthbearer sasl.token_file=Cargo.toml sasl.password=p",
            &["sasl.password: has no effect: the mechanism is oauthbearer"],
        ),
        (
            "sasl.mechanism=plain sasl.username=u sasl.password=p sasl.token_file=Cargo.toml",
            &["sasl.token_file: has no effect: only oauthbearer takes a token"],
        ),
    ];
    for (text, expected) in cases {
        let flags: Vec<String> = text
            .split(' ')
            .map(|flag| format!("kafka.security.{}", flag.trim_start_matches("kafka.security.")))
            .collect();
        let found = problems(&flags.join(" "));
        let expected: Vec<String> =
            expected.iter().map(|problem| format!("kafka.security.{problem}")).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn remedy_for_a_key_without_effect_fits_the_mechanism() {
    let token = "kafka.security.sasl.token_file=Cargo.toml";
    let plain = "kafka.security.sasl.mechanism=plain kafka.security.sasl.username=u \
                 kafka.security.sasl.password=p";
    let cases = [
        (token.to_owned(), "remove it, or set kafka.security.sasl.mechanism"),
        (format!("{plain} {token}"), "remove it, or set the mechanism to oauthbearer"),
        (
            format!(
                "{token} kafka.security.sasl.mechanism=oauthbearer kafka.security.sasl.username=u"
            ),
            "remove it, or set the mechanism to plain, scram-sha-256 or scram-sha-512",
        ),
    ];
    for (text, remedy) in cases {
        let errors = Given::default().file(COMPLETE).layered(&text).raw().worker().unwrap_err();
        let remedies: Vec<_> = errors.problems().iter().map(|p| p.remedy.as_str()).collect();
        assert_eq!(remedies, [remedy], "{text}");
    }
}

#[test]
fn template_that_does_not_compile_is_found() {
    let given = Given::default().file(COMPLETE).flag("context.template", "{{ text");
    let [problem] = &given.problems()[..] else { panic!("not one problem") };
    assert!(
        problem.starts_with("context.template: the template for a passage cannot be read: "),
        "{problem}"
    );
}

#[test]
fn key_of_the_wrong_type_takes_no_part_in_relations() {
    let text = "kafka.session_timeout_ms=soon kafka.drain_timeout_ms=200000";
    assert_eq!(problems(text), ["kafka.session_timeout_ms: is \"soon\""]);
    let text = "kafka.security.sasl.mechanism=gssapi kafka.security.sasl.username=u";
    assert_eq!(problems(text), ["kafka.security.sasl.mechanism: is \"gssapi\""]);
}

#[test]
fn default_of_the_query_gives_way_to_a_short_pair_but_a_set_one_does_not() {
    let short = Given::default().file(COMPLETE).layered("model.tokens_max=64");
    assert_eq!(short.worker().reranking.engine.query_tokens_max, 16);
    let line = "query_tokens_max = 16 # a quarter of model.tokens_max\n";
    assert!(short.raw().effective().contains(line), "{}", short.raw().effective());
    let usual = Given::default().file(COMPLETE).layered("model.tokens_max=512");
    assert_eq!(usual.worker().reranking.engine.query_tokens_max, 128);
    let set =
        Given::default().file(COMPLETE).layered("model.tokens_max=64 model.query_tokens_max=60");
    assert_eq!(set.worker().reranking.engine.query_tokens_max, 60);
}

#[test]
fn files_are_reranked_by_the_policy_of_a_worker() {
    use crate::worker::{Deadlines, LatePolicy};
    let given = Given::default().file(COMPLETE);
    let reserve = std::time::Duration::from_millis(20);
    let expected = Deadlines { late: LatePolicy::Partial, reserve };
    assert_eq!(given.raw().reranking().unwrap().deadlines, expected);
    let failing = given.layered("worker.late=fail worker.deadline_reserve_ms=0");
    let expected = Deadlines { late: LatePolicy::Fail, reserve: std::time::Duration::ZERO };
    assert_eq!(failing.raw().reranking().unwrap().deadlines, expected);
    assert_eq!(failing.worker().reranking.deadlines, expected);
}

#[test]
fn transactions_keep_order_by_themselves_and_take_their_time_from_the_deadline() {
    use crate::worker::OutputOrder;
    let given = Given::default().file(COMPLETE).layered("worker.ordering=partition");
    assert_eq!(given.worker().worker.ordering, OutputOrder::Partition);
    let config = given.layered("kafka.delivery=exactly-once").worker();
    assert_eq!(config.worker.ordering, OutputOrder::Unordered);
    assert_eq!(config.kafka.delivery, crate::kafka::Delivery::ExactlyOnce);
    let reserve = std::time::Duration::from_millis(20 + 100);
    assert_eq!(config.reranking.deadlines.reserve, reserve);
}

#[test]
fn a_model_is_named_or_lies_in_a_directory() {
    let named = |text: &str| Given::default().layered(text).raw().reranking().unwrap().model.source;
    let Source::Named { id, revision } = named("") else { panic!("the default is a name") };
    assert_eq!(id.as_str(), "cross-encoder/ms-marco-MiniLM-L6-v2");
    assert!(revision.unwrap().is_commit(), "pinned");
    // The default's revision is not that of another model.
    let Source::Named { id, revision } = named("model.id=owner/other") else { panic!("a name") };
    assert_eq!((id.as_str(), revision), ("owner/other", None));
    assert_eq!(named("model.path=."), Source::Directory(".".into()));
    let cases = [
        ("model.id=owner/x model.path=.", "model.id: stands beside model.path"),
        ("model.path=. model.revision=main", "model.revision: has no effect with model.path"),
        ("model.id=../x", "model.id: \"../x\" is neither"),
        ("model.id=owner/x model.revision=..", "model.revision: \"..\" is not a revision"),
        ("model.sha256=abc", "model.sha256: is \"abc\", which is not a SHA-256"),
        ("model.expected=/nowhere", "model.expected: /nowhere cannot be read"),
    ];
    for (text, expected) in cases {
        let problems = problems(text);
        assert!(problems.len() == 1 && problems[0].starts_with(expected), "{text}: {problems:?}");
    }
}

#[test]
fn a_layer_that_names_a_model_says_all_of_it() {
    let file = "[kafka]\nbrokers = \"b:1\"\n[model]\nid = \"owner/x\"\nrevision = \"v1\"\nprecision = \"int8\"\n";
    let given = || Given::default().file(file);
    let warned = given().worker().warnings;
    assert!(warned.iter().any(|warning| warning.contains("v1 of owner/x")), "{warned:?}");
    let by_flag = given().flag("model.path", ".").worker().reranking;
    assert_eq!(by_flag.model.source, Source::Directory(".".into()));
    assert_eq!(by_flag.engine.precision, crate::engine::Precision::Int8, "not of one model only");
    let revised = given().variable("CROSSRANK__MODEL__REVISION", "v2").worker().reranking.model;
    let Source::Named { id, revision } = revised.source else { panic!("a name") };
    assert_eq!((id.as_str(), revision.unwrap().as_str()), ("owner/x", "v2"));
    let pinned = given().flag("model.revision", &"0f".repeat(20)).worker().warnings;
    assert!(!pinned.iter().any(|warning| warning.contains("model.revision")), "{pinned:?}");
}

#[test]
fn the_bundled_model_brings_its_own_precision() {
    use crate::engine::Precision;
    let given = || Given::default().layered("model.id=bundled");
    let reranking = given().raw().reranking().unwrap();
    assert_eq!(reranking.model.source, Source::Bundled);
    assert_eq!(reranking.engine.precision, Precision::Int8);
    let shown = given().raw().effective();
    assert!(shown.contains("precision = \"int8\" # that of the bundled model\n"), "{shown}");
    let usual = Given::default().raw().reranking().unwrap();
    assert_eq!(usual.engine.precision, Precision::F32);
    for (text, expected) in [
        ("model.precision=f32", "model.precision: f32 is asked of the bundled model"),
        ("model.revision=main", "model.revision: has no effect with the bundled model"),
        ("model.path=.", "model.id: stands beside model.path"),
    ] {
        let problems = problems(&format!("model.id=bundled {text}"));
        assert!(problems.len() == 1 && problems[0].starts_with(expected), "{text}: {problems:?}");
    }
}

#[test]
fn a_command_may_mean_another_model_where_nobody_names_one() {
    let mut command = Given::default();
    command.sources.default_model = Some("bundled");
    let source = |given: &Given| given.raw().reranking().unwrap().model.source;
    assert_eq!(source(&command), Source::Bundled, "without the default's revision");
    assert!(command.raw().effective().contains("id = \"bundled\" # where no model is named\n"));
    assert_eq!(source(&command.layered("model.path=.")), Source::Directory(".".into()));
}

#[test]
fn reranking_needs_no_kafka() {
    let raw = Given::default().flag("model.path", ".").raw();
    assert!(raw.reranking().is_ok());
    assert!(raw.worker().unwrap_err().to_string().contains("kafka.brokers: is missing"));
}

#[test]
fn context_that_is_switched_off_is_absent() {
    let given = Given::default().file(COMPLETE);
    assert_eq!(given.worker().reranking.context.unwrap().duplicate_similarity, Some(0.8));
    let kept = given.layered("context.drop_duplicates=false");
    assert_eq!(kept.worker().reranking.context.unwrap().duplicate_similarity, None);
    let off = kept.layered("context.enabled=false context.tokenizer=Cargo.toml");
    assert_eq!(off.worker().reranking.context, None);
    assert_eq!(off.worker().reranking.context_tokenizer, None);
}

#[test]
fn either_half_of_the_breaker_can_be_turned_off() {
    let given = Given::default().file(COMPLETE);
    let breaker = given.worker().worker.breaker;
    assert_eq!((breaker.run_max, breaker.share_max, breaker.window), (Some(200), Some(0.5), 1000));
    let off = given.layered("worker.breaker_run_max=0 worker.breaker_share_max=1");
    let breaker = off.worker().worker.breaker;
    assert_eq!((breaker.run_max, breaker.share_max), (None, None));
}

#[test]
fn an_admin_port_that_others_reach_needs_a_token() {
    let admin = |text: &str| Given::default().file(&format!("{COMPLETE}[admin]\n{text}\n"));
    let token = "token = \"0123456789abcdef\"";
    for good in [
        "",
        "address = \"127.0.0.1:0\"",
        "address = \"[::1]:9464\"",
        &format!("address = \"0.0.0.0:9464\"\n{token}"),
        "enabled = false\naddress = \"0.0.0.0:9464\"",
    ] {
        assert_eq!(admin(good).problems(), [""; 0], "{good}");
    }
    assert!(admin("enabled = false").worker().admin.is_none());
    let open = admin("address = \"0.0.0.0:9464\"");
    let told = "admin.address: 0.0.0.0:9464 can be reached from other machines, and there is no admin.token";
    assert_eq!(open.problems(), [told]);
    assert!(open.printed().contains("set admin.token or admin.token_file"), "{}", open.printed());
    assert_eq!(admin("address = \"[::]:9464\"").problems().len(), 1);
    let named = admin("address = \"localhost:9464\"").problems();
    assert_eq!(named, ["admin.address: \"localhost:9464\" is not an IP address and a port"]);
}

#[test]
fn a_token_of_the_admin_port_is_one_and_fits_a_header() {
    let problems = |text: &str| {
        Given::default().file(&format!("{COMPLETE}[admin]\n{text}\n")).problems().join("\n")
    };
    assert!(problems("token = \"short\"").starts_with("admin.token: is shorter than 16"));
    assert!(problems("token = \"with a space in between\"").starts_with("admin.token: is shorter"));
    let both = "token = \"0123456789abcdef\"\ntoken_file = \"t\"";
    assert_eq!(problems(both), "admin.token_file: is set beside admin.token");
    assert!(problems("token_file = \"/nowhere/token\"").contains("/nowhere/token cannot be read"));
}
