use minijinja::value::{Rest, ValueKind};
use minijinja::{
    Environment, Error, ErrorKind, Output, State, Value, context, escape_formatter, filters,
};

use super::Passage;

/// What a template may name.
const VARIABLES: [&str; 6] = ["number", "id", "title", "text", "source", "score"];
const NAME: &str = "passage";
/// What one rendering may cost, in minijinja's units: an instruction, or 64 bytes of text.
const FUEL: u64 = 1_000_000;
/// Many times the usual. minijinja follows the nesting of an expression on the stack, and bounds only that of
/// parentheses: `-` before `-` before `-` ends the process where there are ten thousand.
const SOURCE_BYTES_MAX: usize = 4_096;

/// One passage's part of a prompt, compiled. Nothing is escaped: a prompt is not HTML.
#[derive(Debug)]
pub struct Template(Environment<'static>);

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// It is too long.
    #[error("the template for a passage has {actual} bytes, at most {limit} are allowed")]
    TooLong {
        /// Its bytes.
        actual: usize,
        /// What is allowed.
        limit: usize,
    },
    /// It does not follow minijinja's grammar.
    #[error("the template for a passage cannot be read: {reason}")]
    Syntax {
        /// What is wrong, and in which line.
        reason: String,
        /// The parser's error.
        #[source]
        source: minijinja::Error,
    },
    /// It names a variable that does not exist.
    #[error(
        "the template for a passage names {name:?}; it can use number, id, title, text, source and score"
    )]
    UnknownVariable {
        /// The variable.
        name: String,
    },
    /// It cannot be rendered.
    #[error("the template for a passage fails on {sample}: {reason}")]
    Render {
        /// What it was rendered with.
        sample: &'static str,
        /// What is wrong, and in which line.
        reason: String,
        /// The renderer's error.
        #[source]
        source: minijinja::Error,
    },
}

// === impl Template ===

impl Template {
    /// Compiles `source`, and renders it once with everything that a passage can have and once
    /// with the least, so that what can be known to fail fails here.
    pub fn new(source: &str) -> Result<Self, TemplateError> {
        if source.len() > SOURCE_BYTES_MAX {
            let (actual, limit) = (source.len(), SOURCE_BYTES_MAX);
            return Err(TemplateError::TooLong { actual, limit });
        }
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_formatter(write);
        environment.add_filter("format", format);
        // What it makes of a value that is no list panics where it is compared, and a chain of chains costs
        // no fuel. A prompt has `+` and loops.
        environment.remove_filter("chain");
        environment.set_fuel(Some(FUEL));
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(|source| TemplateError::Syntax { reason: reason(&source), source })?;
        let template = Self(environment);
        template.check_variables()?;
        let least = Passage { id: "id", title: None, text: "text", source: None, score: None };
        let most =
            Passage { title: Some("title"), source: Some("source"), score: Some(0.5), ..least };
        let samples =
            [("one that has only id and text", least), ("one that has every field", most)];
        for (sample, passage) in samples {
            template.try_render(&passage, passage.text, 1, sample)?;
        }
        Ok(template)
    }

    /// Renders `passage` with `text` in the place of its own, as the `number`th of a prompt.
    pub(super) fn render(
        &self,
        passage: &Passage<'_>,
        text: &str,
        number: usize,
    ) -> Result<String, TemplateError> {
        self.try_render(passage, text, number, "this one")
    }

    fn try_render(
        &self,
        passage: &Passage<'_>,
        text: &str,
        number: usize,
        sample: &'static str,
    ) -> Result<String, TemplateError> {
        let known = |text: Option<&str>| text.map_or(Value::UNDEFINED, Value::from);
        let variables = context! {
            number,
            id => passage.id,
            title => known(passage.title),
            text,
            source => known(passage.source),
            score => passage.score.map_or(Value::UNDEFINED, Value::from),
        };
        let rendered = self.0.get_template(NAME).and_then(|template| template.render(variables));
        rendered.map_err(|source| TemplateError::Render { sample, reason: reason(&source), source })
    }

    fn check_variables(&self) -> Result<(), TemplateError> {
        let Ok(template) = self.0.get_template(NAME) else { return Ok(()) };
        let mut unknown: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        unknown.retain(|name| {
            !VARIABLES.contains(&name.as_str()) && !self.0.globals().any(|(known, _)| known == name)
        });
        unknown.sort_unstable();
        match unknown.into_iter().next() {
            Some(name) => Err(TemplateError::UnknownVariable { name }),
            None => Ok(()),
        }
    }
}

/// Writes a value into the text. A list or a map is no part of a prompt, and one that is repeated costs
/// no fuel until all of it is written: `{{ [1] * 100000000 }}`.
fn write(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let kind = value.kind();
    if matches!(kind, ValueKind::Seq | ValueKind::Iterable | ValueKind::Map) {
        let wrong = format!("a {kind} is not text; write its items, or join them");
        return Err(Error::new(ErrorKind::InvalidOperation, wrong));
    }
    escape_formatter(out, state, value)
}

/// minijinja's filter, but for what it panics on: a name that is not ASCII, as in `%(é)s`.
fn format(state: &mut State<'_, '_>, text: &Value, arguments: Rest<Value>) -> Result<Value, Error> {
    let is_refused = |rest: &str| rest.split(')').next().is_some_and(|name| !name.is_ascii());
    if text.as_str().is_some_and(|text| text.split("%(").skip(1).any(is_refused)) {
        let wrong = "a name in a format must be ASCII";
        return Err(Error::new(ErrorKind::InvalidOperation, wrong));
    }
    let all: Vec<Value> = [text.clone()].into_iter().chain(arguments.0).collect();
    Value::from_function(filters::format).call(state, &all)
}

fn reason(error: &minijinja::Error) -> String {
    let detail = error.detail().map_or(error.kind().to_string(), str::to_owned);
    match error.line() {
        Some(line) => format!("{detail}, line {line}"),
        None => detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSAGE: Passage<'_> = Passage {
        id: "d1",
        title: Some("<Title>"),
        text: "a & b",
        source: Some("bm25"),
        score: Some(0.98765),
    };

    fn render(source: &str, passage: &Passage<'_>) -> String {
        Template::new(source).unwrap().render(passage, passage.text, 7).unwrap()
    }

    #[test]
    fn all_variables_render_and_nothing_is_escaped() {
        let source = "[{{ number }}] {{ title }} ({{ id }}, {{ source }}, {{ score|default(0)|round(2) }})\n{{ text }}";
        assert_eq!(render(source, &PASSAGE), "[7] <Title> (d1, bm25, 0.99)\na & b");
    }

    #[test]
    fn what_a_passage_lacks_is_undefined() {
        let bare = Passage { title: None, source: None, score: None, ..PASSAGE };
        let source = "{% if title %}{{ title }}\n{% endif %}{{ text }}{{ source }}";
        assert_eq!(render(source, &bare), "a & b");
        assert_eq!(render(source, &PASSAGE), "<Title>\na & bbm25");
    }

    #[test]
    fn a_misspelled_variable_is_refused_by_name() {
        let error = Template::new("{{ number }} {{ txet }}").unwrap_err();
        assert!(matches!(&error, TemplateError::UnknownVariable { name } if name == "txet"));
    }

    #[test]
    fn a_broken_template_is_refused_with_its_line() {
        let error = Template::new("{{ number }}\n{% if title %}").unwrap_err();
        assert!(matches!(&error, TemplateError::Syntax { .. }), "{error:?}");
        assert!(error.to_string().contains("line 2"), "{error}");
    }

    #[test]
    fn a_template_that_needs_what_a_passage_may_lack_is_refused() {
        let error = Template::new("{{ score|round(2) }}").unwrap_err();
        assert!(error.to_string().contains("fails on one that has only id and text"), "{error}");
        let error = Template::new("{{ title + 1 if title }}").unwrap_err();
        assert!(error.to_string().contains("fails on one that has every field"), "{error}");
    }

    #[test]
    fn a_template_nested_as_deep_as_its_length_allows_is_no_danger() {
        for (open, close) in [("-", ""), ("(", ")"), ("[", "]"), ("not ", "")] {
            let levels = (SOURCE_BYTES_MAX - 10) / (open.len() + close.len());
            let source = format!("{{{{ {}1{} }}}}", open.repeat(levels), close.repeat(levels));
            // Whether it is taken is minijinja's to say.
            drop(Template::new(&source));
        }
        let error = Template::new(&"-".repeat(SOURCE_BYTES_MAX + 1)).unwrap_err();
        assert!(matches!(error, TemplateError::TooLong { actual: 4_097, limit: 4_096 }), "{error}");
        assert!(Template::new(&"-".repeat(SOURCE_BYTES_MAX)).is_ok());
    }

    #[test]
    fn a_format_takes_names_in_ascii_only() {
        let source = "{{ '%.2f é %s'|format(number, title) }} {{ '%(a)s'|format({'a': 1}) }}";
        assert_eq!(render(source, &PASSAGE), "7.00 é <Title> 1");
        let error = Template::new("{{ '%s %(é)s'|format({'é': 1}) }}").unwrap_err();
        assert!(error.to_string().contains("must be ASCII"), "{error}");
    }

    #[test]
    fn lists_are_not_chained() {
        let error = Template::new("{{ 1|chain(2) < 3|chain(4) }}").unwrap_err();
        assert!(error.to_string().contains("chain"), "{error}");
        assert_eq!(render("{{ ([1] + [text])|join('-') }}", &PASSAGE), "1-a & b");
    }

    #[test]
    fn a_list_is_written_item_by_item_or_not_at_all() {
        assert_eq!(render("{{ [1, text]|join('-') }}", &PASSAGE), "1-a & b");
        assert_eq!(render("{% for x in [1, 2] %}{{ x }}{% endfor %}", &PASSAGE), "12");
        for list in
            ["{{ [1] * 100000000 }}", "{{ range(9) }}", "{{ {'a': 1} }}", "{{ text|split }}"]
        {
            let error = Template::new(list).unwrap_err().to_string();
            assert!(error.contains("is not text; write its items"), "{list}: {error}");
        }
    }

    #[test]
    fn a_template_that_never_ends_runs_out_of_fuel() {
        let source = "{% for a in range(99999) %}{% for b in range(99999) %}{{ text }}{% endfor %}{% endfor %}";
        assert!(matches!(Template::new(source), Err(TemplateError::Render { .. })));
    }
}
