use std::fmt::Write;

use super::answer::Answer;
use crate::wire::CandidateSet;

/// Characters of a passage that a row shows.
const TEXT_CHARS: usize = 62;

/// A candidate set before and after, as text for a terminal.
pub(super) fn before_and_after(set: &CandidateSet, answer: &Answer) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _infallible = write_table(&mut text, set, answer);
    text
}

fn write_table(out: &mut String, set: &CandidateSet, answer: &Answer) -> std::fmt::Result {
    writeln!(out, "{}: \"{}\"", set.request_id, set.query)?;
    writeln!(out, "  {:>5}  {:>6}  {:>8}  {:>6}  passage", "after", "before", "logit", "score")?;
    for result in &answer.results {
        let before = set.candidates.iter().position(|candidate| candidate.id == result.id);
        let before = before.map_or_else(|| "-".to_owned(), |index| (index + 1).to_string());
        write!(out, "  {:>5}  {before:>6}  ", result.rank)?;
        match (result.logit, result.score) {
            (Some(logit), Some(score)) => {
                write!(out, "{logit:>8.3}  {score:>6.3}  ")?;
            }
            _ => write!(out, "{:>8}  {:>6}  ", "unscored", "-")?,
        }
        let passage = result.text.as_deref().unwrap_or_default();
        writeln!(out, "{}", shortened(if passage.is_empty() { "(empty)" } else { passage }))?;
    }
    let cut = set.candidates.len() - answer.results.len();
    if cut > 0 {
        writeln!(out, "  {cut} more left out")?;
    }
    if let Some(context) = &answer.context {
        for duplicate in &context.duplicates {
            let (id, of) = (&duplicate.id, &duplicate.of);
            writeln!(out, "  near-duplicate: {id} says what {of} says, and is not in the context")?;
        }
        let (tokens, passages) = (context.tokens, context.passages.len());
        writeln!(out, "  context: {passages} passages, {tokens} tokens")?;
    }
    Ok(())
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= TEXT_CHARS {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(TEXT_CHARS - 1).collect();
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_passage_is_shortened_at_a_character() {
        assert_eq!(shortened("short"), "short");
        let long = shortened(&"ü".repeat(200));
        assert_eq!(long.chars().count(), TEXT_CHARS);
        assert!(long.ends_with('…'));
    }
}
