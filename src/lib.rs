//! crossrank takes candidate sets from a Kafka topic, scores every (query, passage) pair with a
//! cross-encoder, and publishes the reranked context to an output topic.
//!
//! The rooms, and what each one knows:
//!
//! | room | knows |
//! |---|---|
//! | [`wire`] | the three record formats, their limits and versions |
//! | [`rank`] | logits → order, scores, cut-offs |
//! | [`context`] | results → the text a prompt carries |
//! | [`evaluation`] | rankings and judgements → measures, intervals, a verdict |
//! | [`stream`] | Kafka's words without Kafka: records, positions, acknowledgements |
//! | [`engine`] | text pairs → logits: tokenisation, packing, replicas |
//! | [`hub`] | models by name: the hub's cache and protocol |
//! | [`kafka`] | the only room that names rdkafka |
//! | [`worker`] | a record's way from claim to commit |
//! | [`config`] | files, environment and flags → one checked [`config::Config`] |
//! | [`telemetry`] | logs, counts, what a worker knows about itself, and what of it leaves the process |
//! | [`admin`] | what probes and people ask a running worker |
//! | [`cli`] | one file per subcommand |

pub mod admin;
pub mod cli;
pub mod config;
pub mod context;
pub mod engine;
pub mod evaluation;
pub mod hub;
pub mod kafka;
pub mod rank;
pub mod stream;
pub mod telemetry;
pub mod wire;
pub mod worker;

mod error_text;

pub use error_text::error_text;
