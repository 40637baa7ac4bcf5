//! Asks a running worker whether it is ready, for the health check of a container without a shell.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use ureq::Agent;

use super::CliError;

/// Longer than a worker that is well takes, shorter than the time-out of a usual health check.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The answer has a line for each check.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Where the worker listens, as `admin.address` in the environment.
const ADDRESS_VARIABLE: &str = "CROSSRANK__ADMIN__ADDRESS";
/// The default of `admin.address`.
const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

const EXAMPLE: &str = "The exit code is 0 where the answer is 200, and 1 otherwise. /livez, for a worker that makes \
                       progress, and /readyz need no token.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    /// Where the admin port of the worker answers: /readyz where CROSSRANK__ADMIN__ADDRESS says, or on the default
    /// port of this machine.
    #[arg(value_name = "URL")]
    url: Option<String>,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), CliError> {
    let url = arguments.url.unwrap_or_else(|| ready_at(std::env::var(ADDRESS_VARIABLE).ok()));
    let asked = tokio::task::spawn_blocking(move || ask(&url));
    let answer =
        asked.await.map_err(|error| CliError::Panicked { reason: error.to_string() })??;
    io::stdout().write_all(answer.as_bytes()).map_err(CliError::Write)
}

/// Where the worker of this container says whether it is ready. What is no address is none that it listens on.
fn ready_at(configured: Option<String>) -> String {
    let mut address =
        configured.and_then(|text| text.trim().parse().ok()).unwrap_or(DEFAULT_ADDRESS);
    // Every address of the machine is none that can be asked.
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    format!("http://{address}/readyz")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_asked_where_the_environment_has_it_listen() {
        for (configured, asked) in [
            (None, "127.0.0.1:9464"),
            (Some("no address"), "127.0.0.1:9464"),
            (Some("127.0.0.1:9500"), "127.0.0.1:9500"),
            (Some("0.0.0.0:9500"), "127.0.0.1:9500"),
            (Some("[::]:9500"), "[::1]:9500"),
            (Some("10.1.2.3:80"), "10.1.2.3:80"),
        ] {
            let url = ready_at(configured.map(str::to_owned));
            assert_eq!(url, format!("http://{asked}/readyz"), "{configured:?}");
        }
    }

    #[test]
    fn the_default_is_that_of_the_configuration() {
        let defaults = include_str!("../config/default.toml");
        assert!(defaults.contains(&format!("\naddress = \"{DEFAULT_ADDRESS}\"\n")));
    }
}
