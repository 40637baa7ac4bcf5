//! Slots and what they hold in one case, and phrasings with their slots filled.
//!
//! In a phrasing `[one|of|these]` is one of its parts, `{name}` what the slot holds, `{name*}` the
//! same with a number in words at times, and `a(n)` an article. A slot that the schema does not
//! declare has the name of its source, and holds a value from its first use on; a bare range such as
//! `{3-40}` is another number each time.

use super::grammar::{Break, GRAMMAR, Schema, Template};
use super::source::{Source, pick};
use super::value::Value;
use super::words;

/// Draws before a source that has run out of new values may repeat one.
const DRAWS_MAX: usize = 200;

/// What the slots of a schema hold.
#[derive(Clone)]
pub(super) struct Scene {
    slots: Vec<Bound>,
    /// Held elsewhere in the case, so not drawn again.
    taken: Vec<Value>,
}

#[derive(Clone)]
struct Bound {
    name: &'static str,
    source: &'static str,
    value: Value,
}

// === impl Scene ===

impl Scene {
    /// With the declared slots of `schema` drawn.
    pub(super) fn new(schema: &Schema, rng: &mut fastrand::Rng) -> Self {
        let mut scene = Self { slots: Vec::new(), taken: Vec::new() };
        for slots in &schema.slots {
            let mut values: Vec<Value> = Vec::new();
            for _ in &slots.names {
                values.push(scene.fresh(slots.source, &values, rng));
            }
            if slots.ascending {
                values.sort();
            }
            scene.slots.extend(slots.names.iter().zip(values).map(|(&name, value)| Bound {
                name,
                source: slots.source,
                value,
            }));
        }
        scene
    }

    /// A scene without slots, whose values will be others than those of this one.
    pub(super) fn aside(&self) -> Self {
        let held = self.slots.iter().map(|bound| bound.value.clone());
        Self { slots: Vec::new(), taken: self.taken.iter().cloned().chain(held).collect() }
    }

    /// The scene in which what is said no longer fits.
    pub(super) fn broken(&self, by: Break, rng: &mut fastrand::Rng) -> Self {
        let mut broken = self.clone();
        match by {
            Break::Redraw(name) => {
                let at = broken.bind(name, rng);
                let bound = &broken.slots[at];
                let value = broken.near(bound.source, &bound.value, rng);
                // What was asked for must not come back elsewhere in the text.
                broken.taken.push(broken.slots[at].value.clone());
                broken.slots[at].value = value;
            }
            Break::Swap(one, other) => {
                let (one, other) = (broken.bind(one, rng), broken.bind(other, rng));
                let value = broken.slots[one].value.clone();
                broken.slots[one].value = broken.slots[other].value.clone();
                broken.slots[other].value = value;
            }
        }
        broken
    }

    /// `template` as text.
    pub(super) fn render(&mut self, template: Template, rng: &mut fastrand::Rng) -> String {
        let chosen = choose(template, rng);
        let mut text = String::with_capacity(2 * chosen.len());
        let mut parts = chosen.split('{');
        text.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let Some((slot, rest)) = part.split_once('}') else {
                panic!("a slot does not end in {template:?}");
            };
            let worded = slot.ends_with('*');
            let name = slot_name(template, slot);
            let value = if name.starts_with(|first: char| first.is_ascii_digit()) {
                // A bare range is a number of no account, and another one at each place.
                self.fresh(name, &[], rng)
            } else {
                let at = self.bind(name, rng);
                self.slots[at].value.clone()
            };
            text.push_str(&value.render(worded, rng));
            text.push_str(rest);
        }
        with_articles(&text)
    }

    /// What a slot holds, which is drawn now if it is new.
    #[cfg(test)]
    pub(super) fn value(&mut self, name: &'static str, rng: &mut fastrand::Rng) -> Value {
        let at = self.bind(name, rng);
        self.slots[at].value.clone()
    }

    /// The index of a slot, which is drawn now if it is new.
    fn bind(&mut self, name: &'static str, rng: &mut fastrand::Rng) -> usize {
        if let Some(at) = self.slots.iter().position(|bound| bound.name == name) {
            return at;
        }
        let value = self.fresh(name, &[], rng);
        self.slots.push(Bound { name, source: name, value });
        self.slots.len() - 1
    }

    /// A value of `source` that the scene does not hold yet.
    fn fresh(&self, source: &str, besides: &[Value], rng: &mut fastrand::Rng) -> Value {
        let source = source_named(source);
        let mut value = source.draw(rng);
        for _ in 0..DRAWS_MAX {
            if !self.holds(&value) && !besides.contains(&value) {
                break;
            }
            value = source.draw(rng);
        }
        value
    }

    /// A value of `source` that resembles `value` and that the scene does not hold yet.
    fn near(&self, source: &str, value: &Value, rng: &mut fastrand::Rng) -> Value {
        let source = source_named(source);
        (0..DRAWS_MAX)
            .map(|_| source.near(value, rng))
            .find(|near| !self.holds(near))
            .unwrap_or_else(|| panic!("nothing resembles {value:?} and is not {value:?}"))
    }

    fn holds(&self, value: &Value) -> bool {
        self.taken.contains(value) || self.slots.iter().any(|bound| bound.value == *value)
    }
}

fn source_named(name: &str) -> Source<'static> {
    Source::named(name, &GRAMMAR.lists).unwrap_or_else(|| panic!("there is no source {name:?}"))
}

/// The slot's name as part of the template, which outlives every scene.
fn slot_name(template: Template, slot: &str) -> &'static str {
    let name = slot.trim_end_matches('*');
    template
        .split(['{', '}'])
        .map(|part| part.trim_end_matches('*'))
        .find(|part| *part == name)
        .unwrap_or_else(|| panic!("{template:?} has no slot {slot:?}"))
}

/// `template` with one part of each `[one|of|these]`.
fn choose(template: Template, rng: &mut fastrand::Rng) -> String {
    let mut text = String::with_capacity(template.len());
    let mut parts = template.split('[');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let Some((choices, rest)) = part.split_once(']') else {
            panic!("a choice does not end in {template:?}");
        };
        let choices: Vec<&str> = choices.split('|').collect();
        text.push_str(pick(&choices, rng));
        text.push_str(rest);
    }
    text
}

fn with_articles(text: &str) -> String {
    let mut parts = text.split("(n) ");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // The article's "a" or "A" is the last letter so far.
        if words::article(part) == "an" {
            whole.push('n');
        }
        whole.push(' ');
        whole.push_str(part);
    }
    whole
}
