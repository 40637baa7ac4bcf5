use std::io;

use tokio::sync::watch;

/// The exit code of a process that was told twice to stop: 128 + SIGINT.
const FORCED_EXIT: i32 = 130;

/// Turns the first SIGTERM or Ctrl-C into a value that can be waited for; the second ends the
/// process at once.
#[derive(Clone, Debug)]
pub(super) struct Shutdown(watch::Receiver<bool>);

// === impl Shutdown ===

impl Shutdown {
    /// Starts listening. From here on no signal ends the process by itself.
    pub(super) fn listen() -> io::Result<Self> {
        let mut signals = Signals::new()?;
        let (asked, receiver) = watch::channel(false);
        tokio::spawn(async move {
            let name = signals.next().await;
            tracing::info!(
                signal = name,
                "asked to stop; a second signal ends the process at once"
            );
            asked.send_replace(true);
            signals.next().await;
            #[expect(clippy::disallowed_methods, reason = "asked for twice")]
            std::process::exit(FORCED_EXIT);
        });
        Ok(Self(receiver))
    }

    /// Ready once the first signal has come.
    pub(super) async fn asked(&mut self) {
        // The sender lives as long as the process.
        let _ended = self.0.wait_for(|asked| *asked).await;
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> &'static str {
        // Where Ctrl-C cannot be listened to, nothing ever comes.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}
