//! Worker processes: started, signalled, watched.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::inputs;
use super::worker::{
    BATCH_BYTES, Delivery, Role, SESSION_TIMEOUT, TRANSACTION_TIMEOUT, UNCOMMITTED_MAX,
};

/// Names a folder in which the workers' logs stay.
const LOGS: &str = "CROSSRANK_AUDIT_LOGS";
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long a worker may take to start, or to stop.
const WAIT_MAX: Duration = Duration::from_secs(60);
const TAIL_LINES: usize = 15;
/// A longer line is a client's statistics.
const LINE_BYTES_MAX: usize = 2_000;

/// What a worker process runs.
#[derive(Clone, Debug)]
pub(crate) enum Program {
    /// This program again, with these arguments.
    Again(Vec<String>),
    /// The real one, with a model.
    Real { program: PathBuf, model: PathBuf },
}

/// The process ids of the workers that run.
pub(crate) type Pids = Arc<Mutex<Vec<u32>>>;

/// The workers.
pub(crate) struct Fleet {
    program: Program,
    role: Role,
    logs: PathBuf,
    _folder: Option<TempDir>,
    members: Vec<Member>,
    started: usize,
    pids: Pids,
    /// What the workers did that nobody had asked for.
    pub(crate) mishaps: Vec<String>,
}

struct Member {
    number: usize,
    child: Child,
}

// === impl Fleet ===

impl Fleet {
    pub(crate) fn new(program: Program, role: Role, name: &str) -> Self {
        let (logs, folder) = match std::env::var_os(LOGS) {
            Some(folder) => {
                let folder = PathBuf::from(folder).join(name);
                fs::create_dir_all(&folder).expect("a folder for logs");
                (folder, None)
            }
            None => {
                let folder = tempfile::tempdir().expect("a temporary folder");
                (folder.path().to_owned(), Some(folder))
            }
        };
        let (members, mishaps) = (Vec::new(), Vec::new());
        let pids = Pids::default();
        Self { program, role, logs, _folder: folder, members, started: 0, pids, mishaps }
    }

    pub(crate) fn pids(&self) -> Pids {
        Arc::clone(&self.pids)
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Starts a worker.
    pub(crate) fn start(&mut self) {
        self.started += 1;
        let number = self.started;
        let mut command = match &self.program {
            Program::Again(arguments) => {
                let program = std::env::current_exe().expect("the path of this program");
                let mut command = Command::new(program);
                command.args(arguments);
                self.role.give_to(&mut command);
                command
            }
            Program::Real { program, model } => real(program, model, &self.role),
        };
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(self.log(number)).expect("a log file"));
        let child = command.spawn().expect("a worker");
        self.members.push(Member { number, child });
        self.note_pids();
    }

    /// Waits until the newest worker takes part.
    pub(crate) fn wait_until_joined(&mut self) {
        let number = self.members.last().expect("a worker").number;
        let until = Instant::now() + WAIT_MAX;
        while !self.read_log(number).contains("partitions assigned") {
            assert!(Instant::now() < until, "worker {number} does not join:\n{}", self.tails());
            std::thread::park_timeout(LOOK_AGAIN);
            self.tend();
        }
    }

    /// The place of one that has partitions, but for one choice in eight, which is any.
    pub(crate) fn busy(&self, choice: usize) -> usize {
        let any = choice / 8 % self.members.len();
        if choice.is_multiple_of(8) {
            return any;
        }
        let is_busy = |&place: &usize| {
            let log = self.read_log(self.members[place].number);
            log.rfind("partitions assigned") > log.rfind("partitions lost")
        };
        let busy: Vec<usize> = (0..self.members.len()).filter(is_busy).collect();
        if busy.is_empty() { any } else { busy[choice / 8 % busy.len()] }
    }

    /// SIGKILL to the one at this place.
    pub(crate) fn kill(&mut self, place: usize) {
        let mut member = self.members.remove(place);
        member.child.kill().expect("SIGKILL");
        member.child.wait().expect("the end of a worker");
        self.note_pids();
    }

    /// SIGTERM to so many from this place on, at one time, and waits until they have ended.
    pub(crate) fn terminate(&mut self, place: usize, count: usize) {
        self.members.rotate_left(place);
        let mut going: Vec<Member> = self.members.drain(..count).collect();
        for member in &going {
            signal(&member.child, "TERM");
        }
        for member in &mut going {
            let until = Instant::now() + WAIT_MAX;
            let code = loop {
                if let Some(status) = member.child.try_wait().expect("the state of a worker") {
                    break status.code();
                }
                if Instant::now() > until {
                    member.child.kill().expect("SIGKILL");
                    member.child.wait().expect("the end of a worker");
                    break None;
                }
                std::thread::park_timeout(LOOK_AGAIN);
            };
            if code != Some(0) {
                self.mishap(member.number, &format!("was asked to stop, and ended with {code:?}"));
            }
        }
        self.note_pids();
    }

    /// Sends a signal to the one at this place, which stays in the fleet.
    pub(crate) fn signal(&self, place: usize, name: &str) {
        signal(&self.members[place].child, name);
    }

    /// Replaces workers that have ended by themselves.
    pub(crate) fn tend(&mut self) {
        let mut ended = Vec::new();
        self.members.retain_mut(|member| {
            let status = member.child.try_wait().expect("the state of a worker");
            ended.extend(status.map(|status| (member.number, status)));
            status.is_none()
        });
        for (number, status) in ended {
            self.mishap(number, &format!("ended by itself with {status}"));
            self.start();
        }
    }

    fn mishap(&mut self, number: usize, what: &str) {
        let tail = tail(&self.read_log(number));
        self.mishaps.push(format!("worker {number} {what}:\n{tail}"));
    }

    /// How often the workers' watchdogs have replaced a client.
    pub(crate) fn clients_replaced(&self) -> usize {
        let replaced = |number| self.read_log(number).matches("stuck while the cluster").count();
        (1..=self.started).map(replaced).sum()
    }

    /// The last lines of the logs of all who run.
    pub(crate) fn tails(&self) -> String {
        let tail = |member: &Member| {
            format!("worker {}:\n{}", member.number, tail(&self.read_log(member.number)))
        };
        self.members.iter().map(tail).collect::<Vec<_>>().join("\n")
    }

    fn log(&self, number: usize) -> PathBuf {
        self.logs.join(format!("worker-{number}.log"))
    }

    fn read_log(&self, number: usize) -> String {
        String::from_utf8_lossy(&fs::read(self.log(number)).unwrap_or_default()).into_owned()
    }

    fn note_pids(&self) {
        let pids = self.members.iter().map(|member| member.child.id()).collect();
        *self.pids.lock().unwrap_or_else(PoisonError::into_inner) = pids;
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for member in &mut self.members {
            // One that has ended cannot be killed.
            let _ended = member.child.kill();
            let _reaped = member.child.wait();
        }
    }
}

fn signal(child: &Child, name: &str) {
    let line = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &line]).status().expect("sh").success(), "{line}");
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| line.len() < LINE_BYTES_MAX).collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// `crossrank run`, set up as the workers of the test are.
fn real(program: &Path, model: &Path, role: &Role) -> Command {
    let mut command = Command::new(program);
    command.arg("run").env("CROSSRANK__MODEL__PATH", model);
    let timeout = |timeout: Duration| timeout.as_millis().to_string();
    match role.delivery {
        Delivery::AtLeastOnce => {
            command.env("CROSSRANK__KAFKA__COMMIT_INTERVAL_MS", "200");
            command.env("CROSSRANK__WORKER__ORDERING", "key");
        }
        Delivery::ExactlyOnce => {
            command.env("CROSSRANK__KAFKA__DELIVERY", "exactly-once");
            command.env("CROSSRANK__KAFKA__TRANSACTION_TIMEOUT_MS", timeout(TRANSACTION_TIMEOUT));
        }
    }
    command.envs([
        ("CROSSRANK__KAFKA__BROKERS", role.brokers.as_str()),
        ("CROSSRANK__KAFKA__GROUP", &role.group),
        ("CROSSRANK__KAFKA__INPUT_TOPIC", &role.input),
        ("CROSSRANK__WORKER__OUTPUT_TOPIC", &role.outputs),
        ("CROSSRANK__WORKER__DEAD_LETTER_TOPIC", &role.letters),
        ("CROSSRANK__WORKER__RETRY_WAIT_MAX_MS", "2000"),
        // Several run on this machine.
        ("CROSSRANK__ADMIN__ADDRESS", "127.0.0.1:0"),
        ("CROSSRANK__KAFKA__SESSION_TIMEOUT_MS", &timeout(SESSION_TIMEOUT)),
        ("CROSSRANK__KAFKA__DRAIN_TIMEOUT_MS", "2000"),
        ("CROSSRANK__KAFKA__DELIVERY_TIMEOUT_MS", "20000"),
        ("CROSSRANK__KAFKA__CLIENT__SOCKET_TIMEOUT_MS", "3000"),
        ("CROSSRANK__KAFKA__CLIENT__TOPIC_METADATA_REFRESH_INTERVAL_MS", "2000"),
        ("CROSSRANK__KAFKA__CLIENT__BATCH_SIZE", &BATCH_BYTES.to_string()),
        ("CROSSRANK__KAFKA__UNCOMMITTED_MAX", &UNCOMMITTED_MAX.to_string()),
        ("CROSSRANK__LIMITS__RECORD_BYTES_MAX", &inputs::RECORD_BYTES_MAX.to_string()),
    ]);
    command
}
