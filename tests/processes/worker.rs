use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::stage::Stage;

/// Records of one partition that a worker may have claimed beyond its commit.
pub(crate) const UNCOMMITTED_MAX: usize = 400;
/// How long a worker may take to start or to stop.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A `crossrank run` of its own.
pub(crate) struct Worker {
    child: Child,
    folder: TempDir,
}

/// A worker that has ended.
pub(crate) struct Stopped {
    pub(crate) code: Option<i32>,
    pub(crate) log: String,
}

// === impl Stopped ===

impl Stopped {
    /// Sets that it claimed, as it said when it stopped.
    pub(crate) fn sets_claimed(&self) -> usize {
        let events = self.log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        // The last report is that of the whole life, and so the largest.
        let counts = events.filter_map(|event| event["sets_claimed"].as_u64());
        counts.max().expect("the counts of a stopped worker") as usize
    }
}

// === impl Worker ===

impl Worker {
    pub(crate) fn start(stage: &Stage) -> Self {
        Self::start_with(stage, &[])
    }

    /// Starts a worker with further settings, and waits until it takes part.
    pub(crate) fn start_with(stage: &Stage, settings: &[(&str, &str)]) -> Self {
        let mut command = command(stage);
        command.envs(settings.iter().copied());
        Self::spawn(command)
    }

    /// Starts a worker that publishes and commits in transactions.
    pub(crate) fn start_exactly_once(stage: &Stage) -> Self {
        let mut command = command(stage);
        // Transactions have an interval of their own.
        command.env_remove("CROSSRANK__KAFKA__COMMIT_INTERVAL_MS");
        command.env("CROSSRANK__KAFKA__DELIVERY", "exactly-once");
        // The next one waits for the end of the transaction that the last one left open.
        command.env("CROSSRANK__KAFKA__TRANSACTION_TIMEOUT_MS", "2000");
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        command.arg("run");
        command.stderr(File::create(folder.path().join("log")).unwrap());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut worker = Self { child: command.spawn().unwrap(), folder };
        worker.wait("the group to be joined", |log| log.contains("partitions assigned"));
        worker
    }

    fn log(&self) -> String {
        read(&self.folder.path().join("log"))
    }

    /// Where its admin port answers.
    pub(crate) fn admin(&self) -> String {
        let events = self.log();
        let events = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut addresses = events.filter_map(|event| Some(event["address"].as_str()?.to_owned()));
        format!("http://{}", addresses.next().expect("a line with the address"))
    }

    /// The most memory that the process has had, in bytes.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory_max(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib << 10
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn terminate(mut self) -> Stopped {
        self.signal("TERM");
        self.end()
    }

    /// Waits until the worker ends by itself.
    pub(crate) fn ended(mut self) -> Stopped {
        self.end()
    }

    pub(crate) fn interrupt_twice(mut self) -> Stopped {
        self.signal("INT");
        self.wait("the first signal", |log| log.contains("asked to stop"));
        self.signal("INT");
        self.end()
    }

    fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
    }

    fn end(&mut self) -> Stopped {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Stopped { code: status.code(), log: self.log() };
            }
            assert!(Instant::now() < deadline, "the worker does not end:\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn wait(&mut self, what: &str, condition: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + WAIT_MAX;
        while !condition(&self.log()) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the worker ended ({ended:?}):\n{}", self.log());
            assert!(Instant::now() < deadline, "waited in vain for {what}:\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // A failed test leaves no process behind; one that has ended cannot be killed.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// `crossrank`, configured for this stage.
pub(crate) fn command(stage: &Stage) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crossrank"));
    command.envs([
        ("CROSSRANK__KAFKA__BROKERS", stage.brokers.as_str()),
        ("CROSSRANK__KAFKA__GROUP", &stage.group),
        ("CROSSRANK__KAFKA__INPUT_TOPIC", &stage.input),
        ("CROSSRANK__WORKER__OUTPUT_TOPIC", &stage.output),
        ("CROSSRANK__WORKER__DEAD_LETTER_TOPIC", &stage.dead),
        ("CROSSRANK__KAFKA__SESSION_TIMEOUT_MS", "6000"),
        ("CROSSRANK__KAFKA__DRAIN_TIMEOUT_MS", "3000"),
        ("CROSSRANK__KAFKA__COMMIT_INTERVAL_MS", "200"),
        ("CROSSRANK__KAFKA__UNCOMMITTED_MAX", &UNCOMMITTED_MAX.to_string()),
        // Several run on this machine.
        ("CROSSRANK__ADMIN__ADDRESS", "127.0.0.1:0"),
    ]);
    command.env("CROSSRANK__MODEL__PATH", model());
    command
}

/// The model of `CROSSRANK_REAL_MODEL`, or the fixture that stands in for one.
pub(crate) fn model() -> PathBuf {
    std::env::var_os("CROSSRANK_REAL_MODEL").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("model/fixtures/tiny-bert"),
        PathBuf::from,
    )
}

fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
