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
    /// Series, each with the labels that it is chosen by.
    pub(crate) series: Vec<(String, Vec<String>)>,
    /// Labels that results are grouped or matched by.
    pub(crate) grouped_by: Vec<String>,
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
                let labels;
                (labels, rest) = matchers(behind(rest));
                match names.series.last_mut().filter(|_| after_series) {
                    Some((_, chosen_by)) => chosen_by.extend(labels),
                    None => names.series.push((String::new(), labels)),
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

/// Labels up to the closing brace, and what stands behind it.
fn matchers(mut rest: &str) -> (Vec<String>, &str) {
    let mut labels = Vec::new();
    while let Some(next) = rest.chars().next() {
        match next {
            '}' => return (labels, behind(rest)),
            '"' | '\'' | '`' => rest = after(behind(rest), next),
            _ if is_of_word(next) => {
                let label;
                (label, rest) = word(rest);
                labels.push(label.to_owned());
            }
            _ => rest = behind(rest),
        }
    }
    (labels, rest)
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
    let series = |name: &str, labels: &[&str]| {
        (name.to_owned(), labels.iter().map(|label| (*label).to_owned()).collect())
    };
    let expected = [
        series("a_bucket", &["x", "w"]),
        series("b_total", &[]),
        series("", &["c"]),
        series("f", &[]),
    ];
    assert_eq!(found.series, expected);
    assert_eq!(found.grouped_by, ["le", "stage", "job"]);
}
