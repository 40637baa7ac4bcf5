use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::happened::{Notice, NoticeKind, Notices};

/// The message first, then the fields.
#[derive(Default)]
struct Words {
    message: String,
    fields: String,
}

// === impl Notices ===

impl<S: Subscriber> Layer<S> for Notices {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let kind = match *event.metadata().level() {
            Level::ERROR => NoticeKind::Error,
            Level::WARN => NoticeKind::Warning,
            Level::INFO | Level::DEBUG | Level::TRACE => return,
        };
        let Some(outbox) = self.0.get() else { return };
        outbox.notice(|| {
            let mut words = Words::default();
            event.record(&mut words);
            let Words { mut message, fields } = words;
            message.push_str(&fields);
            let code = event.metadata().target().to_owned();
            Notice { kind, code, message, position: None }
        });
    }
}

// === impl Words ===

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _written = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name if name.starts_with("log.") => Ok(()),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry::Registry;

    use super::super::happened::{Happened, Outbox};
    use super::*;

    #[test]
    fn warnings_and_errors_are_noticed_with_their_fields_and_nothing_below() {
        let (outbox, received) = Outbox::new(false);
        let notices = Notices::default();
        notices.0.set(Arc::new(outbox)).unwrap();
        tracing::subscriber::with_default(Registry::default().with(notices), || {
            tracing::info!("assigned");
            tracing::warn!(target: "crossrank::kafka", partition = 3, reason = "gone", "lost");
            tracing::error!("stopped");
        });
        let seen: Vec<Notice> = received
            .try_iter()
            .map(|happened| match happened {
                Happened::Notice(notice) => notice,
                Happened::Set(_) => panic!("no set"),
            })
            .collect();
        assert_eq!(seen.len(), 2);
        assert_eq!(
            (seen[0].kind, seen[0].code.as_str()),
            (NoticeKind::Warning, "crossrank::kafka")
        );
        assert_eq!(seen[0].message, "lost partition=3 reason=gone");
        assert_eq!((seen[1].kind, seen[1].message.as_str()), (NoticeKind::Error, "stopped"));
    }

    #[test]
    fn before_anybody_looks_nothing_is_kept() {
        tracing::subscriber::with_default(Registry::default().with(Notices::default()), || {
            tracing::warn!("unseen");
        });
    }
}
