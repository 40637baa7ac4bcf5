//! The audit's machinery: a cluster, a fleet of worker processes, faults, and the account of what
//! became of every record.
//!
//! ```text
//! producer ─▶ brokers ◀─ proxy ─▶ workers (this program again, or the real one)
//!    │          │
//!    ▼          ▼
//!  ledger ◀─ readers, commit samples          ledger ─▶ auditor ─▶ report
//! ```
//!
//! The producer and all who watch reach the brokers directly; the workers, through the proxy.
#![allow(dead_code, reason = "the test and the example each use their part")]

pub(crate) mod auditor;
pub(crate) mod faults;
pub(crate) mod fleet;
#[path = "../../support/hasty.rs"]
mod hasty;
pub(crate) mod inject;
pub(crate) mod inputs;
pub(crate) mod ledger;
pub(crate) mod produce;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod stage;
pub(crate) mod watch;
pub(crate) mod watching;
pub(crate) mod worker;
