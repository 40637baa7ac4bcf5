//! The page in a browser, while a worker of this process answers sets from a broker of this process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossrank::config::{self, Config, Sources};
use crossrank::kafka::{InProcessCluster, KafkaSink, KafkaSource};
use crossrank::stream::Record;
use crossrank::telemetry::Pulse;
use serde_json::json;

use crate::browser::Browser;
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
    producer.send(input, set(40)).await.unwrap();
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
