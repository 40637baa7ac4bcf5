//! Asks a running worker whether it is ready, for the health check of a container without a shell.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use ureq::Agent;

use super::CliError;

/// Longer than a worker that is well takes, shorter than the time-out of a usual health check.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The answer has a line for each check.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

const EXAMPLE: &str = "The exit code is 0 where the answer is 200, and 1 otherwise. /livez, for a worker that makes \
                       progress, and /readyz need no token.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// Where the admin port of the worker answers.
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:9464/readyz")]
    url: String,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let asked = tokio::task::spawn_blocking(move || ask(&arguments.url));
    let answer =
        asked.await.map_err(|error| CliError::Panicked { reason: error.to_string() })??;
    io::stdout().write_all(answer.as_bytes()).map_err(CliError::Write)
}

/// The body of a 200.
fn ask(url: &str) -> Result<String, CliError> {
    let silent = |source| CliError::ProbeSilent { url: url.to_owned(), source: Box::new(source) };
    // A worker stands behind no proxy, and does not redirect.
    let agent = Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_global(Some(TIMEOUT))
        .build()
        .new_agent();
    let mut response = agent.get(url).call().map_err(silent)?;
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
    let answer = body.read_to_string().map_err(silent)?;
    match response.status().as_u16() {
        200 => Ok(answer),
        status => {
            let answer = answer.trim_end().to_owned();
            Err(CliError::ProbeRefused { url: url.to_owned(), status, answer })
        }
    }
}
