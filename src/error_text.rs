use std::error::Error;

/// An error with all its causes, in one line: `outer: inner: innermost`.
///
/// Errors here do not print their source themselves, so that a log or a person gets each part once.
pub fn error_text(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    for cause in causes.map(ToString::to_string) {
        // Some libraries do print their source; do not say it twice.
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer{0}")]
    struct Outer(&'static str, #[source] std::fmt::Error);

    #[test]
    fn every_cause_is_named_once() {
        let cause = std::fmt::Error.to_string();
        assert_eq!(error_text(&Outer("", std::fmt::Error)), format!("outer: {cause}"));
        let printed = Box::leak(format!(": {cause}").into_boxed_str());
        assert_eq!(error_text(&Outer(printed, std::fmt::Error)), format!("outer: {cause}"));
    }
}
