//! How large the numbers inside a network get, on a few texts of our own.
//!
//! int8 needs to know: a few channels of a trained encoder are far larger than all others, and what is rounded
//! beside them loses its digits, unless some of their size is moved into the weights ([`StoredLinear::quantize`]).
//! Which channels those are depends on the weights, hardly on the text.

use std::path::Path;
use std::sync::Arc;

use crate::config::{ModelConfig, NormPlace};
use crate::encoder::LoadError;
use crate::kernels::cpu::{
    self, Attention, Distance, FeedForward, Input, Isa, Normalize, Observer, PackedLinear, Rows,
    SelfAttention,
};
use crate::packed::PackedBatch;
use crate::stored::{StoredEmbeddings, StoredLayer, StoredLinear, StoredNorm, StoredProjection};
use crate::tokenizer::{PairTokenizer, TokenLimits};

/// Queries and passages of the kinds that a reranker meets: prose, names, figures, code, short and long.
const TEXTS: &[(&str, &str)] = &[
    (
        "how do vaccines train the immune system",
        "Vaccines contain a weakened or inactive part of a germ. The body answers by making antibodies and memory \
         cells, so that it recognises the germ when it meets it again.",
    ),
    (
        "what does the treasury department do",
        "The department collects taxes, pays the bills of the government, and issues bonds; in 2019 it managed a \
         debt of $22.7 trillion.",
    ),
    (
        "python list sort descending",
        "Call items.sort(reverse=True) to sort a list in place, or sorted(items, reverse=True) for a new one. Both \
         are stable: equal elements keep their order.",
    ),
    (
        "hotels in rome near the station not expensive",
        "Our family-run hotel is 300 metres from Termini station. Rooms from 65 EUR a night, breakfast included; \
         free cancellation until 48 hours before arrival.",
    ),
    (
        "symptoms of low iron",
        "Tiredness, pale skin, shortness of breath and cold hands are common when the blood lacks iron. Ask a \
         doctor for a blood test before taking tablets.",
    ),
    (
        "who wrote the magic mountain",
        "Thomas Mann (1875-1955) was a German novelist and the winner of the Nobel Prize in Literature in 1929.",
    ),
    (
        "weather tomorrow",
        "Sunny spells with a light wind from the west, highs of 21 to 24 degrees. Rain reaches the coast by evening.",
    ),
    (
        "definition of osmosis",
        "Osmosis is the movement of water through a membrane from a weaker solution to a stronger one, until both \
         are equally strong.",
    ),
];

/// Tokens of a calibration pair at most; none of the texts is as long in a vocabulary made for them.
const TOKENS_MAX: usize = 128;

/// A batch on its way through a network, in float32.
pub(crate) struct Calibration<'a> {
    isa: Isa,
    config: &'a ModelConfig,
    offsets: &'a [u32],
    /// `[tokens, hidden]`.
    x: Vec<f32>,
}

/// The largest size of each number that goes into a linear layer, `[inputs]` each.
#[derive(Debug, Default)]
pub(crate) struct Amplitudes {
    pub(crate) projection: Vec<f32>,
    pub(crate) output: Vec<f32>,
    pub(crate) up: Vec<f32>,
    pub(crate) down: Vec<f32>,
}

/// The texts, each query with its own passage and with another, as the model of `dir` reads them.
pub(crate) fn batch(dir: &Path, tokens_max: usize) -> Result<PackedBatch, LoadError> {
    let refused = |error| LoadError::Tokenizer(Box::new(error));
    let tokens_max = tokens_max.min(TOKENS_MAX);
    let limits = TokenLimits { tokens_max, query_tokens_max: tokens_max / 4 };
    let tokenizer = PairTokenizer::load(dir, limits).map_err(refused)?;
    let mut batch = PackedBatch::with_capacity(2 * TEXTS.len() * tokens_max);
    for (index, (query, passage)) in TEXTS.iter().enumerate() {
        let query = tokenizer.query(query).map_err(refused)?;
        for passage in [*passage, TEXTS[(index + 1) % TEXTS.len()].1] {
            let pair = tokenizer.pair(&query, passage).map_err(refused)?;
            batch.push(&pair.ids, &pair.types);
        }
    }
    Ok(batch)
}

// === impl Calibration ===

impl<'a> Calibration<'a> {
    /// Looks `batch` up in the embeddings.
    pub(crate) fn start(
        config: &'a ModelConfig,
        embeddings: &StoredEmbeddings,
        batch: &'a PackedBatch,
    ) -> Self {
        let isa = Isa::best();
        let types: Vec<u32> = batch.types().iter().map(|&kind| u32::from(kind)).collect();
        let positions: Vec<u32> = batch.lengths().flat_map(|length| 0..length as u32).collect();
        let words = (embeddings.words.words(), batch.ids());
        let mut others = Vec::with_capacity(2);
        others.extend(embeddings.types.as_ref().map(|table| (table.as_slice(), &types[..])));
        others.extend(embeddings.token_positions(config).map(|table| (table, &positions[..])));
        let mut x = vec![0.0; batch.tokens() * config.embedding_size];
        cpu::embed(isa, words, &others, embeddings.norm.slices(), &mut x);
        if let Some(projection) = &embeddings.projection {
            let mut wide = vec![0.0; batch.tokens() * config.hidden_size];
            cpu::linear(isa, &x, &packed(projection), None, &mut wide);
            x = wide;
        }
        Self { isa, config, offsets: batch.offsets(), x }
    }

    /// Goes through one layer, which knows this much of distances and sees so many tokens to either side, and tells
    /// how large its inputs were.
    pub(crate) fn pass(
        &mut self,
        layer: &StoredLayer,
        (distance, window): &(Arc<Distance>, Option<usize>),
    ) -> Amplitudes {
        let mut seen = Amplitudes::default();
        let hidden = self.config.hidden_size;
        let norm = self.place(layer.attention_norm.as_ref());
        let qkv = match &layer.projection {
            StoredProjection::All(qkv) => packed(qkv),
            // The last layer: what it does beyond its keys and values stays float32.
            StoredProjection::First { .. } => {
                if let Normalize::Before(norm) = norm {
                    cpu::normalize(self.isa, norm, &mut self.x);
                }
                let rows = self.x.len() / hidden;
                seen.see(Input::Projection, Rows { values: &self.x, rows, stride: hidden });
                return seen;
            }
        };
        let (output, up, down) = (packed(&layer.output), packed(&layer.up), packed(&layer.down));
        let attention = Attention { heads: self.config.heads, window: *window, distance };
        let attention = SelfAttention { qkv: &qkv, output: &output, norm, attention };
        attention.run(self.isa, &mut self.x, self.offsets, &mut seen);
        let (activation, gated) = (self.config.activation, self.config.gated);
        let norm = self.place(Some(&layer.norm));
        let feed_forward = FeedForward { up: &up, activation, gated, down: &down, norm };
        feed_forward.run(self.isa, &mut self.x, &mut seen);
        seen
    }

    fn place<'n>(&self, norm: Option<&'n StoredNorm>) -> Normalize<'n> {
        match (norm.map(StoredNorm::slices), self.config.norm_place) {
            (Some(norm), NormPlace::After) => Normalize::After(norm),
            (Some(norm), NormPlace::Before) => Normalize::Before(norm),
            (None, _) => Normalize::Nowhere,
        }
    }
}

// === impl Amplitudes ===

impl Observer for Amplitudes {
    fn see(&mut self, input: Input, rows: Rows<'_>) {
        let largest = match input {
            Input::Projection => &mut self.projection,
            Input::Output => &mut self.output,
            Input::Up => &mut self.up,
            Input::Down => &mut self.down,
        };
        for row in rows.values.chunks(rows.stride).take(rows.rows) {
            largest.resize(rows.stride.min(row.len()).max(largest.len()), 0.0);
            for (largest, value) in largest.iter_mut().zip(row) {
                *largest = largest.max(value.abs());
            }
        }
    }
}

fn packed(layer: &StoredLinear) -> PackedLinear {
    layer.clone().packed()
}
