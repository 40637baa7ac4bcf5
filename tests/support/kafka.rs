//! A real Apache Kafka for tests, from its Maven artefacts.
//!
//! `CROSSRANK_TEST_BROKERS` names a running cluster to use instead, where a test can.
//! `CROSSRANK_REQUIRE_KAFKA=1` makes a missing Java or Maven a failure instead of a skipped test.
#![allow(dead_code, reason = "every test binary uses its part")]

mod artefacts;
pub(crate) mod proxy;

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tempfile::TempDir;

use artefacts::artefacts;
use proxy::Proxy;

const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";
const START_MAX: Duration = Duration::from_secs(120);
/// Who may do everything on the listeners that authenticate.
pub(crate) const ADMIN: (&str, &str) = ("alice", "alice-secret");
/// Who is known, but may do nothing.
pub(crate) const STRANGER: (&str, &str) = ("mallory", "mallory-secret");

/// One cluster at a time: each takes several hundred megabytes.
static ONE: Mutex<()> = Mutex::new(());

/// A cluster, gone with this value.
pub(crate) struct Kafka {
    nodes: Vec<Node>,
    libs: PathBuf,
    proxy: Option<Proxy>,
    folder: Option<TempDir>,
    external: Option<String>,
    _one: MutexGuard<'static, ()>,
}

struct Node {
    folder: PathBuf,
    ports: Ports,
    process: Option<Child>,
}

#[derive(Clone, Copy)]
struct Ports {
    plain: u16,
    controller: u16,
    sasl: u16,
    tls: u16,
    proxied: u16,
}

/// What a cluster is like.
#[derive(Clone, Copy, Default)]
pub(crate) struct Options {
    /// 1 or 3.
    pub(crate) nodes: usize,
    /// Also a listener with SASL and one with TLS, and an authorizer: on those listeners only
    /// [`ADMIN`] may do anything.
    pub(crate) secured: bool,
    /// Also a listener that clients reach through a [`Proxy`] only. Brokers talk to each other
    /// directly.
    pub(crate) proxied: bool,
}

// === impl Kafka ===

impl Kafka {
    /// A cluster of one node, or the one that `CROSSRANK_TEST_BROKERS` names; `None` if the test
    /// has to be skipped.
    pub(crate) fn start() -> Option<Self> {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(brokers) = env::var("CROSSRANK_TEST_BROKERS") {
            let (nodes, libs, folder) = (Vec::new(), PathBuf::new(), None);
            let external = Some(brokers);
            return Some(Self { nodes, libs, proxy: None, folder, external, _one: one });
        }
        Self::launch(Options { nodes: 1, ..Options::default() }, one)
    }

    /// A cluster of our own; `None` if the test has to be skipped.
    pub(crate) fn own(options: Options) -> Option<Self> {
        Self::launch(options, ONE.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn launch(options: Options, one: MutexGuard<'static, ()>) -> Option<Self> {
        let libs = artefacts()?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let node = |id: usize| Node {
            folder: folder.path().join(format!("node-{id}")),
            ports: Ports::free(),
            process: None,
        };
        let nodes: Vec<Node> = (1..=options.nodes).map(node).collect();
        let address = |node: &Node| SocketAddr::from((Ipv4Addr::LOCALHOST, node.ports.proxied));
        let proxy =
            options.proxied.then(|| Proxy::listen(&nodes.iter().map(address).collect::<Vec<_>>()));
        let folder = Some(folder);
        let mut kafka = Self { nodes, libs, proxy, folder, external: None, _one: one };
        if options.secured {
            kafka.make_certificate();
        }
        for id in 1..=options.nodes {
            kafka.format(id, options);
        }
        for id in 1..=options.nodes {
            kafka.spawn(id);
        }
        kafka.wait_for(options.nodes);
        Some(kafka)
    }

    /// The listener without authentication.
    pub(crate) fn brokers(&self) -> String {
        self.external.clone().unwrap_or_else(|| self.listener(|ports| ports.plain))
    }

    /// The listener with SASL, in clear text.
    pub(crate) fn sasl_brokers(&self) -> String {
        self.listener(|ports| ports.sasl)
    }

    /// The listener with TLS, without SASL.
    pub(crate) fn tls_brokers(&self) -> String {
        self.listener(|ports| ports.tls)
    }

    /// The listener behind the proxy, without authentication.
    pub(crate) fn proxied_brokers(&self) -> String {
        let addresses = self.proxy().addresses().iter().map(ToString::to_string);
        addresses.collect::<Vec<_>>().join(",")
    }

    /// What stands between the clients of [`Self::proxied_brokers`] and the brokers.
    pub(crate) fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("a cluster with a proxy")
    }

    /// The certificate that the TLS listener shows, in PEM.
    pub(crate) fn certificate(&self) -> String {
        self.path("cert.pem").display().to_string()
    }

    /// Kills a node with SIGKILL.
    pub(crate) fn kill(&mut self, id: usize) {
        if let Some(mut process) = self.nodes[id - 1].process.take() {
            process.kill().expect("SIGKILL");
            process.wait().expect("the end of the node");
        }
    }

    /// Asks a node to stop: it hands its partitions over to the others first.
    pub(crate) fn stop(&mut self, id: usize) {
        if let Some(mut process) = self.nodes[id - 1].process.take() {
            let line = format!("kill -TERM {}", process.id());
            assert!(Command::new("sh").args(["-c", &line]).status().expect("sh").success());
            process.wait().expect("the end of the node");
        }
    }

    /// Starts a node that was killed or stopped, on its old ports with its old log.
    pub(crate) fn restart(&mut self, id: usize) {
        self.spawn(id);
    }

    /// Waits until so many brokers are in the cluster.
    pub(crate) fn wait_for(&mut self, brokers: usize) {
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.brokers())
            .create()
            .expect("a client");
        let until = Instant::now() + START_MAX;
        loop {
            drop(client.poll(Duration::ZERO));
            let seen = client.fetch_metadata(None, Duration::from_millis(500));
            if seen.is_ok_and(|metadata| metadata.brokers().len() >= brokers) {
                return;
            }
            for node in &mut self.nodes {
                let process = node.process.as_mut().expect("a running node");
                if let Some(status) = process.try_wait().expect("the state of the node") {
                    panic!("Kafka ended with {status}:\n{}", node.log_tail());
                }
            }
            assert!(Instant::now() < until, "Kafka did not start:\n{}", self.nodes[0].log_tail());
        }
    }

    fn listener(&self, port: impl Fn(&Ports) -> u16) -> String {
        let address = |node: &Node| format!("127.0.0.1:{}", port(&node.ports));
        self.nodes.iter().map(address).collect::<Vec<_>>().join(",")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.as_ref().expect("a cluster of our own").path().join(name)
    }

    fn java(&self) -> Command {
        let mut java = Command::new("java");
        // Starts fast and stays small; throughput is not what these tests are about.
        java.args(["-Xmx384m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        java.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
        java.arg("-cp").arg(self.libs.join("*"));
        java
    }

    fn format(&self, id: usize, options: Options) {
        let node = &self.nodes[id - 1];
        fs::create_dir_all(&node.folder).expect("the node's folder");
        let file = node.folder.join("server.properties");
        fs::write(&file, self.properties(id, options)).expect("server.properties");
        let mut tool = self.java();
        tool.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]).arg(&file);
        if options.secured {
            for (user, password) in [ADMIN, STRANGER] {
                let user = format!("SCRAM-SHA-256=[name={user},password={password}]");
                tool.args(["--add-scram", &user]);
            }
        }
        let output = tool.output().expect("java");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cannot format the node: {said}");
    }

    fn properties(&self, id: usize, options: Options) -> String {
        let Ports { plain, controller, sasl, tls, proxied } = self.nodes[id - 1].ports;
        let voter =
            |(at, node): (usize, &Node)| format!("{}@127.0.0.1:{}", at + 1, node.ports.controller);
        let voters = self.nodes.iter().enumerate().map(voter).collect::<Vec<_>>().join(",");
        let replicas = self.nodes.len();
        let in_sync = if replicas > 1 { 2 } else { 1 };
        let logs = self.nodes[id - 1].folder.join("logs");
        let logs = logs.display();
        let mut listeners = format!("PLAINTEXT://127.0.0.1:{plain}");
        if options.secured {
            listeners += &format!(",SASL://127.0.0.1:{sasl},TLS://127.0.0.1:{tls}");
        }
        let mut advertised = listeners.clone();
        if let Some(proxy) = &self.proxy {
            listeners += &format!(",PROXIED://127.0.0.1:{proxied}");
            advertised += &format!(",PROXIED://{}", proxy.addresses()[id - 1]);
        }
        let mut text = format!(
            "process.roles=broker,controller\nnode.id={id}\ncontroller.quorum.voters={voters}\n\
             listeners={listeners},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners={advertised}\ncontroller.listener.names=CONTROLLER\n\
             inter.broker.listener.name=PLAINTEXT\n\
             listener.security.protocol.map=\
             CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL\n\
             log.dirs={logs}\noffsets.topic.replication.factor={replicas}\n\
             default.replication.factor={replicas}\nmin.insync.replicas={in_sync}\n\
             transaction.state.log.replication.factor={replicas}\n\
             transaction.state.log.min.isr={in_sync}\n\
             share.coordinator.state.topic.replication.factor={replicas}\n\
             share.coordinator.state.topic.min.isr={in_sync}\n\
             offsets.topic.num.partitions=1\ntransaction.state.log.num.partitions=1\n\
             transaction.abort.timed.out.transaction.cleanup.interval.ms=1000\n\
             group.initial.rebalance.delay.ms=0\ngroup.min.session.timeout.ms=1000\n\
             group.consumer.min.session.timeout.ms=1000\n\
             group.consumer.session.timeout.ms=3000\n\
             group.consumer.min.heartbeat.interval.ms=100\n\
             group.consumer.heartbeat.interval.ms=500\n\
             broker.session.timeout.ms=3000\nbroker.heartbeat.interval.ms=500\n\
             controller.quorum.fetch.timeout.ms=1500\ncontroller.quorum.election.timeout.ms=500\n\
             controller.quorum.election.backoff.max.ms=500\nauto.create.topics.enable=false\n\
             num.network.threads=2\nnum.io.threads=2\nlog.cleaner.dedupe.buffer.size=4194304\n"
        );
        if options.secured {
            text += &self.secured();
        }
        text
    }

    fn secured(&self) -> String {
        let store = self.path("key.p12");
        let store = store.display();
        let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required";
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required";
        let users = [ADMIN, STRANGER].map(|(user, password)| format!("user_{user}=\"{password}\""));
        format!(
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             super.users=User:ANONYMOUS;User:{admin}\nssl.client.auth=none\n\
             sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256\n\
             listener.name.sasl.plain.sasl.jaas.config={plain} {users};\n\
             listener.name.sasl.scram-sha-256.sasl.jaas.config={scram};\n\
             ssl.keystore.type=PKCS12\nssl.keystore.location={store}\n\
             ssl.keystore.password=changeit\nssl.key.password=changeit\n",
            admin = ADMIN.0,
            users = users.join(" "),
        )
    }

    fn make_certificate(&self) {
        let (store, file) = (self.path("key.p12"), self.path("cert.pem"));
        let common = ["-alias", "kafka", "-storetype", "PKCS12", "-storepass", "changeit"];
        let mut make = Command::new("keytool");
        make.args(["-genkeypair", "-keyalg", "EC", "-validity", "2", "-dname", "CN=localhost"]);
        make.args(["-ext", "san=ip:127.0.0.1,dns:localhost", "-ext", "bc=ca:true"]);
        let mut export = Command::new("keytool");
        export.args(["-exportcert", "-rfc", "-file"]).arg(file);
        for command in [&mut make, &mut export] {
            let output = command.args(common).arg("-keystore").arg(&store).output();
            let output = output.expect("keytool");
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "keytool: {said}");
        }
    }

    fn spawn(&mut self, id: usize) {
        let mut java = self.java();
        let node = &mut self.nodes[id - 1];
        let log = File::options().create(true).append(true).open(node.folder.join("kafka.log"));
        let log = log.expect("kafka.log");
        java.arg("kafka.Kafka").arg(node.folder.join("server.properties"));
        java.stdin(Stdio::null()).stdout(log.try_clone().expect("kafka.log")).stderr(log);
        node.process = Some(java.spawn().expect("java"));
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        for id in 1..=self.nodes.len() {
            self.kill(id);
        }
    }
}

// === impl Node ===

impl Node {
    fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.folder.join("kafka.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

// === impl Ports ===

impl Ports {
    fn free() -> Self {
        let [plain, controller, sasl, tls, proxied] = [(); 5].map(|()| free_port());
        Self { plain, controller, sasl, tls, proxied }
    }
}

/// A port that nobody listens on, each time another one. Not of those that systems give to outgoing
/// connections: until a broker binds it, and while it is restarted, a client could come to have it.
fn free_port() -> u16 {
    const PORTS: std::ops::Range<u16> = 12_000..32_000;
    static NEXT: Mutex<Option<u16>> = Mutex::new(None);
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut port = next.unwrap_or_else(|| fastrand::u16(PORTS));
    loop {
        port = if port + 1 < PORTS.end { port + 1 } else { PORTS.start };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            *next = Some(port);
            return port;
        }
    }
}

/// Creates a topic, as an operator would.
pub(crate) async fn create_topic(brokers: &str, name: &str, partitions: i32, replicas: i32) {
    create(brokers, NewTopic::new(name, partitions, TopicReplication::Fixed(replicas))).await;
}

/// Creates a topic of one partition, on this broker alone.
pub(crate) async fn create_topic_on(brokers: &str, name: &str, broker: i32) {
    create(brokers, NewTopic::new(name, 1, TopicReplication::Variable(&[&[broker]]))).await;
}

async fn create(brokers: &str, topic: NewTopic<'_>) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().expect("an admin client");
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
    let results = admin.create_topics([&topic], &options).await.expect("an answer");
    results[0].as_ref().expect("a new topic");
}

/// Deletes a topic.
pub(crate) async fn delete_topic(brokers: &str, name: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().expect("an admin client");
    let results = admin.delete_topics(&[name], &AdminOptions::new()).await.expect("an answer");
    results[0].as_ref().expect("a deleted topic");
}

/// Says why a test did nothing, past libtest's capture, which hides what passing tests print.
pub(crate) fn skipped(why: &str) {
    let line = format!("skipped: {why}\n");
    io::stderr().write_all(line.as_bytes()).expect("standard error");
}
