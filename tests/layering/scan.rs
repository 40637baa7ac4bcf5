//! Rust source → the paths it names. Just enough of the language for that.

#![allow(clippy::string_slice, reason = "every offset is that of a character")]

use std::iter::Peekable;
use std::str::CharIndices;

/// One name of something outside the module.
#[derive(Debug)]
pub(crate) enum Import {
    /// A room of ours; `*` for all of them at once.
    Room { name: String, line: usize },
    /// The beginning of a path into what may be another crate: at most two names.
    Crate { path: Vec<String>, line: usize, in_tests: bool },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Name(String),
    Colons,
    Sign(char),
}

/// A path as written, and whether a `use` brings its last name into scope.
struct Written {
    names: Vec<String>,
    line: usize,
    /// Inline modules around it.
    within: Vec<String>,
    used: bool,
}

/// What `source`, the text of `module`, names outside itself.
pub(crate) fn imports(module: &[String], source: &str) -> Vec<Import> {
    let tokens = tokens(source);
    let (paths, declared) = paths(&tokens);
    // A module or an import hides a crate of the same name.
    let hidden = |name: &String| {
        let imported =
            |path: &Written| path.used && path.names.len() > 1 && path.names.last() == Some(name);
        declared.contains(name) || paths.iter().any(imported)
    };
    let mut found = Vec::new();
    for path in &paths {
        let Some(first) = path.names.first() else { continue };
        let mut here: Vec<String> = module.iter().chain(&path.within).cloned().collect();
        let line = path.line;
        let rest = match first.as_str() {
            "crate" | "crossrank" => {
                here.clear();
                &path.names[1..]
            }
            "self" | "super" => {
                let ups = path.names.iter().take_while(|name| *name == "super").count();
                here.truncate(here.len().saturating_sub(ups));
                let steps = path.names.iter().take_while(|n| *n == "super" || *n == "self").count();
                &path.names[steps..]
            }
            _ if hidden(first) => continue,
            _ => {
                let in_tests = here.iter().any(|name| name == "tests");
                let path = path.names.iter().take(2).cloned().collect();
                found.push(Import::Crate { path, line, in_tests });
                continue;
            }
        };
        // `crate` alone is a visibility, unless a `use` renames it.
        let name = here.first().or(rest.first()).cloned();
        match name.or_else(|| path.used.then(|| "*".to_owned())) {
            Some(name) => found.push(Import::Room { name, line }),
            None => continue,
        }
    }
    found
}

/// All paths, and the modules that are declared.
fn paths(tokens: &[(Token, usize)]) -> (Vec<Written>, Vec<String>) {
    let (mut found, mut declared) = (Vec::new(), Vec::new());
    // One entry a brace: the inline module it opens, if it opens one.
    let mut braces: Vec<Option<String>> = Vec::new();
    let mut at = 0;
    while let Some((token, line)) = tokens.get(at) {
        let within: Vec<String> = braces.iter().flatten().cloned().collect();
        let before =
            at.checked_sub(1).and_then(|before| tokens.get(before)).map(|(token, _)| token);
        let next = |by: usize| tokens.get(at + by).map(|(token, _)| token);
        match token {
            Token::Name(name) if name == "use" => {
                let mut used = Vec::new();
                at = tree(tokens, at + 1, &[], &mut used);
                found.extend(used.into_iter().map(|names| Written {
                    names,
                    line: *line,
                    within: within.clone(),
                    used: true,
                }));
                continue;
            }
            Token::Name(name) if name == "mod" => {
                if let Some(Token::Name(module)) = next(1) {
                    declared.push(module.clone());
                    if next(2) == Some(&Token::Sign('{')) {
                        braces.push(Some(module.clone()));
                        at += 1;
                    }
                    at += 1;
                }
            }
            Token::Sign('{') => braces.push(None),
            Token::Sign('}') => drop(braces.pop()),
            Token::Name(_)
                if !matches!(before, Some(Token::Colons | Token::Sign('.')))
                    || rooted(tokens, at) =>
            {
                let mut names = Vec::new();
                while let Some(Token::Name(name)) = tokens.get(at).map(|(token, _)| token) {
                    names.push(name.clone());
                    if tokens.get(at + 1).map(|(token, _)| token) != Some(&Token::Colons) {
                        break;
                    }
                    at += 2;
                }
                // A lone name is a local one; a crate is named with something of it.
                if names.len() > 1 {
                    found.push(Written { names, line: *line, within, used: false });
                }
                at += usize::from(matches!(tokens.get(at), Some((Token::Name(_), _))));
                continue;
            }
            Token::Name(_) | Token::Colons | Token::Sign(_) => {}
        }
        at += 1;
    }
    (found, declared)
}

/// Whether the name at this place begins a path with leading colons: `::name`.
fn rooted(tokens: &[(Token, usize)], at: usize) -> bool {
    let token =
        |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at)).map(|(token, _)| token);
    token(1) == Some(&Token::Colons)
        && !matches!(token(2), Some(Token::Name(_) | Token::Sign('>' | '.')))
}

/// The paths of a `use` tree from this place on; returns the place behind it.
fn tree(
    tokens: &[(Token, usize)],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<Vec<String>>,
) -> usize {
    let mut names = prefix.to_vec();
    while let Some((token, _)) = tokens.get(at) {
        match token {
            Token::Name(name) if name == "as" => {
                // The path is what matters, not its new name.
                at += 1;
            }
            Token::Name(name) => names.push(name.clone()),
            Token::Sign('*') => names.push("*".to_owned()),
            Token::Sign('{') => {
                at += 1;
                while !matches!(tokens.get(at), None | Some((Token::Sign('}'), _))) {
                    at = tree(tokens, at, &names, found);
                    at += usize::from(matches!(tokens.get(at), Some((Token::Sign(','), _))));
                }
                return at + 1;
            }
            Token::Sign(',' | '}' | ';') => break,
            Token::Colons | Token::Sign(_) => {}
        }
        at += 1;
    }
    // `{self, …}` names the module before it.
    if names.len() > 1 && names.last().is_some_and(|last| last == "self") {
        names.pop();
    }
    found.push(names);
    at
}

fn tokens(source: &str) -> Vec<(Token, usize)> {
    let mut found = Vec::new();
    let mut line = 1;
    let mut rest = source.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let begins = |text: &str| source.get(at..).is_some_and(|rest| rest.starts_with(text));
        let length = if begins("//") {
            source[at..].find('\n').unwrap_or(source.len() - at)
        } else if begins("/*") {
            block_comment(&source[at..])
        } else if c == '"' {
            string(&source[at..])
        } else if let Some(length) = raw_string(&source[at..]) {
            length
        } else if c == '\'' {
            char_or_lifetime(&source[at..])
        } else {
            0
        };
        if length > 0 {
            line += source[at..at + length].matches('\n').count();
            skip(&mut rest, at + length);
        } else if c.is_alphabetic() || c == '_' {
            let name = source[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_');
            let name: String = name.collect();
            skip(&mut rest, at + name.len());
            found.push((Token::Name(name), line));
        } else if begins("::") {
            skip(&mut rest, at + 2);
            found.push((Token::Colons, line));
        } else {
            line += usize::from(c == '\n');
            if !c.is_whitespace() {
                found.push((Token::Sign(c), line));
            }
        }
    }
    found
}

fn skip(rest: &mut Peekable<CharIndices<'_>>, to: usize) {
    while rest.next_if(|(at, _)| *at < to).is_some() {}
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `r"…"`, `br#"…"#` and the like.
fn raw_string(text: &str) -> Option<usize> {
    let start = ["r", "br", "cr"].into_iter().find(|start| {
        text.strip_prefix(start).is_some_and(|rest| rest.trim_start_matches('#').starts_with('"'))
    })?;
    let hashes = text[start.len()..].chars().take_while(|c| *c == '#').count();
    let body = start.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    text[body..].find(&end).map(|at| body + at + end.len())
}

/// A character literal whole; of a lifetime the quote only.
fn char_or_lifetime(text: &str) -> usize {
    let inside: Vec<char> = text.chars().skip(1).take(2).collect();
    match inside[..] {
        ['\\', _] => text[3..].find('\'').map_or(text.len(), |at| at + 4),
        [c, '\''] => c.len_utf8() + 2,
        _ => 1,
    }
}
