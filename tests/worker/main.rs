//! The whole worker in process: `LocalBroker`, a scorer that the test decides, time paused.

mod bad_records;
mod breaker;
mod deadlines;
mod delivery;
mod failures;
#[path = "../support/hasty.rs"]
mod hasty;
mod ordering;
mod rebalance;
mod seeds;
mod spans;
mod stage;
mod telling;
