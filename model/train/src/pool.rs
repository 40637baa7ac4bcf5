//! Passages that queries are asked of, as a first stage sees them: by their words and by their meaning.

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use anyhow::Context as _;
use crossrank_model::training::{Embedder, Start, start};
use crossrank_model::{Backend, Device, PackedBatch, PairTokenizer};

use crate::index::Index;
use crate::measure::{each, limits};

/// Tokens of a text that is embedded.
const TOKENS_MAX: usize = 256;
/// Texts that are embedded at a time.
const BATCH_TEXTS: usize = 16;
/// How many passages each of the two first stages finds.
const FOUND_MAX: usize = 60;
/// A text whose vector tells one bi-encoder from another.
const SAMPLE: &str = "how a passage is told from another one";

/// How a cosine and BM25's score become one logit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blend {
    /// What makes a logit of a cosine, as the losses of bi-encoders do.
    pub(crate) scale: f32,
    /// How much BM25's standardised score counts beside it.
    pub(crate) words: f32,
}

/// Texts → vectors.
pub(crate) struct Texts {
    embedder: Embedder,
    tokenizer: PairTokenizer,
    /// What stands before and behind a text.
    special: [u32; 2],
}

/// Passages, with their vectors and their index.
pub(crate) struct Pool {
    pub(crate) passages: Vec<String>,
    vectors: Vec<f32>,
    index: Index,
    texts: Texts,
    blend: Blend,
}

/// A passage that a first stage finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Found {
    /// Its place in the pool.
    pub(crate) place: u32,
    /// Both first stages together, as a logit.
    pub(crate) logit: f32,
    /// BM25's score.
    pub(crate) words: f32,
}

// === impl Texts ===

impl Texts {
    /// The bi-encoder of a directory, with the tokenizer of the cross-encoder that was started from it.
    pub(crate) fn load(encoder: &Path, started: &Path) -> anyhow::Result<Self> {
        let embedder = Embedder::load(encoder, &Device::open(Backend::Flex)?)?;
        let tokenizer = PairTokenizer::load(started, limits(TOKENS_MAX))?;
        let nothing = tokenizer.pair(&tokenizer.query("")?, "")?.ids;
        let ends = nothing.first().copied().zip(nothing.last().copied());
        let (before, behind) = ends.context("a pair has special tokens")?;
        Ok(Self { embedder, tokenizer, special: [before, behind] })
    }

    /// The bi-encoder of a directory alone.
    pub(crate) fn of(encoder: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("there is no room for a folder")?;
        let started = folder.path().join("started");
        let new = Start { layers: None, random: false, seed: 0 };
        start(encoder, &started, &new)?;
        Self::load(encoder, &started)
    }

    /// The vectors of texts, one behind the other.
    pub(crate) fn embed(&self, texts: &[impl AsRef<str>]) -> anyhow::Result<Vec<f32>> {
        let mut batch = PackedBatch::with_capacity(0);
        for text in texts {
            // A passage has more room than a query.
            let pair = self.tokenizer.pair(&self.tokenizer.query("")?, text.as_ref())?;
            // Without the query's end.
            let ids: Vec<u32> =
                std::iter::once(self.special[0]).chain(pair.ids.iter().skip(2).copied()).collect();
            batch.push(&ids, &vec![0; ids.len()]);
        }
        Ok(self.embedder.embed(&batch)?)
    }
}

// === impl Pool ===

impl Pool {
    /// Embeds and indexes passages. Vectors are kept in the folder `cache`, and taken from there where they are those of
    /// the same passages and bi-encoder.
    pub(crate) fn new(
        passages: Vec<String>,
        texts: Texts,
        blend: Blend,
        cache: &Path,
        threads: usize,
    ) -> anyhow::Result<Self> {
        let width = texts.embedder.width();
        let mut hasher = DefaultHasher::new();
        passages.hash(&mut hasher);
        texts.embed(&[SAMPLE])?.iter().for_each(|x| x.to_bits().hash(&mut hasher));
        let cache = cache.join(format!("vectors-{:016x}.f32", hasher.finish()));
        let kept = fs::read(&cache).unwrap_or_default();
        let vectors = if kept.len() == passages.len() * width * size_of::<f32>() {
            bytemuck::pod_collect_to_vec(&kept)
        } else {
            let batches: Vec<&[String]> = passages.chunks(BATCH_TEXTS).collect();
            let vectors = each(threads, &batches, |batch| texts.embed(batch))?.concat();
            fs::write(&cache, bytemuck::cast_slice::<f32, u8>(&vectors))
                .with_context(|| format!("cannot write {}", cache.display()))?;
            vectors
        };
        let index = Index::new(&passages);
        Ok(Self { passages, vectors, index, texts, blend })
    }

    /// The cosine of a query with each passage.
    pub(crate) fn cosines(&self, query: &str) -> anyhow::Result<Vec<f32>> {
        let query = self.texts.embed(&[query])?;
        let cosine = |own: &[f32]| own.iter().zip(&query).map(|(a, b)| a * b).sum();
        Ok(self.vectors.chunks_exact(query.len()).map(cosine).collect())
    }

    /// What both first stages find, and the passages `also`: the best first.
    pub(crate) fn search(&self, query: &str, also: &[u32]) -> anyhow::Result<Vec<Found>> {
        let (words, cosines) = (self.index.search(query), self.cosines(query)?);
        let mut near: Vec<u32> = (0..cosines.len() as u32).collect();
        let by_cosine =
            |a: &u32, b: &u32| cosines[*b as usize].total_cmp(&cosines[*a as usize]).then(a.cmp(b));
        let count = FOUND_MAX.min(near.len());
        if count < near.len() {
            near.select_nth_unstable_by(count, by_cosine);
        }
        let mut places: Vec<u32> = near[..count].to_vec();
        places.extend(words.iter().take(FOUND_MAX).map(|(place, _)| *place));
        places.extend(also);
        places.sort_unstable();
        places.dedup();
        let words: HashMap<u32, f32> = words.into_iter().collect();
        let bm25 = |place: &u32| words.get(place).copied().unwrap_or(0.0);
        let standard = Standard::of(places.iter().map(bm25));
        let mut found: Vec<Found> = places
            .iter()
            .map(|&place| {
                let words = bm25(&place);
                let Blend { scale, words: share } = self.blend;
                let logit = scale * cosines[place as usize] + share * standard.score(words);
                Found { place, logit, words }
            })
            .collect();
        found.sort_by(|a, b| b.logit.total_cmp(&a.logit).then(a.place.cmp(&b.place)));
        Ok(found)
    }

    /// What BM25 alone finds, the best first.
    pub(crate) fn by_words(&self, query: &str, count: usize) -> Vec<u32> {
        self.index.search(query).into_iter().take(count).map(|(place, _)| place).collect()
    }
}

/// Mean and spread of scores.
struct Standard {
    mean: f32,
    spread: f32,
}

// === impl Standard ===

impl Standard {
    fn of(scores: impl Iterator<Item = f32> + Clone) -> Self {
        let count = scores.clone().count().max(1) as f32;
        let mean = scores.clone().sum::<f32>() / count;
        let variance = scores.map(|score| (score - mean).powi(2)).sum::<f32>() / count;
        Self { mean, spread: variance.sqrt() }
    }

    fn score(&self, score: f32) -> f32 {
        if self.spread > 0.0 { (score - self.mean) / self.spread } else { 0.0 }
    }
}
