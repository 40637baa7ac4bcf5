use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::hub::Progress;

const TICK: Duration = Duration::from_millis(200);

/// How far something came, on a terminal; nothing elsewhere.
///
/// `total` is `None` where nobody knows how much there is; a command that learns it later begins
/// with 0 and sets the length.
pub(super) fn bar(total: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match total {
        Some(total) => {
            (ProgressBar::new(total), "{msg} {wide_bar} {percent}% {elapsed}, {eta} left")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {msg} {elapsed}"),
    };
    let bar = match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    };
    bar.enable_steady_tick(TICK);
    bar
}

/// Bytes that arrive, on a terminal.
pub(super) struct Download(ProgressBar);

// === impl Download ===

impl Download {
    pub(super) fn bar(&self) -> &ProgressBar {
        &self.0
    }
}

impl Progress for Download {
    fn expect(&self, bytes: u64) {
        self.0.inc_length(bytes);
        if self.0.is_hidden() && io::stderr().is_terminal() {
            self.0.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

/// The bar of a download, which shows nothing until something is to be fetched.
pub(super) fn download() -> Download {
    let bar = ProgressBar::hidden().with_message("model");
    bar.set_length(0);
    let template = "{msg} {wide_bar} {bytes} of {total_bytes} {bytes_per_sec}, {eta} left";
    Download(match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    })
}
