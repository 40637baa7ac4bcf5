//! Kafka's jars, from Maven.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::skipped;

/// As in `pom.xml`.
const VERSION: &str = "4.4.0";

/// The folder with Kafka's jars, fetched once; `None` if what is needed for that is missing.
pub(super) fn artefacts() -> Option<PathBuf> {
    let has = |program: &str| Command::new(program).arg("-version").output().is_ok();
    let missing: Vec<&str> = ["java", "mvn"].into_iter().filter(|program| !has(program)).collect();
    let folder = target_tmp().join(format!("kafka-{VERSION}"));
    let is_there = || folder.try_exists().expect("a target folder that can be read");
    // What was fetched before needs no Maven.
    let lacking = if is_there() { missing.contains(&"java") } else { !missing.is_empty() };
    if lacking {
        let missing = missing.join(" and ");
        let text = format!(
            "{missing} not found; `apt-get install openjdk-17-jre-headless maven`, or set \
             CROSSRANK_TEST_BROKERS"
        );
        assert_ne!(env::var("CROSSRANK_REQUIRE_KAFKA").as_deref(), Ok("1"), "{text}");
        skipped(&text);
        return None;
    }
    let lock = File::create(folder.with_extension("lock")).expect("a lock file");
    lock.lock().expect("the lock");
    if !is_there() {
        let partial = folder.with_extension("partial");
        let pom = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/pom.xml");
        let output = Command::new("mvn")
            .args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-f"])
            .arg(pom)
            .arg(format!("-DoutputDirectory={}", partial.display()))
            .output()
            .expect("mvn");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "cannot fetch Kafka: {said}");
        fs::rename(partial, &folder).expect("the fetched jars");
    }
    Some(folder)
}

/// The folder for what tests keep. Cargo names it to tests and benches; an example is built two
/// folders beside it.
fn target_tmp() -> PathBuf {
    option_env!("CARGO_TARGET_TMPDIR").map_or_else(
        || {
            let program = env::current_exe().expect("the path of this program");
            let target = program.ancestors().nth(3).expect("a program in target/release/examples");
            let folder = target.join("tmp");
            fs::create_dir_all(&folder).expect("a folder in the target folder");
            folder
        },
        PathBuf::from,
    )
}
