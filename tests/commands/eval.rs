use std::path::Path;

use crate::*;

/// Words that only this query's best passage has.
const MARKUP: &str = "<script>alert('x')</script> & \"quoted\"";

/// Eight judged sets of five candidates, one set without a judgement, and qrels that also judge one that is not there.
struct Files {
    folder: tempfile::TempDir,
}

// === impl Files ===

impl Files {
    fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        let candidate = |set: usize, n: usize, label: Option<usize>| {
            let text =
                if n == 2 { MARKUP.to_owned() } else { format!("passage {n} about set {set}") };
            let mut candidate = json!({"id": format!("d{n}"), "text": text, "rank": n + 1});
            if let Some(grade) = label {
                candidate["relevance"] = json!(grade);
            }
            candidate
        };
        let sets = |labels: bool| -> String {
            let set = |set: usize| {
                let label = |n: usize| (labels && set < 8).then_some(grade(set, n));
                let candidates: Vec<_> = (0..5).map(|n| candidate(set, n, label(n))).collect();
                let query = format!("query {set} {MARKUP}");
                json!({"request_id": format!("q{set}"), "query": query, "candidates": candidates})
            };
            (0..9).map(|n| set(n).to_string() + "\n").collect()
        };
        files.write("sets.jsonl", &sets(false));
        files.write("labelled.jsonl", &sets(true));
        let lines = (0..8).flat_map(|set| (0..5).map(move |n| (set, n)));
        let mut qrels: String =
            lines.map(|(set, n)| format!("q{set} 0 d{n} {}\n", grade(set, n))).collect();
        qrels += "absent\t0\td1\t1\n";
        files.write("judged.qrels", &qrels);
        files
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    /// Runs `eval`; an argument with a dot in it, but for a number, is one of these files.
    fn eval(&self, arguments: &[&str]) -> Output {
        let is_file = |argument: &str| argument.contains('.') && !argument.starts_with('/');
        let named = |argument: &&str| match is_file(argument) {
            true => self.path(argument),
            false => (*argument).to_owned(),
        };
        let mut all = vec!["eval".to_owned()];
        all.extend(arguments.iter().map(named));
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        run(&mut crossrank(&all), b"")
    }

    /// The same with the fixture as the model.
    fn eval_model(&self, arguments: &[&str]) -> Output {
        let model = model();
        self.eval(&[&["--model", model.to_str().unwrap()], arguments].concat())
    }
}

fn grade(set: usize, n: usize) -> usize {
    [0, 2, 3, 0, 1][(n + set) % 5]
}

fn table(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

const SETS: [&str; 4] = ["--sets", "sets.jsonl", "--qrels", "judged.qrels"];

#[test]
fn the_table_shows_first_stage_beside_reranked_and_ends_with_a_verdict() {
    let files = Files::new();
    let table =
        table(&files.eval_model(&[&SETS[..], &["--metrics", "ndcg@3,MRR,judged@5"]].concat()));
    for part in [
        "8 queries; left out: 1 without a judgement, 1 judged but not ranked",
        "tiny-bert at sha256:",
        "f32, flex on CPU",
        "45 pairs in",
        "0.0 % of the passages cut at 256 tokens",
        "measure      first stage     reranked  difference",
        "judged@5          1.0000       1.0000     +0.0000    +0.0000 +0.0000       0      8      0  -\n",
    ] {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
    let last = table.lines().last().unwrap();
    let verdicts = ["Reranking helps: ", "Reranking hurts: ", "No difference shown: "];
    assert!(verdicts.iter().any(|verdict| last.starts_with(verdict)), "{last}");
    assert!(last.contains("nDCG@3 goes from") && last.ends_with("over 8 queries."), "{last}");
}

#[test]
fn grades_on_the_candidates_are_as_good_as_qrels() {
    let files = Files::new();
    let figures = |arguments: &[&str], name: &str| {
        table(&files.eval_model(&[arguments, &["--json", name]].concat()));
        let mut found = files.json(name);
        found["systems"].take();
        found["absent_queries"].take();
        found
    };
    let by_qrels = figures(&SETS, "a.json");
    assert_eq!(by_qrels, figures(&["--sets", "labelled.jsonl"], "b.json"));
    assert_eq!((&by_qrels["queries"], &by_qrels["unjudged_queries"]), (&json!(8), &json!(1)));
}

#[test]
fn the_runs_that_are_written_have_the_order_of_rerank_and_of_the_sets() {
    let files = Files::new();
    let runs = ["--run", "reranked.trec", "--first-stage-run", "first.trec", "--json", "a.json"];
    table(&files.eval_model(&[&SETS[..], &runs].concat()));
    let order = |name: &str| {
        let text = files.read(name);
        let row = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let rows: Vec<_> = text.lines().map(row).collect();
        for pair in rows.windows(2).filter(|pair| pair[0][0] == pair[1][0]) {
            let score = |row: &[String]| row[4].parse::<f32>().unwrap();
            assert!(score(&pair[0]) > score(&pair[1]), "scores fall: {pair:?}");
        }
        rows.into_iter().map(|row| (row[0].clone(), row[2].clone())).collect::<Vec<_>>()
    };
    let model = model();
    let rerank = ["rerank", "--model", model.to_str().unwrap(), &files.path("sets.jsonl")];
    let answers = lines(&run(&mut crossrank(&rerank), b""));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let expected: Vec<_> = answers
        .iter()
        .flat_map(|answer| answer["results"].as_array().unwrap().iter().map(move |r| (answer, r)))
        .map(|(answer, result)| (text(&answer["request_id"]), text(&result["id"])))
        .collect();
    assert_eq!(order("reranked.trec"), expected);
    let first: Vec<_> =
        (0..9).flat_map(|q| (0..5).map(move |n| (format!("q{q}"), format!("d{n}")))).collect();
    assert_eq!(order("first.trec"), first);

    // Read again, they have the same measures.
    let again = ["--qrels", "judged.qrels", "--run-in", "first.trec", "--run-in", "reranked.trec"];
    let table = table(&files.eval(&[&again[..], &["--json", "b.json"]].concat()));
    assert!(table.contains("first.trec") && table.contains("reranked"), "{table}");
    assert_eq!(files.json("a.json")["measures"], files.json("b.json")["measures"]);
    assert_eq!(files.json("a.json")["per_query"], files.json("b.json")["per_query"]);
}

#[test]
fn one_run_file_is_measured_without_a_model_or_a_verdict() {
    let files = Files::new();
    files.write("theirs.trec", "q0 Q0 d1 1 2.5 x\nq0 Q0 d0 2 1.5 x\nq0 Q0 d2 3 0.5 x\n");
    let table = table(&files.eval(&[
        "--qrels",
        "judged.qrels",
        "--run-in",
        "theirs.trec",
        "--metrics",
        "mrr,p@2,recall@2",
        "--relevant",
        "3",
    ]));
    let figures = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    // d2 has grade 3, d1 only 2.
    assert_eq!(
        [figures("mrr"), figures("p@2"), figures("recall@2")],
        ["0.3333", "0.0000", "0.0000"]
    );
    assert!(!table.contains("verdict"), "{table}");
    assert!(table.ends_with("theirs over 1 query.\n"), "{table}");
}

#[test]
fn two_models_are_compared_on_the_same_sets() {
    let files = Files::new();
    let model = model();
    let model = model.to_str().unwrap();
    let (a, b) = (format!("{model}@f32"), format!("{model}@int8"));
    let arguments = ["--compare", &a, &b, "--json", "a.json", "--html", "report.html"];
    let output = files.eval(&[&SETS[..], &arguments].concat());
    let table = table(&output);
    for part in [
        a.as_str(),
        &b,
        "f32, flex",
        "int8, flex",
        "first stage            A            B  difference",
    ] {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
    let found = files.json("a.json");
    let names: Vec<_> = found["systems"].as_array().unwrap().iter().map(|s| &s["name"]).collect();
    assert_eq!(names, ["first stage", "A", "B"]);
    let measure = &found["measures"][0];
    let mean = |n: usize| measure["means"][n].as_f64().unwrap();
    assert!(
        (measure["difference"].as_f64().unwrap() - (mean(2) - mean(1))).abs() < 1e-12,
        "{measure}"
    );
    // The same model twice does not differ.
    let output = files.eval(&[&SETS[..], &["--compare", model, &a]].concat());
    let table = self::table(&output);
    assert!(table.lines().last().unwrap().starts_with("No difference shown: "), "{table}");
    assert!(table.contains("     0      8      0  no difference shown"), "{table}");
}

#[test]
fn the_page_needs_nothing_else_and_shows_texts_as_texts() {
    let files = Files::new();
    table(&files.eval_model(&[&SETS[..], &["--html", "report.html"]].concat()));
    let page = files.read("report.html");
    for outside in
        ["http:", "https:", "//", "src=", "href=", "url(", "@import", "<script", "<link", "<img"]
    {
        assert!(!page.contains(outside), "{outside} is in the page");
    }
    assert!(page.contains("&lt;script&gt;alert("), "texts are there, escaped");
    assert!(page.contains("prefers-color-scheme: dark") && page.contains("<svg"));
    for part in [
        "Query by query",
        "Scores by grade",
        "Measures",
        "tiny-bert",
        "f32, flex on CPU",
        "eval --model",
    ] {
        assert!(page.contains(part), "{part} is not in the page");
    }
    // The stand-ins of the charts' colours have all given way.
    assert!(!page.contains("\"#0"), "a colour that the style sheet does not know");
    let whole = page.trim_end();
    assert!(whole.starts_with("<!doctype html>") && whole.ends_with("</html>"));
}

#[test]
fn few_queries_have_no_verdict() {
    let files = Files::new();
    files.write("one.qrels", "q0 0 d1 1\n");
    for sets in [&["--html", "report.html"][..], &[]] {
        let table = table(
            &files.eval_model(&[&["--sets", "sets.jsonl", "--qrels", "one.qrels"], sets].concat()),
        );
        assert!(table.lines().last().unwrap().starts_with("Too few queries to tell: "), "{table}");
        assert!(table.contains("too few queries to tell"), "{table}");
    }
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_line() {
    let files = Files::new();
    files.write("bad.qrels", "q0 0 d1 1\n\nq0 0 d2 high\n");
    files.write("twice.qrels", "q0 0 d1 1\nq0 0 d1 1\n");
    files.write("other.qrels", "elsewhere 0 d1 1\n");
    files.write("bad.trec", "q0 Q0 d1 1 0.5\n");
    files.write("twice.jsonl", &format!("{}\n{}\n", set(1), set(1)));
    files.write("bad.jsonl", &format!("{}\n{{\"request_id\": \"r\"}}\n", set(1)));
    files.write("space.jsonl", "{\"request_id\":\"a b\",\"query\":\"q\",\"candidates\":[]}\n");
    files.write("label.jsonl", "{\"request_id\":\"q0\",\"query\":\"q\",\"candidates\":[{\"id\":\"x\",\"text\":\"t\",\"relevance\":\"high\"}]}\n");
    for (arguments, told) in [
        (&["--sets", "sets.jsonl", "--qrels", "bad.qrels"][..], "bad.qrels:3: the grade \"high\""),
        (
            &["--sets", "sets.jsonl", "--qrels", "twice.qrels"],
            "twice.qrels:2: document \"d1\" occurs twice",
        ),
        (
            &["--sets", "sets.jsonl", "--qrels", "other.qrels"],
            "the first one judged is \"elsewhere\"",
        ),
        (&["--sets", "sets.jsonl"], "nothing is judged"),
        (&["--sets", "sets.jsonl", "--qrels", "missing.qrels"], "missing.qrels"),
        (
            &["--sets", "twice.jsonl", "--qrels", "judged.qrels"],
            "twice.jsonl:2: the same request_id as",
        ),
        (&["--sets", "bad.jsonl", "--qrels", "judged.qrels"], "bad.jsonl:2: query: missing"),
        (&["--sets", "label.jsonl"], "label.jsonl:1: candidate \"x\": relevance must be"),
        (
            &["--sets", "space.jsonl", "--qrels", "judged.qrels", "--run", "out.trec"],
            "space.jsonl:1: \"a b\" has white space",
        ),
        (
            &["--sets", "sets.jsonl", "--qrels", "judged.qrels", "--html", "/nowhere/report.html"],
            "/nowhere/report.html",
        ),
    ] {
        let output = files.eval_model(arguments);
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(error.contains(told), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty());
    }
    let output = files.eval(&["--qrels", "judged.qrels", "--run-in", "bad.trec"]);
    assert!(stderr(&output).contains("bad.trec:1: 5 fields, not 6"), "{}", stderr(&output));
}

#[test]
fn bad_usage_is_told_before_anything_is_read() {
    let files = Files::new();
    for (arguments, told) in [
        (&[][..], "--sets"),
        (&["--run-in", "theirs.trec"], "--qrels"),
        (&["--sets", "sets.jsonl", "--metrics", "ndcg@10,f1"], "\"f1\" is no measure"),
        (&["--sets", "sets.jsonl", "--metrics", "p"], "p@10"),
        (&["--sets", "sets.jsonl", "--relevant", "x"], "--relevant"),
        (&["--sets", "sets.jsonl", "--compare", "/a"], "--compare"),
        (
            &["--sets", "sets.jsonl", "--compare", "/nowhere@int8", "/a"],
            "model.path: /nowhere cannot",
        ),
        (&["--sets", "sets.jsonl", "--compare", "/a", "/b"], "from --compare"),
        (&["--sets", "sets.jsonl", "--run-in", "a.trec", "--model", "/c"], "--model"),
        (&["--sets", "sets.jsonl", "--compare", "/a", "/b", "--model", "/c"], "--model"),
        (&["--sets", "sets.jsonl", "--top-n", "3"], "--top-n"),
        (&["--sets", "sets.jsonl", "--model", "/nowhere"], "/nowhere"),
    ] {
        let output = files.eval(arguments);
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(told), "{arguments:?} does not say {told}: {error}");
    }
}

/// A browser that draws without a screen, where there is one.
fn browser() -> Option<&'static str> {
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    })
}

#[test]
fn a_phone_shows_the_whole_width_of_the_page() {
    let Some(browser) = browser() else {
        println!("no Chromium here");
        return;
    };
    let files = Files::new();
    table(&files.eval_model(&[&SETS[..], &["--html", "report.html"]].concat()));
    // The widest element, as the browser lays it out, is told by a script of the test's own.
    let told = "<script>document.title=document.documentElement.scrollWidth+' of '+innerWidth</script></body>";
    let page = files.read("report.html").replace("</body>", told);
    files.write("told.html", &page);
    let url = format!("file://{}", files.path("told.html"));
    let profile = format!("--user-data-dir={}", files.path("profile"));
    for width in [500, 1280] {
        let size = format!("--window-size={width},900");
        let output = Command::new(browser)
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--dump-dom",
                &size,
                &profile,
                &url,
            ])
            .output()
            .unwrap();
        let dom = String::from_utf8_lossy(&output.stdout).into_owned();
        let title = dom.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
        let (found, window) = title.unwrap().split_once(" of ").expect("the script ran");
        let (found, window): (u32, u32) = (found.parse().unwrap(), window.parse().unwrap());
        assert!(found <= window, "{found} wide in a window of {window}");
    }
    assert!(Path::new(&files.path("report.html")).is_file());
}
