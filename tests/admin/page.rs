//! The page in a browser, while a worker of this process answers sets from a broker of this process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossrank::config::{self, Config, Sources};
use crossrank::kafka::{InProcessCluster, KafkaSink, KafkaSource};
use crossrank::stream::Record;
use crossrank::telemetry::Pulse;
use crossrank::telemetry::board::{PartitionNow, PartitionState, Phase};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::client::{Events, get};
use crate::http::{Port, model};
use crate::stage::{Running, TestScorer, record, reranker_counting};

const PARTITIONS: i32 = 4;
/// What the table says of each partition's lag.
const LAGS: &str =
    "[...document.querySelectorAll('#partitions tr')].map(row => row.children[2].textContent)";

fn configured(cluster: &InProcessCluster) -> Config {
    let flags = [
        ("kafka.brokers", cluster.brokers()),
        ("kafka.client.fetch.wait.max.ms", "10".to_owned()),
        ("model.path", ".".to_owned()),
    ];
    let flags = flags.map(|(key, value)| (key.to_owned(), value, "the test")).to_vec();
    let sources = Sources { flags, ..Sources::default() };
    let config = config::load(sources).and_then(|raw| raw.worker()).unwrap();
    let (input, worker) = (&config.kafka.input_topic, &config.worker);
    for topic in [input, &worker.output_topic, &worker.dead_letter_topic] {
        cluster.create_topic(topic, PARTITIONS).unwrap();
    }
    config
}

/// Ten candidates, the last of which are the best.
fn set(number: usize) -> Record {
    let candidate = |rank: usize| {
        let text = "word ".repeat(rank);
        json!({"id": format!("d{rank}"), "text": text, "score": 20.0 - rank as f64})
    };
    let candidates: Vec<_> = (1..=10).map(candidate).collect();
    record(&json!({"request_id": format!("r-{number}"), "query": "q", "candidates": candidates}))
}

/// A folder for pictures, where somebody wants to look at them.
fn pictures() -> Option<PathBuf> {
    std::env::var_os("CROSSRANK_PICTURES").map(PathBuf::from)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_tells_the_truth_while_a_worker_works_and_says_when_it_hears_nothing() {
    let Some(mut browser) = Browser::start() else { return };
    let cluster = InProcessCluster::start(&[]).unwrap();
    let config = configured(&cluster);
    let port = Port::open(None, None);
    let counts = Arc::clone(&port.counts);
    counts.board.model_is_warm(model(), Arc::new(Pulse::default()));
    browser.look(1280, false);
    browser.open(&format!("http://{}/", port.address()));
    browser.until("document.getElementById('verdict').textContent === 'Starting'");

    let sink = KafkaSink::start_counting(&config.kafka, &counts).unwrap();
    let source = KafkaSource::start_counting(&config.kafka, &counts).unwrap();
    let scorer = TestScorer::taking(Duration::from_millis(5));
    let reranker = reranker_counting(scorer, Arc::clone(&counts));
    let worker = Running::working(source, sink, reranker, config.worker.clone());
    let producer = KafkaSink::start(&config.kafka).unwrap();
    let input = &config.kafka.input_topic;
    for number in 0..30 {
        producer.send(input, set(number)).await.unwrap();
    }
    for _ in 0..3 {
        let candidates = [json!({"id": "a", "text": "b"})];
        let query = ["a secret question"];
        let bad = json!({"request_id": "r", "query": query, "candidates": candidates});
        producer.send(input, record(&bad)).await.unwrap();
    }
    browser.until("document.querySelectorAll('#sets details').length === 30");
    browser.until("document.querySelectorAll('#notices li').length === 3");
    browser.until("document.querySelectorAll('#partitions tr').length === 4");
    browser.until("document.getElementById('verdict').textContent.startsWith('Working')");

    // All is committed, so that nothing is behind; of a partition without records that is not known.
    browser.until(&format!(
        "({LAGS}).every(lag => ['0', '–'].includes(lag)) && ({LAGS}).includes('0')"
    ));
    let notices = browser.value("document.getElementById('notices').innerText");
    assert!(notices.as_str().unwrap().contains("wrong_type"), "{notices}");
    let text = browser.value("document.documentElement.outerHTML");
    assert!(!text.as_str().unwrap().contains("secret question"));
    assert_eq!(browser.value("document.querySelectorAll('#checks .bad').length"), 0);

    // A set opens, stays open while others come, and shows which way its candidates went.
    browser.value("document.querySelector('#sets summary').click()");
    browser.until("document.querySelectorAll('#sets [open] .sides li').length === 20");
    let first =
        browser.value("document.querySelectorAll('#sets [open] ol')[1].firstChild.innerText");
    let first = first.as_str().unwrap();
    assert!(first.contains("d10") && first.contains("▲ 9"), "{first}");
    for number in 30..40 {
        producer.send(input, set(number)).await.unwrap();
    }
    browser.until("document.querySelectorAll('#sets details').length === 40");
    assert_eq!(browser.value("document.querySelectorAll('#sets [open]').length"), 1);

    // Held, it does not change while one reads.
    browser.value("document.getElementById('hold').click()");
    assert_eq!(browser.value("document.getElementById('hold').ariaPressed"), "true");
    let mut events = Events::open(port.address());
    producer.send(input, set(40)).await.unwrap();
    let tells_of_it = |(_, state): &(String, Value)| {
        state["sets"].as_array().unwrap().iter().any(|set| set["request_id"] == "r-40")
    };
    while !tells_of_it(&events.next().unwrap()) {}
    // When the next one comes, the page has long had that one.
    assert!(events.next().is_some());
    assert_eq!(browser.value("document.querySelectorAll('#sets details').length"), 40);
    browser.value("document.getElementById('hold').click()");
    browser.until("document.querySelectorAll('#sets details').length === 41");

    assert_is_usable(&mut browser);
    for (name, width, dark) in [
        ("light", 1280, false),
        ("dark", 1280, true),
        ("phone", 390, false),
        ("phone-dark", 390, true),
    ] {
        browser.look(width, dark);
        let wide = browser.value("document.documentElement.scrollWidth - innerWidth");
        assert!(wide.as_i64().unwrap() <= 0, "{name}: wider than the window by {wide}");
        if let Some(folder) = pictures() {
            browser.picture(&folder.join(format!("{name}.png")));
        }
    }

    worker.stop().await.unwrap();
    browser.until("document.getElementById('verdict').textContent === 'Stopping'");
    drop(port);
    browser.until("!document.getElementById('lost').hidden");
    let lost = browser.value("document.getElementById('lost').innerText");
    assert!(lost.as_str().unwrap().starts_with("Connection lost. What you see is from"), "{lost}");
    assert_eq!(browser.complaints, [""; 0]);
}

/// A partition with this much between commit and end.
fn partition(lag: Option<i64>) -> PartitionNow {
    PartitionNow {
        topic: "sets".into(),
        index: 0,
        next: Some(0),
        committed: Some(0),
        end: lag,
        in_flight: 0,
        uncommitted: 0,
        commit_age: Duration::ZERO,
        state: PartitionState::Assigned,
    }
}

#[test]
fn the_page_says_in_words_what_is_wrong_and_is_green_only_where_nothing_is() {
    let Some(mut browser) = Browser::start() else { return };
    let port = Port::open(None, None);
    let board = &port.counts.board;
    // Who writes does not wait for who reads.
    let hold = |partitions: &[PartitionNow]| while !board.show_partitions(partitions.to_vec()) {};
    browser.look(1280, false);
    browser.open(&format!("http://{}/", port.address()));
    let cases: [(&str, &str, &str, &dyn Fn()); 8] = [
        ("calm", "Starting", "model: not loaded yet.", &|| {}),
        ("calm", "Working, without partitions", "Other workers of the group", &|| {
            board.model_is_warm(model(), Arc::new(Pulse::default()));
            board.producer_reached.anew();
            board.joined.anew();
            board.enter(Phase::Working);
        }),
        ("warn", "Working, but nothing is answered", "is not known yet", &|| {
            hold(&[partition(None)]);
        }),
        ("good", "Working", "Nothing to do", &|| hold(&[partition(Some(0))])),
        ("warn", "Working, but nothing is answered", "5 records wait", &|| {
            hold(&[partition(Some(5))]);
        }),
        ("warn", "Working, with dead letters", "set aside in the last minute", &|| {
            port.counts.dead_letters.add(20);
        }),
        ("bad", "Not ready", "group: no broker", &|| board.consumer_alone.note(true)),
        // The group has given it up, though a broker answers again.
        ("bad", "Not ready", "group: not", &|| {
            hold(&[]);
            board.joined.note(false);
            board.consumer_alone.note(false);
        }),
    ];
    for (place, (tone, verdict, sentence, happens)) in cases.into_iter().enumerate() {
        happens();
        assert_shown(&mut browser, tone, verdict, sentence);
        if let Some(folder) = pictures() {
            browser.picture(&folder.join(format!("case-{place}.png")));
        }
    }
    assert_eq!(browser.complaints, [""; 0]);
}

#[test]
fn a_thread_that_waits_in_vain_is_shown_as_stuck() {
    let Some(mut browser) = Browser::start() else { return };
    let port = Port::open(None, None);
    // No test waits for a minute: the state is put into the page instead.
    let page = get(port.address(), "/").body;
    let open = r#"<script type="application/json" id="state">"#;
    let (before, after) = page.split_once(open).unwrap();
    let (state, after) = after.split_once("</script>").unwrap();
    let mut state: Value = serde_json::from_str(state).unwrap();
    state["live"] =
        json!([{"name": "engine", "good": false, "says": "has waited 61s for a batch"}]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    std::fs::write(&file, format!("{before}{open}{state}</script>{after}")).unwrap();
    browser.open(&format!("file://{}", file.display()));
    assert_shown(&mut browser, "bad", "Stuck", "engine: has waited 61s for a batch.");
}

fn assert_shown(browser: &mut Browser, tone: &str, verdict: &str, sentence: &str) {
    let text = |id: &str| format!("document.getElementById('{id}').textContent");
    browser.until(&format!(
        "{} === '{verdict}' && {}.includes('{sentence}') \
         && document.getElementById('hero').classList.contains('{tone}')",
        text("verdict"),
        text("sentence"),
    ));
}

/// What keyboards and screen readers need.
fn assert_is_usable(browser: &mut Browser) {
    let none = [
        // Landmarks and headings that name them.
        "['header', 'main', 'footer', 'nav[aria-label]', 'h1'].filter(name => document.querySelectorAll(name).length !== 1)",
        "[...document.querySelectorAll('section')].filter(one => !document.getElementById(one.getAttribute('aria-labelledby'))?.textContent)",
        // Tables with headers for columns and rows.
        "[...document.querySelectorAll('thead th')].filter(head => head.scope !== 'col' || !head.textContent)",
        "[...document.querySelectorAll('#partitions tr, #stages tr')].filter(row => row.querySelector('th')?.scope !== 'row')",
        // What scrolls can be scrolled by keyboard, and has a name.
        "[...document.querySelectorAll('.scroll')].filter(one => one.tabIndex !== 0 || !one.getAttribute('aria-labelledby'))",
        // Drawings say what they show.
        "[...document.querySelectorAll('svg')].filter(one => one.getAttribute('role') !== 'img' || !one.ariaLabel.includes('Now: '))",
        // One quiet line is spoken; everything else only when it is gone to.
        "[...document.querySelectorAll('[aria-live]')].filter(one => one.id !== 'said')",
        "[...document.querySelectorAll('button, a, summary')].filter(one => !one.textContent.trim())",
    ];
    for list in none {
        assert_eq!(browser.value(&format!("{list}.length")), 0, "{list}");
    }
}
