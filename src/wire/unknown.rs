use std::borrow::Cow;
use std::collections::HashSet;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// The fields of an object that the format does not know: values byte for byte, in input order.
#[derive(Clone, Debug, Default)]
pub struct UnknownFields(Vec<(String, Box<RawValue>)>);

/// Where a field comes back whose name the output needs for itself.
pub(super) const SHADOWED: &str = "input";

// === impl UnknownFields ===

impl UnknownFields {
    /// Keeps `fields` under the names they came with.
    pub(super) fn keep(fields: &[(Cow<'_, str>, &RawValue)]) -> Self {
        Self::beside(fields, &[])
    }

    /// Moves the fields whose name is in `reserved`, together, under [`SHADOWED`]. Comes after
    /// every [`merge`](Self::merge), which tells fields apart by the names they came with.
    pub(super) fn shadow(self, reserved: &[&str]) -> Self {
        let is_reserved = |name: &str| name == SHADOWED || reserved.contains(&name);
        let (shadowed, kept) = self.0.into_iter().partition(|(name, _)| is_reserved(name));
        let (mut kept, shadowed) = (Self(kept), Self(shadowed));
        if !shadowed.is_empty() {
            kept.push(SHADOWED, &shadowed);
        }
        kept
    }

    /// Adds a field of our own making.
    pub(super) fn push<T: Serialize>(&mut self, name: &str, value: &T) {
        // Cannot fail: keys are strings and values are JSON.
        if let Ok(raw) = to_raw_value(value) {
            self.0.push((name.to_owned(), raw));
        }
    }

    /// Those of `fields` that are not in `known`.
    pub(super) fn beside(fields: &[(Cow<'_, str>, &RawValue)], known: &[&str]) -> Self {
        let unknown = fields.iter().filter(|(name, _)| !known.contains(&name.as_ref()));
        Self(unknown.map(|(name, value)| (name.to_string(), (*value).to_owned())).collect())
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_ref()))
    }

    /// Adds the fields of `other` whose name is not here yet.
    pub(super) fn merge(&mut self, other: Self) {
        let known: HashSet<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        let is_new = |(name, _): &(String, _)| !known.contains(name.as_str());
        let new: Vec<_> = other.0.into_iter().filter(is_new).collect();
        self.0.extend(new);
    }

    /// The JSON of the field of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, json)| json)
    }

    /// Names and their JSON, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.get()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for UnknownFields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Serialize for UnknownFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
