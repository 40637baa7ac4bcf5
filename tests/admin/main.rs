//! The admin port: over HTTP, beside a worker, and in a browser.

#[cfg(unix)]
mod browser;
mod client;
mod http;
#[cfg(unix)]
mod page;
#[expect(dead_code, reason = "shared with the tests of the worker, which use all of it")]
#[path = "../worker/stage.rs"]
mod stage;
mod worker;
