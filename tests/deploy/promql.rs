//! Which series and labels a PromQL expression names.
//!
//! promtool knows whether the expression is sound; this only has to find the names in a sound one. The crate that
//! parses PromQL is not used, since the features that it asks of others would have burn compiled twice.

/// Words that are followed by labels in parentheses.
const LABEL_LISTS: &[&str] = &["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Words that are no series though no parenthesis follows.
const WORDS: &[&str] = &[
    "and", "avg", "bool", "bottomk", "count", "group", "inf", "max", "min", "nan", "offset", "or",
    "quantile", "stddev", "stdvar", "sum", "topk", "unless",
];

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Series, each with what it is chosen by.
    pub(crate) series: Vec<(String, Vec<Matcher>)>,
    /// Labels that results are grouped or matched by.
    pub(crate) grouped_by: Vec<String>,
}

/// One condition in braces.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Matcher {
    pub(crate) label: String,
    /// `=`, `!=`, `=~` or `!~`.
    pub(crate) op: String,
    pub(crate) value: String,
}

// === impl Matcher ===

impl Matcher {
    /// The words that it chooses by; those of an expression are between bars. `None` where they are not plain words.
    pub(crate) fn words(&self) -> Option<Vec<&str>> {
        let words: Vec<&str> = match &*self.op {
            "=~" | "!~" => self.value.split('|').collect(),
            _ => vec![self.value.as_str()],
        };
        words.iter().all(|word| word.chars().all(is_of_word)).then_some(words)
    }
}

/// Finds them.
pub(crate) fn names(expression: &str) -> Names {
    let mut names = Names::default();
    let mut rest = expression;
    // Whether the labels in braces belong to the series that was named last.
    let mut after_series = false;
    while let Some(next) = rest.chars().next() {
        match next {
            '"' | '\'' | '`' => rest = after(behind(rest), next),
            '[' => rest = after(rest, ']'),
            // A variable of Grafana: $name or ${name}.
            '$' if rest.starts_with("${") => rest = after(rest, '}'),
            '$' => (_, rest) = word(behind(rest)),
            '#' => rest = after(rest, '\n'),
            '{' => {
                let found;
                (found, rest) = matchers(behind(rest));
                match names.series.last_mut().filter(|_| after_series) {
                    Some((_, chosen_by)) => chosen_by.extend(found),
                    None => names.series.push((String::new(), found)),
                }
                after_series = false;
            }
            // A number, or a time such as 5m.
            '0'..='9' => (_, rest) = word(rest),
            _ if is_of_word(next) => {
                let found;
                (found, rest) = word(rest);
                let parenthesis = rest.trim_start().strip_prefix('(');
                after_series = false;
                match parenthesis {
                    Some(list) if LABEL_LISTS.contains(&found) => {
                        let (labels, end) = list.split_once(')').unwrap_or((list, ""));
                        let labels = labels.split(',').map(str::trim);
                        let labels = labels.filter(|label| !label.is_empty());
                        names.grouped_by.extend(labels.map(str::to_owned));
                        rest = end;
                    }
                    // A function.
                    Some(_) => {}
                    None if WORDS.contains(&found) => {}
                    None => {
                        names.series.push((found.to_owned(), Vec::new()));
                        after_series = true;
                    }
                }
            }
            _ => {
                after_series &= next.is_whitespace();
                rest = behind(rest);
            }
        }
    }
    names
}

/// Conditions up to the closing brace, and what stands behind it.
fn matchers(mut rest: &str) -> (Vec<Matcher>, &str) {
    let mut found: Vec<Matcher> = Vec::new();
    while let Some(next) = rest.chars().next() {
        match (next, found.last_mut()) {
            ('}', _) => return (found, behind(rest)),
            ('"' | '\'' | '`', matcher) => {
                let (value, end) = behind(rest).split_once(next).unwrap_or((behind(rest), ""));
                matcher.into_iter().for_each(|matcher| value.clone_into(&mut matcher.value));
                rest = end;
            }
            ('=' | '!' | '~', Some(matcher)) => {
                matcher.op.push(next);
                rest = behind(rest);
            }
            _ if is_of_word(next) => {
                let label;
                (label, rest) = word(rest);
                let (label, op, value) = (label.to_owned(), String::new(), String::new());
                found.push(Matcher { label, op, value });
            }
            _ => rest = behind(rest),
        }
    }
    (found, rest)
}

fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !is_of_word(c)).unwrap_or(text.len()))
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// All but the first character.
fn behind(text: &str) -> &str {
    let mut rest = text.chars();
    rest.next();
    rest.as_str()
}

fn after(text: &str, end: char) -> &str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

#[test]
fn names_are_found_wherever_they_stand() {
    let found = names(
        "sum by (le, stage) (rate(a_bucket{x=\"y{z}\", w!~\"$v|b\"}[5m] offset 1d)) / on () group_left (job)\n\
         b_total > bool 1e3 unless {c='d'} and $topic * ${rate} # e_total\n or absent(f)",
    );
    let series = |name: &str, matchers: &[[&str; 3]]| {
        let matcher = |parts: &[&str; 3]| {
            let [label, op, value] = parts.map(str::to_owned);
            Matcher { label, op, value }
        };
        (name.to_owned(), matchers.iter().map(matcher).collect())
    };
    let expected = [
        series("a_bucket", &[["x", "=", "y{z}"], ["w", "!~", "$v|b"]]),
        series("b_total", &[]),
        series("", &[["c", "=", "d"]]),
        series("f", &[]),
    ];
    assert_eq!(found.series, expected);
    assert_eq!(found.grouped_by, ["le", "stage", "job"]);
}

#[test]
fn words_are_those_between_bars_unless_they_are_more_than_words() {
    let words = |op: &str, value: &str| {
        let (label, op, value) = ("a".to_owned(), op.to_owned(), value.to_owned());
        let matcher = Matcher { label, op, value };
        matcher.words().map(|words| words.join(" "))
    };
    assert_eq!(words("=", "late").as_deref(), Some("late"));
    assert_eq!(words("!~", "late|lost").as_deref(), Some("late lost"));
    assert_eq!(words("=", "late|lost"), None);
    assert_eq!(words("=~", "$reason"), None);
    assert_eq!(words("=~", "la.*"), None);
}
