use std::process::{Command, Stdio};

use rdkafka::message::Headers;

use crate::stage::{Stage, header, set};
use crate::worker::{self, Worker};

/// Runs `crossrank replay` to its end: exit code, standard output, standard error.
fn replay(stage: &Stage, arguments: &[&str]) -> (i32, String, String) {
    let mut command = worker::command(stage);
    command.arg("replay").args(arguments).stdin(Stdio::null());
    // It needs no model.
    command.env_remove("CROSSRANK__MODEL__PATH");
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The time that the summary gives for the next run.
fn next(said: &str) -> String {
    let line = said.lines().find(|line| line.contains("next time: --since ")).expect("a next time");
    line.rsplit(' ').next().unwrap().to_owned()
}

#[test]
fn dead_letters_go_back_are_answered_and_those_that_fail_again_are_counted() {
    let Some(stage) = Stage::set("replay", 3) else { return };
    // Good sets that were refused for their size, and rubbish that stays rubbish.
    let worker = Worker::start_with(&stage, &[("CROSSRANK__LIMITS__RECORD_BYTES_MAX", "10")]);
    stage.produce(0..40);
    for _ in 0..5 {
        stage.produce_one("rubbish", Some(b"x"));
    }
    stage.wait_for_letters(45);
    stage.wait_until_committed();
    assert_eq!(worker.terminate().code, Some(0));

    let (code, said, told) = replay(&stage, &["--dry-run"]);
    assert_eq!(code, 0, "{told}");
    assert!(said.contains("45 dead letters read, 45 to be put back"), "{said}");
    assert!(said.contains("40 record_too_large") && said.contains("5 invalid_json"), "{said}");
    assert_eq!(said.lines().filter(|line| line.contains('\t')).count(), 45);
    assert!(!said.contains("what is thing") && !said.contains("rubbish"), "{said}");

    let (code, said, told) = replay(&stage, &["--code", "record_too_large", "--rate", "100"]);
    assert_eq!(code, 0, "{told}");
    assert!(said.contains("45 dead letters read, 40 put back"), "{said}");
    let (code, said, told) =
        replay(&stage, &["--code", "record_too_large", "--since", &next(&said)]);
    assert_eq!(code, 0, "{told}");
    assert!(said.contains("0 dead letters read, 0 put back"), "nothing came since: {said}");

    let worker = Worker::start(&stage);
    stage.wait_for_answers(40);
    let mut answered = stage.outputs();
    answered.sort_by_key(|output| output.value.len());
    assert_eq!(answered.len(), 40);
    for times in 1..=3 {
        let (code, said, told) = replay(&stage, &["--key", "rubbish", "--since", "1h"]);
        assert_eq!(code, 0, "{told}");
        // What was put back is dead again each time, and the old letters are still there.
        let sent = 5 * (1 << (times - 1));
        assert!(said.contains(&format!(" {sent} put back")), "{times}: {said}");
        stage.wait_for_letters(45 + 5 * ((1 << times) - 1));
    }
    let (_, said, _) = replay(&stage, &["--key", "rubbish", "--dry-run"]);
    assert!(said.contains("5 left: put back too often"), "{said}");
    assert_eq!(worker.terminate().code, Some(0));

    for letter in stage.letters() {
        let headers = Some(&letter.headers);
        let count = letter.headers.iter().filter(|h| h.key == "crossrank-replays").count();
        let replays =
            if count == 0 { 0 } else { header(headers, "crossrank-replays").parse().unwrap() };
        assert!(count <= 1 && replays <= 3, "{replays}");
        assert_eq!(letter.headers.iter().next().unwrap().key, "sent-as");
    }
}

#[test]
fn a_value_that_was_left_out_is_fetched_from_the_input() {
    let Some(stage) = Stage::set("replay-large", 2) else { return };
    stage.limit_dead_letters(10_000);
    let settings = [
        ("CROSSRANK__LIMITS__RECORD_BYTES_MAX", "1000"),
        // Or they would be small enough.
        ("CROSSRANK__KAFKA__CLIENT__COMPRESSION_CODEC", "none"),
    ];
    let worker = Worker::start_with(&stage, &settings);
    stage.produce_large(0..3, 4, 6_000);
    stage.produce(0..1);
    stage.wait_for_letters(3);
    stage.wait_until_committed();
    assert_eq!(worker.terminate().code, Some(0));
    assert!(stage.letters().iter().all(|letter| letter.value.is_none()), "left out");

    let (code, said, told) = replay(&stage, &[]);
    assert_eq!(code, 0, "{told}");
    assert!(said.contains("3 put back"), "{said} {told}");
    let worker = Worker::start(&stage);
    stage.wait_for_answers(4);
    stage.wait_until_committed();
    assert_eq!(worker.terminate().code, Some(0));
    assert_eq!(stage.letters().len(), 3, "they came back whole");
}

#[test]
fn letters_of_another_topic_need_a_flag_and_a_topic_that_is_missing_is_named() {
    let Some(stage) = Stage::set("replay-other", 1) else { return };
    let worker = Worker::start(&stage);
    stage.produce_one("rubbish", Some(b"x"));
    stage.wait_for_letters(1);
    assert_eq!(worker.terminate().code, Some(0));
    let (code, said, _) = replay(&stage, &["--topic", &stage.output]);
    assert_eq!(code, 0);
    assert!(said.contains("1 left: from another topic"), "{said}");
    let (code, _, told) = replay(&stage, &["--topic", "nowhere"]);
    assert_eq!(code, 1);
    assert!(told.contains("nowhere"), "{told}");
    let (code, _, told) = replay(&stage, &["--since", "yesterday"]);
    assert_eq!(code, 2);
    assert!(told.contains("--since") && told.contains("2h"), "{told}");
}

#[test]
fn a_signal_stops_a_replay_which_says_how_far_it_came() {
    let Some(stage) = Stage::set("replay-stopped", 1) else { return };
    let worker = Worker::start(&stage);
    for _ in 0..20 {
        stage.produce_one("rubbish", Some(b"x"));
    }
    stage.wait_for_letters(20);
    assert_eq!(worker.terminate().code, Some(0));
    let mut command = worker::command(&stage);
    command.args(["replay", "--rate", "1"]).stdin(Stdio::null());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    stage.wait_for_inputs(22);
    let line = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("stopped by a signal"), "{told}");
    assert!(said.contains("go on with: --since 20"), "{said}");
    let sent = stage.inputs() - 20;
    assert!(sent < 10 && said.contains(&format!(", {sent} put back")), "{sent}: {said}");
}

#[test]
fn a_worker_fed_with_rubbish_stops_and_says_what_it_saw() {
    let Some(stage) = Stage::set("breaker", 1) else { return };
    for id in 0..30 {
        stage.produce_one(&id.to_string(), Some(b"x"));
    }
    stage.produce_one("good", Some(set(1).as_bytes()));
    let settings = [("CROSSRANK__WORKER__BREAKER_RUN_MAX", "20")];
    let stopped = Worker::start_with(&stage, &settings).ended();
    assert_eq!(stopped.code, Some(1), "{}", stopped.log);
    for part in ["20 records one after another are bad", "20 invalid_json", "crossrank replay"] {
        assert!(stopped.log.contains(part), "{part}: {}", stopped.log);
    }
}
