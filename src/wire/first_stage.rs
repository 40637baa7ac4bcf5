//! One list or several → first-stage order.

use std::collections::HashMap;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Candidate, Retrieval, UnknownFields, ranked};

/// Lists of one candidate set.
pub const LISTS_MAX: usize = 64;

/// The constant of reciprocal rank fusion (Cormack, Clarke and Büttcher 2009).
const RRF_K: f64 = 60.0;

/// A candidate as one list has it. Its `retrieval` is still empty, and the unknown fields stand
/// under the names they came with.
pub(super) struct Entry {
    pub(super) candidate: Candidate,
    pub(super) rank: Option<u32>,
    pub(super) score: Option<f64>,
}

/// What one retriever found.
pub(super) struct List {
    pub(super) source: Option<String>,
    pub(super) entries: Vec<Entry>,
    pub(super) extra: UnknownFields,
}

impl Serialize for List {
    /// All but the candidates.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(source) = &self.source {
            map.serialize_entry("source", source)?;
        }
        for (name, value) in self.extra.entries() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Orders one list by rank, ties in input order.
pub(super) fn order(entries: Vec<Entry>) -> Vec<Candidate> {
    let mut candidates = ranked(List { source: None, entries, extra: UnknownFields::default() });
    candidates.sort_by_key(|candidate| candidate.retrieval.first().map(|found| found.rank));
    candidates.into_iter().map(shadowed).collect()
}

/// Merges lists by id, and orders by reciprocal rank fusion, ties by first occurrence.
pub(super) fn fuse(lists: Vec<List>) -> Vec<Candidate> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut merged: Vec<Candidate> = Vec::new();
    for candidate in lists.into_iter().flat_map(ranked) {
        match places.get(&candidate.id) {
            Some(&place) => merge(&mut merged[place], candidate),
            None => {
                places.insert(candidate.id.clone(), merged.len());
                merged.push(candidate);
            }
        }
    }
    let mut fused: Vec<(f64, Candidate)> = merged.into_iter().map(|c| (rrf(&c), c)).collect();
    fused.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    fused.into_iter().map(|(_, candidate)| shadowed(candidate)).collect()
}

/// The candidates of a list in input order, each with its place noted.
fn ranked(list: List) -> Vec<Candidate> {
    let List { source, entries, .. } = list;
    let place = |(index, entry): (usize, Entry)| {
        let Entry { mut candidate, rank, score } = entry;
        if candidate.source.is_none() {
            candidate.source.clone_from(&source);
        }
        let rank = rank.unwrap_or(u32::try_from(index + 1).unwrap_or(u32::MAX));
        candidate.retrieval.push(Retrieval { source: candidate.source.clone(), rank, score });
        candidate
    };
    entries.into_iter().enumerate().map(place).collect()
}

fn merge(first: &mut Candidate, later: Candidate) {
    let Candidate { id: _, text, cut, title, source, retrieval, metadata, extra } = later;
    if is_blank(&first.text) && !is_blank(&text) {
        (first.text, first.cut) = (text, cut);
    }
    first.title = first.title.take().or(title);
    first.source = first.source.take().or(source);
    first.metadata = first.metadata.take().or(metadata);
    first.retrieval.extend(retrieval);
    first.extra.merge(extra);
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn shadowed(mut candidate: Candidate) -> Candidate {
    candidate.extra = candidate.extra.shadow(ranked::RESERVED);
    candidate
}

/// The fused score. Summed in order of rank, so that equal ranks in other lists tie exactly.
fn rrf(candidate: &Candidate) -> f64 {
    let mut ranks: Vec<u32> = candidate.retrieval.iter().map(|found| found.rank).collect();
    ranks.sort_unstable();
    ranks.into_iter().map(|rank| 1.0 / (RRF_K + f64::from(rank))).sum()
}

#[cfg(test)]
mod tests;
