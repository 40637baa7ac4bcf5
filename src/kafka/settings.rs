use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How to reach the cluster, and how to behave in the group. Already checked by `config`.
#[derive(Clone)]
pub struct Settings {
    /// `host:port`, comma separated.
    pub brokers: String,
    /// The consumer group.
    pub group: String,
    /// Where candidate sets come from.
    pub input_topic: String,
    /// Encryption and authentication.
    pub security: Security,
    /// How the group agrees on who reads what.
    pub group_protocol: GroupProtocol,
    /// The name under which this worker is known to its group across restarts.
    pub instance_id: Option<String>,
    /// After this long without a heartbeat the group takes the partitions away. Only of use with
    /// [`GroupProtocol::Classic`]; with the other the brokers decide.
    pub session_timeout: Duration,
    /// How long a rebalance waits for work in flight on the partitions that go away.
    pub drain_timeout: Duration,
    /// How long the group waits in a rebalance for a member that is busy letting go.
    pub rebalance_timeout: Duration,
    /// How often settled offsets are committed.
    pub commit_interval: Duration,
    /// Records of one partition that may be claimed beyond its committed offset: what is read again
    /// at most when this process dies.
    pub uncommitted_max: usize,
    /// Whether a commit carries what is settled above it, so that it is not scored again.
    pub keep_completed: bool,
    /// What is promised to the readers of the outputs.
    pub delivery: Delivery,
    /// How often a transaction is begun, where there is something to commit. Only of use with
    /// [`Delivery::ExactlyOnce`], like the next two.
    pub transaction_interval: Duration,
    /// So many outputs that wait begin a transaction before its time.
    pub transaction_records: usize,
    /// After this long the brokers abort a transaction whose producer says nothing more; readers of
    /// committed records wait for it.
    pub transaction_timeout: Duration,
    /// How long a produced record may wait for its acknowledgement before it is retried above.
    pub delivery_timeout: Duration,
    /// A client without any broker for so long is replaced, if a fresh one reaches the cluster.
    pub watchdog_timeout: Duration,
    /// Records read ahead over all partitions, in bytes.
    pub prefetch_bytes: usize,
    /// The largest record that is produced, in bytes.
    pub record_bytes_max: usize,
    /// How long start-up waits for the cluster before it fails.
    pub startup_timeout: Duration,
    /// Any other librdkafka property, for consumer and producer alike, except those that carry a
    /// guarantee.
    pub client: BTreeMap<String, String>,
}

/// What is promised to the readers of the outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Every record is answered; after a crash or a rebalance some are answered again.
    #[default]
    AtLeastOnce,
    /// Readers of committed records see every record answered once: outputs, dead letters and offsets
    /// are committed in transactions.
    ExactlyOnce,
}

/// How a group agrees on who reads what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupProtocol {
    /// The members agree among themselves, by cooperative-sticky; every broker knows it.
    #[default]
    Classic,
    /// The brokers assign (KIP-848); needs Kafka 4.0 or later.
    Consumer,
}

/// Encryption and authentication.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// Encrypt the connection.
    pub tls: bool,
    /// PEM file with the authorities to trust; the system's where absent.
    pub ca_file: Option<String>,
    /// PEM file with the client's certificate.
    pub certificate_file: Option<String>,
    /// PEM file with the client's key.
    pub key_file: Option<String>,
    /// How to authenticate.
    pub sasl: Option<Sasl>,
}

/// How to authenticate.
#[derive(Clone, Debug)]
pub enum Sasl {
    /// User name and password, in clear text: use with TLS.
    Plain(Credentials),
    /// User name and password, SCRAM-SHA-256.
    ScramSha256(Credentials),
    /// User name and password, SCRAM-SHA-512.
    ScramSha512(Credentials),
    /// An OAuth token, read anew from this file whenever the old one is about to expire.
    /// Lifetime and principal are those of the token (a JWT).
    OauthBearer {
        /// The file with the token.
        token_file: String,
    },
}

/// A user name and a password.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

// === impl Settings ===

impl fmt::Debug for Settings {
    /// Everything but the values of `client`, which can be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("brokers", &self.brokers)
            .field("group", &self.group)
            .field("input_topic", &self.input_topic)
            .field("security", &self.security)
            .field("group_protocol", &self.group_protocol)
            .field("instance_id", &self.instance_id)
            .field("session_timeout", &self.session_timeout)
            .field("drain_timeout", &self.drain_timeout)
            .field("rebalance_timeout", &self.rebalance_timeout)
            .field("commit_interval", &self.commit_interval)
            .field("uncommitted_max", &self.uncommitted_max)
            .field("keep_completed", &self.keep_completed)
            .field("delivery", &self.delivery)
            .field("transaction_interval", &self.transaction_interval)
            .field("transaction_records", &self.transaction_records)
            .field("transaction_timeout", &self.transaction_timeout)
            .field("delivery_timeout", &self.delivery_timeout)
            .field("watchdog_timeout", &self.watchdog_timeout)
            .field("prefetch_bytes", &self.prefetch_bytes)
            .field("record_bytes_max", &self.record_bytes_max)
            .field("startup_timeout", &self.startup_timeout)
            .field("client", &self.client.keys())
            .finish()
    }
}

// === impl Secret ===

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
