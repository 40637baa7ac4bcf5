//! JSON read one level at a time: what is not needed stays the text that came in.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::DecodeError;
use super::path::{At, offset_of, path_at, without_position};

/// Objects and arrays that may stand inside each other, the set itself counted. Common readers
/// stop at 100 and more, so an output can always be read.
pub const DEPTH_MAX: usize = 64;
/// Fields of one object.
pub const FIELDS_MAX: usize = 1_000;

/// Some editors and libraries put one in front of UTF-8; JSON does not allow it.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Fields up to which comparing each with each is faster than sorting.
const FEW: usize = 16;

/// What the first allocation has room for.
const USUAL_FIELDS: usize = 8;
const USUAL_ITEMS: usize = 64;

/// The fields of an object, in order, without duplicates.
pub(super) struct Object<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

/// The first `MAX` items of an array, and how many there are.
pub(super) struct Items<'a> {
    pub(super) items: Vec<&'a RawValue>,
    pub(super) total: usize,
}

// === impl Object ===

impl<'a> Object<'a> {
    /// Reads the whole record. Nothing below its own fields is looked at but for its grammar.
    pub(super) fn of_record(json: &'a str) -> Result<Self, DecodeError> {
        if json.starts_with(BYTE_ORDER_MARK) {
            let problem = "begins with a byte order mark; send plain UTF-8".to_owned();
            return Err(DecodeError::InvalidJson { path: At::Root.to_string(), problem });
        }
        let fields = serde_json::from_str::<Fields<'_>>(json).map_err(|error| {
            if error.is_data() {
                DecodeError::WrongType {
                    path: At::Root.to_string(),
                    expected: "an object",
                    found: kind(json.trim_start()),
                }
            } else {
                let offset = offset_of(json, &error);
                let problem = format!("{} at byte {offset}", without_position(&error));
                DecodeError::InvalidJson { path: path_at(json, offset), problem }
            }
        })?;
        Self::checked(fields, &At::Root)
    }

    pub(super) fn of(raw: &'a RawValue, at: &At<'_>) -> Result<Self, DecodeError> {
        if !raw.get().starts_with('{') {
            return Err(at.wrong_type("an object", raw));
        }
        let fields = serde_json::from_str(raw.get()).map_err(|error| at.syntax(&error))?;
        Self::checked(fields, at)
    }

    fn checked(fields: Fields<'a>, at: &At<'_>) -> Result<Self, DecodeError> {
        if fields.total > FIELDS_MAX {
            let (path, actual) = (at.to_string(), fields.total);
            return Err(DecodeError::TooManyFields { path, actual, limit: FIELDS_MAX });
        }
        match twice(&fields.kept) {
            Some(name) => {
                Err(DecodeError::DuplicateField { path: At::Field(at, name).to_string() })
            }
            None => Ok(Self(fields.kept)),
        }
    }

    /// Takes a required field.
    pub(super) fn require(
        &mut self,
        at: &At<'_>,
        name: &str,
        required: &'static str,
    ) -> Result<&'a RawValue, DecodeError> {
        self.take(name).ok_or_else(|| at.missing(name, required))
    }

    /// Takes a field that may be absent; `null` is absent.
    pub(super) fn optional(&mut self, name: &str) -> Option<&'a RawValue> {
        self.take(name).filter(|raw| raw.get() != "null")
    }

    fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(index).1)
    }

    /// Refuses what is nested too deep in the fields that are left; `level` is this object's own.
    pub(super) fn check_depth(&self, at: &At<'_>, level: usize) -> Result<(), DecodeError> {
        self.0.iter().try_for_each(|(name, raw)| check_depth(raw, &At::Field(at, name), level))
    }
}

// === impl Items ===

impl<'a> Items<'a> {
    /// Reads an array, keeping at most `max` of its items.
    pub(super) fn of(raw: &'a RawValue, at: &At<'_>, max: usize) -> Result<Self, DecodeError> {
        if !raw.get().starts_with('[') {
            return Err(at.wrong_type("an array", raw));
        }
        let mut reader = serde_json::Deserializer::from_str(raw.get());
        reader.deserialize_seq(ItemsVisitor { max }).map_err(|error| at.syntax(&error))
    }
}

struct ItemsVisitor {
    max: usize,
}

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Items<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut read = Items { items: Vec::with_capacity(self.max.min(USUAL_ITEMS)), total: 0 };
        while read.total < self.max {
            let Some(item) = seq.next_element()? else { return Ok(read) };
            read.items.push(item);
            read.total += 1;
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {
            read.total += 1;
        }
        Ok(read)
    }
}

/// The first `MAX` fields of an object, and how many there are.
pub(super) struct Fields<'a, const MAX: usize = FIELDS_MAX> {
    pub(super) kept: Vec<(Cow<'a, str>, &'a RawValue)>,
    total: usize,
}

impl<'de: 'a, 'a, const MAX: usize> Deserialize<'de> for Fields<'a, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor::<MAX>)
    }
}

pub(super) struct FieldsVisitor<const MAX: usize>;

impl<'de, const MAX: usize> Visitor<'de> for FieldsVisitor<MAX> {
    type Value = Fields<'de, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields { kept: Vec::with_capacity(USUAL_FIELDS), total: 0 };
        while fields.total < MAX {
            let Some((Text(name), value)) = map.next_entry()? else { return Ok(fields) };
            fields.kept.push((name, value));
            fields.total += 1;
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            fields.total += 1;
        }
        Ok(fields)
    }
}

/// A string, borrowed where it holds no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor).map(Text)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Reads a string.
pub(super) fn text<'a>(raw: &'a RawValue, at: &At<'_>) -> Result<Cow<'a, str>, DecodeError> {
    if !raw.get().starts_with('"') {
        return Err(at.wrong_type("a string", raw));
    }
    let Text(text) = serde_json::from_str(raw.get()).map_err(|error| at.syntax(&error))?;
    Ok(text)
}

/// Reads a number that a float64 can hold.
pub(super) fn number(raw: &RawValue, at: &At<'_>) -> Result<f64, DecodeError> {
    let number = Some(float(raw, at)?).filter(|number| number.is_finite());
    number.ok_or_else(|| at.invalid("beyond the range of a 64-bit float"))
}

/// Reads a number; one beyond the range of a float64 is infinite.
pub(super) fn float(raw: &RawValue, at: &At<'_>) -> Result<f64, DecodeError> {
    if kind(raw.get()) != "a number" {
        return Err(at.wrong_type("a number", raw));
    }
    // The standard library rounds correctly, and its grammar holds that of JSON.
    raw.get().parse().map_err(|_| at.invalid("must be a number"))
}

/// The error for a record that is nested too deep.
pub(super) fn too_deep(json: &str) -> DecodeError {
    let mut level = 0usize;
    let mut bytes = json.bytes().enumerate();
    while let Some((offset, byte)) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes.by_ref().map(|(_, byte)| byte)),
            b'[' | b'{' if level == DEPTH_MAX => {
                return DecodeError::NestedTooDeep {
                    path: path_at(json, offset),
                    limit: DEPTH_MAX,
                };
            }
            b'[' | b'{' => level += 1,
            b']' | b'}' => level = level.saturating_sub(1),
            _ => {}
        }
    }
    DecodeError::NestedTooDeep { path: At::Root.to_string(), limit: DEPTH_MAX }
}

/// Refuses a value that is nested too deep; `level` is that of the object around it.
pub(super) fn check_depth(raw: &RawValue, at: &At<'_>, level: usize) -> Result<(), DecodeError> {
    match level + depth(raw.get()) > DEPTH_MAX {
        true => Err(DecodeError::NestedTooDeep { path: at.to_string(), limit: DEPTH_MAX }),
        false => Ok(()),
    }
}

/// How many objects and arrays stand inside each other, in text that need not be JSON.
pub(super) fn depth(json: &str) -> usize {
    let (mut level, mut deepest) = (0usize, 0);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'[' | b'{' => {
                level += 1;
                deepest = deepest.max(level);
            }
            b']' | b'}' => level = level.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

pub(super) fn skip_string(bytes: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

/// The JSON type of a value, by its first byte.
pub(super) fn kind(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// A name that occurs twice.
fn twice<'f>(fields: &'f [(Cow<'_, str>, &RawValue)]) -> Option<&'f str> {
    let names = || fields.iter().map(|(name, _)| name.as_ref());
    if fields.len() <= FEW {
        let repeated = |(index, name): &(usize, &str)| names().take(*index).any(|n| n == *name);
        return names().enumerate().find(repeated).map(|(_, name)| name);
    }
    let mut sorted: Vec<&str> = names().collect();
    sorted.sort_unstable();
    sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}
