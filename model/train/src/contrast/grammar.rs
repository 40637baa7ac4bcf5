//! The text files → schemas, filler sentences and word lists.
//!
//! A schema file is read line by line:
//!
//! | line | means |
//! |---|---|
//! | `// …` | a comment |
//! | `# topic` | a new schema, with filler of this topic around its sentences |
//! | `= a b : source` | slots `a` and `b` hold different values of `source`; see `source` |
//! | `< lo hi : source` | the same, in ascending order |
//! | `! a` | a text no longer fits once `a` is drawn again |
//! | `! a b` | a text no longer fits once `a` and `b` are exchanged |
//! | `? …` | a phrasing of the query |
//! | `> …` | a phrasing of the sentence that answers it |
//!
//! A `?` after a `>` opens another facet: other queries, other answers, the same slots. A facet's
//! every sentence answers its every query and none of another facet's. For phrasings see `scene`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::Kind;

/// All that the text files hold. They are part of the program, so a mistake in them is a panic.
pub(super) static GRAMMAR: LazyLock<Grammar> = LazyLock::new(Grammar::parse);

/// Text with `{slots}` and `[one|of|these]`.
pub(super) type Template = &'static str;

/// Schemas by kind, filler by topic, and the word lists by name.
pub(super) struct Grammar {
    schemas: BTreeMap<Kind, Vec<Schema>>,
    fillers: BTreeMap<&'static str, Filler>,
    pub(super) lists: Lists,
}

/// Words by the name of their list.
pub(super) type Lists = BTreeMap<&'static str, Vec<&'static str>>;

/// Queries about one thing, and sentences that answer them.
#[derive(Default)]
pub(super) struct Schema {
    pub(super) topic: &'static str,
    pub(super) slots: Vec<Slots>,
    pub(super) breaks: Vec<Break>,
    pub(super) facets: Vec<Facet>,
}

/// Slots with different values of one source.
pub(super) struct Slots {
    pub(super) names: Vec<&'static str>,
    pub(super) source: &'static str,
    pub(super) ascending: bool,
}

/// What makes a sentence miss its query.
#[derive(Clone, Copy)]
pub(super) enum Break {
    Redraw(&'static str),
    Swap(&'static str, &'static str),
}

/// Queries and sentences in any combination of which the one answers the other.
#[derive(Default)]
pub(super) struct Facet {
    pub(super) asks: Vec<Template>,
    pub(super) says: Vec<Template>,
}

/// Sentences on a topic that answer nothing.
#[derive(Default)]
pub(super) struct Filler {
    pub(super) lead_ins: Vec<Template>,
    pub(super) sentences: Vec<Template>,
}

// === impl Grammar ===

impl Grammar {
    fn parse() -> Self {
        Self {
            schemas: Kind::ALL.iter().map(|&kind| (kind, schemas(sources_of(kind)))).collect(),
            fillers: fillers(include_str!("text/filler.txt")),
            lists: lists(include_str!("text/words.txt")),
        }
    }

    /// The schemas of a kind; never empty.
    pub(super) fn schemas(&self, kind: Kind) -> &[Schema] {
        &self.schemas[&kind]
    }

    /// The filler of a schema's topic.
    pub(super) fn filler(&self, topic: &str) -> &Filler {
        self.fillers.get(topic).unwrap_or_else(|| panic!("filler.txt has no topic {topic:?}"))
    }
}

// === impl Schema ===

impl Schema {
    fn line(&mut self, sign: &str, rest: &'static str) {
        match sign {
            "=" | "<" => self.slots.push(Slots::parse(rest, sign == "<")),
            "!" => self.breaks.push(Break::parse(rest)),
            "?" => {
                if self.facets.last().is_none_or(|facet| !facet.says.is_empty()) {
                    self.facets.push(Facet::default());
                }
                self.last_facet(rest).asks.push(rest);
            }
            ">" => self.last_facet(rest).says.push(rest),
            _ => panic!("a schema has no line {sign:?}: {rest}"),
        }
    }

    fn last_facet(&mut self, line: &str) -> &mut Facet {
        self.facets.last_mut().unwrap_or_else(|| panic!("no query stands before {line:?}"))
    }
}

// === impl Slots ===

impl Slots {
    fn parse(line: &'static str, ascending: bool) -> Self {
        let (names, source) =
            line.split_once(" : ").unwrap_or_else(|| panic!("no source in {line:?}"));
        Self { names: names.split_whitespace().collect(), source: source.trim(), ascending }
    }
}

// === impl Break ===

impl Break {
    fn parse(line: &'static str) -> Self {
        let mut names = line.split_whitespace();
        match (names.next(), names.next(), names.next()) {
            (Some(name), None, None) => Self::Redraw(name),
            (Some(one), Some(other), None) => Self::Swap(one, other),
            _ => panic!("one or two slots are needed, not {line:?}"),
        }
    }

    /// Whether `template` says otherwise once this break has been made.
    pub(super) fn shows_in(self, template: &str) -> bool {
        match self {
            Self::Redraw(name) => mentions(template, name),
            Self::Swap(one, other) => mentions(template, one) && mentions(template, other),
        }
    }
}

/// Whether `template` has the slot `name`, in whatever notation.
pub(super) fn mentions(template: &str, name: &str) -> bool {
    template.contains(&format!("{{{name}}}")) || template.contains(&format!("{{{name}*}}"))
}

/// The schema files of a kind.
fn sources_of(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Negation => {
            &[include_str!("text/negation_places.txt"), include_str!("text/negation_things.txt")]
        }
        Kind::Number => &[include_str!("text/number.txt")],
        Kind::Unit => &[include_str!("text/unit.txt")],
        Kind::Date => &[include_str!("text/date.txt")],
        Kind::Comparison => &[include_str!("text/comparison.txt")],
        Kind::Name => &[include_str!("text/name.txt")],
        Kind::NearDuplicate => &[include_str!("text/near_duplicate.txt")],
        Kind::WordOrder => &[include_str!("text/word_order.txt")],
        Kind::Question => {
            &[include_str!("text/question_people.txt"), include_str!("text/question_things.txt")]
        }
    }
}

/// Lines as their sign and the rest, without comments and empty ones.
fn lines(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with("//"))
        .map(|line| line.split_once(' ').unwrap_or((line, "")))
}

fn schemas(texts: &[&'static str]) -> Vec<Schema> {
    let mut schemas: Vec<Schema> = Vec::new();
    for (sign, rest) in texts.iter().flat_map(|text| lines(text)) {
        match (sign, schemas.last_mut()) {
            ("#", _) => schemas.push(Schema { topic: rest, ..Schema::default() }),
            (_, Some(schema)) => schema.line(sign, rest),
            (_, None) => panic!("no topic stands before {rest:?}"),
        }
    }
    schemas
}

fn fillers(text: &'static str) -> BTreeMap<&'static str, Filler> {
    let mut fillers: BTreeMap<&str, Filler> = BTreeMap::new();
    let mut topic = "";
    for (sign, rest) in lines(text) {
        match sign {
            "#" => topic = rest,
            "~" => fillers.entry(topic).or_default().lead_ins.push(rest),
            ">" => fillers.entry(topic).or_default().sentences.push(rest),
            _ => panic!("filler has no line {sign:?}: {rest}"),
        }
    }
    fillers
}

fn lists(text: &'static str) -> Lists {
    let mut lists = Lists::new();
    let mut name = "";
    for line in text.lines().filter(|line| !line.starts_with("//")) {
        match line.strip_prefix("= ") {
            Some(next) => name = next,
            None => lists
                .entry(name)
                .or_default()
                .extend(line.split(',').map(str::trim).filter(|word| !word.is_empty())),
        }
    }
    lists
}
