use std::process::Stdio;

use crate::stage::Stage;
use crate::worker;

/// Runs a subcommand to its end: its exit code, and what it said on either stream.
fn outcome(stage: &Stage, subcommand: &str, settings: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = worker::command(stage);
    command.arg(subcommand).envs(settings.iter().copied()).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn check_says_what_is_in_effect_and_run_and_check_say_what_is_missing() {
    let Some(stage) = Stage::set("check", 2) else { return };
    let (code, said, told) = outcome(&stage, "check", &[]);
    assert_eq!(code, 0, "{told}");
    for part in [&stage.brokers, &stage.input, "2 partitions", "loaded and warm"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let missing = [("CROSSRANK__WORKER__OUTPUT_TOPIC", "nowhere")];
    let (code, _, told) = outcome(&stage, "check", &missing);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("nowhere") && told.contains("create"), "{told}");
    let (code, _, told) = outcome(&stage, "run", &missing);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("nowhere") && told.contains("create"), "{told}");
    let unreachable = [
        ("CROSSRANK__KAFKA__BROKERS", "127.0.0.1:1"),
        ("CROSSRANK__KAFKA__STARTUP_TIMEOUT_MS", "2000"),
    ];
    for subcommand in ["check", "run"] {
        let (code, _, told) = outcome(&stage, subcommand, &unreachable);
        assert_eq!(code, 1, "{told}");
        assert!(told.contains("127.0.0.1:1") && told.contains("kafka.brokers"), "{told}");
    }
}
