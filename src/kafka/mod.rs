//! The only room that names rdkafka. `design.md`, beside this file, says how and why.

mod client;
mod closing;
mod commit;
mod context;
mod error;
mod guarded;
mod hand_out;
mod headers;
mod in_process;
mod leaving;
mod oauth;
mod outage;
mod poll;
mod producing;
mod reach;
mod read_one;
mod reader;
mod rebalance;
mod rebuild;
mod settings;
mod sink;
mod source;
mod statistics;
mod transactions;
mod watch;
mod watchdog;

pub use error::StartError;
pub use guarded::{GUARDED, guarded, refused};
pub use in_process::InProcessCluster;
pub use reach::{ClusterReport, TopicReport, probe};
pub use read_one::OffsetReader;
pub use reader::{ReadError, TopicReader};
pub use settings::{Credentials, Delivery, GroupProtocol, Sasl, Secret, Security, Settings};
pub use sink::KafkaSink;
pub use source::KafkaSource;
pub use transactions::{TransactionSink, start_exactly_once, start_exactly_once_counting};
