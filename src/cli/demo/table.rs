use std::fmt::{Result, Write};

use super::answer::{Answer, Row};
use super::sample::Sample;

/// Characters of a passage in a line: what 80 columns leave it.
const TEXT_CHARS: usize = 58;
/// Lines of a passage that a row shows.
const TEXT_LINES: usize = 2;

/// A candidate set before and after, as text for a terminal.
pub(super) fn before_and_after(sample: &Sample, answer: &Answer) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _infallible = write_table(&mut text, sample, answer);
    text
}

fn write_table(out: &mut String, sample: &Sample, answer: &Answer) -> Result {
    let set = &sample.set;
    writeln!(out, "{}: \"{}\"", set.request_id, set.query)?;
    writeln!(out, "  now  was  score    passage")?;
    for result in &answer.results {
        write_row(out, sample, result)?;
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

fn write_row(out: &mut String, sample: &Sample, result: &Row) -> Result {
    let before = sample.set.candidates.iter().position(|candidate| candidate.id == result.id);
    let before = before.map_or_else(|| "-".to_owned(), |index| (index + 1).to_string());
    let score = result.score.map_or_else(|| "-".to_owned(), |score| format!("{score:.3}"));
    let mark = if sample.answers(&result.id) { '*' } else { ' ' };
    write!(out, "  {:>3}  {before:>3}  {score:>5}  {mark} ", result.rank)?;
    let passage = result.text.as_deref().unwrap_or_default();
    let lines = wrapped(if passage.is_empty() { "(empty)" } else { passage });
    writeln!(out, "{}", lines.join(&format!("\n{:21}", "")))
}

/// The words in lines, the last of which ends in `…` where some are left out.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let count = lines.len();
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= TEXT_CHARS {
            line.push(' ');
            line.push_str(word);
        } else if count < TEXT_LINES {
            lines.push(word.to_owned());
        } else {
            line.push('…');
            break;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_passage_is_broken_and_cut_between_words() {
        assert_eq!(wrapped("short"), ["short"]);
        assert_eq!(wrapped(&"überall ".repeat(7)).len(), 1, "characters count, not bytes");
        let long = wrapped(&"überall ".repeat(50));
        assert_eq!(long.len(), TEXT_LINES);
        assert!(long[0].ends_with('l') && long[1].ends_with("überall…"), "{long:?}");
        assert!(long.iter().all(|line| line.chars().count() <= TEXT_CHARS + 1));
    }
}
