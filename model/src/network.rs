//! The network of every architecture, on a packed batch.

#[cfg(feature = "train")]
use std::path::PathBuf;

use burn::backend::Dispatch;
use burn::module::{Module, Param};
use burn::tensor::{FloatDType, Tensor};

use crate::attending::{Attending, Tables};
use crate::calibration::Calibration;
#[cfg(feature = "train")]
use crate::config::Biases;
use crate::config::{Activation, ModelConfig, NormPlace, Pooling};
use crate::device::Device;
use crate::head::Head;
use crate::kernels::{EmbeddingTables, EncoderOps as _, Normalize, Table};
#[cfg(feature = "train")]
use crate::layers::numbers;
use crate::layers::{Linear, Norm, Words, param};
use crate::layout::Layout;
use crate::packed::PackedBatch;
use crate::precision::Precision;
#[cfg(feature = "train")]
use crate::stored::StoredFile;
use crate::stored::{StoredDistances, StoredEmbeddings, StoredHead, StoredLayer, StoredProjection};
use crate::weights::{Weights, WeightsError};

/// Embeddings, layers and head.
#[derive(Module, Debug)]
pub(crate) struct Network {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    /// Behind the last layer.
    norm: Option<Norm>,
    head: Head,
    #[module(skip)]
    pooling: Pooling,
}

/// Word, type and position of each token.
#[derive(Module, Debug)]
struct Embeddings {
    words: Words,
    types: Option<Param<Tensor<2>>>,
    positions: Option<Param<Tensor<2>>>,
    norm: Norm,
    projection: Option<Linear>,
}

/// Attention, then feed-forward, each with its input added, and normalised.
#[derive(Module, Debug)]
struct Layer {
    projection: Projection,
    output: Linear,
    attention_norm: Option<Norm>,
    up: Linear,
    down: Linear,
    norm: Norm,
    #[module(skip)]
    attending: Attending,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    gated: bool,
    #[module(skip)]
    norm_place: NormPlace,
}

/// What a layer projects into queries, keys and values.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has some dozens")]
enum Projection {
    /// Query, key and value side by side, `[hidden, 3 * hidden]`.
    All(Linear),
    First(FirstProjection),
}

/// Of a last layer where no token but the first of each pair asks.
#[derive(Module, Debug)]
struct FirstProjection {
    query: Linear,
    /// Side by side, `[hidden, 2 * hidden]`.
    key_value: Linear,
}

// === impl Network ===

impl Network {
    /// Takes every tensor of the file. Where `calibration` is given, the weights become int8.
    pub(crate) fn load(
        config: &ModelConfig,
        mut weights: Weights,
        device: &Device,
        calibration: Option<&PackedBatch>,
    ) -> Result<Self, WeightsError> {
        let network = Self::take(config, &mut weights, device, calibration)?;
        weights.finish(&config.names.ignored())?;
        Ok(network)
    }

    /// As [`Network::load`], whatever else is in the file.
    pub(crate) fn take(
        config: &ModelConfig,
        weights: &mut Weights,
        device: &Device,
        calibration: Option<&PackedBatch>,
    ) -> Result<Self, WeightsError> {
        let mut embeddings = StoredEmbeddings::take(config, weights)?;
        if calibration.is_some() {
            embeddings.quantize(config);
        }
        let distances = StoredDistances::take(config, weights)?;
        let mut calibration =
            calibration.map(|batch| Calibration::start(config, &embeddings, batch));
        let embeddings = Embeddings::new(embeddings, config, device);
        let mut tables = Tables::default();
        let mut layers = Vec::with_capacity(config.layers);
        // Layer by layer, so that no more than one is in memory twice.
        for index in 0..config.layers {
            let mut stored = StoredLayer::take(config, weights, index)?;
            if let Some(calibration) = &mut calibration {
                let inputs = calibration.pass(&stored, &distances.of(config, index, &stored));
                stored.quantize(&inputs);
            }
            let (distance, window) = distances.of(config, index, &stored);
            let distance = tables.of(&distance, config, device);
            let attending = Attending { heads: config.heads, window, distance };
            layers.push(Layer::new(stored, attending, config, device));
        }
        let mut head = StoredHead::take(config, weights)?;
        Ok(Self {
            embeddings,
            layers,
            norm: head.final_norm.take().map(|norm| Norm::new(norm, device)),
            head: Head::new(head, &device.keeping(Precision::F32)),
            pooling: config.pooling,
        })
    }

    /// Returns logits, `[pairs, labels]`, in computed order.
    pub(crate) fn forward(&self, layout: &Layout) -> Tensor<2> {
        let mut x = self.embeddings.forward(layout);
        for layer in &self.layers {
            x = layer.forward(x, layout);
        }
        // From here on there is little to compute, and a logit needs all its digits.
        let mut x = x.cast(FloatDType::F32);
        if let Some(norm) = &self.norm {
            x = norm.forward(x);
        }
        self.head.forward(match self.pooling {
            // The last layer has left the others out.
            Pooling::First => x,
            Pooling::Mean => {
                Tensor::from_dispatch(Dispatch::mean(x.into_dispatch(), layout.pairs.clone()))
            }
        })
    }
}

#[cfg(feature = "train")]
impl Network {
    /// The layers, as the tensors of a file; also those of heads in folders of their own.
    pub(crate) fn store(
        &self,
        config: &ModelConfig,
        rest: &Untrained,
        file: &mut StoredFile,
    ) -> Vec<(PathBuf, StoredFile)> {
        self.embeddings.stored(config, rest).store(config, file);
        rest.distances.store(config, file);
        for (index, layer) in self.layers.iter().enumerate() {
            layer.stored(config).store(config, index, file);
        }
        let mut head = self.head.stored(config);
        head.final_norm = self.norm.as_ref().map(|norm| norm.stored(config.biases.norm));
        head.store(config, file);
        head.in_folders(config)
    }

    /// Keeps what texts are looked up in as it is.
    pub(crate) fn freeze_embeddings(self) -> Self {
        Self { embeddings: self.embeddings.no_grad(), ..self }
    }
}

/// What a file holds beside what is trained.
#[cfg(feature = "train")]
pub(crate) struct Untrained {
    /// What is shared by the layers for distances.
    pub(crate) distances: StoredDistances,
    /// Rows of the position table before that of the first token.
    pub(crate) positions_before: Vec<f32>,
}

// === impl Embeddings ===

impl Embeddings {
    fn new(stored: StoredEmbeddings, config: &ModelConfig, device: &Device) -> Self {
        let width = config.embedding_size;
        let table = |rows: Vec<f32>| {
            let shape = [rows.len() / width, width];
            param(rows, shape, (device.burn(), device.floats()))
        };
        let positions = stored.token_positions(config).map(<[f32]>::to_vec);
        Self {
            positions: positions.map(table),
            words: Words::new(stored.words, width, device),
            types: stored.types.map(table),
            norm: Norm::new(stored.norm, device),
            projection: stored.projection.map(|linear| Linear::new(linear, device)),
        }
    }

    #[cfg(feature = "train")]
    fn stored(&self, config: &ModelConfig, rest: &Untrained) -> StoredEmbeddings {
        let positions = self.positions.as_ref().map(|own| {
            let mut rows = rest.positions_before.clone();
            rows.extend(numbers(own));
            rows
        });
        StoredEmbeddings {
            words: self.words.stored(),
            types: self.types.as_ref().map(numbers),
            positions,
            norm: self.norm.stored(config.biases.norm),
            projection: self.projection.as_ref().map(|projection| projection.stored(true)),
        }
    }

    /// Returns `[tokens, hidden]`.
    fn forward(&self, layout: &Layout) -> Tensor<2> {
        let table = |table: &Option<Param<Tensor<2>>>| match table {
            Some(rows) => Table::Rows(rows.val().into_dispatch()),
            None => Table::Absent,
        };
        let tables = EmbeddingTables {
            words: self.words.table(),
            types: table(&self.types),
            positions: table(&self.positions),
        };
        let x = Dispatch::embed(tables, layout.tokens.clone(), self.norm.weights());
        let x = Tensor::from_dispatch(x);
        match &self.projection {
            Some(projection) => projection.forward(x, None),
            None => x,
        }
    }
}

// === impl Layer ===

impl Layer {
    fn new(
        stored: StoredLayer,
        attending: Attending,
        config: &ModelConfig,
        device: &Device,
    ) -> Self {
        let projection = match stored.projection {
            StoredProjection::All(qkv) => Projection::All(Linear::new(qkv, device)),
            StoredProjection::First { query, key_value } => Projection::First(FirstProjection {
                query: Linear::new(query, device),
                key_value: Linear::new(key_value, device),
            }),
        };
        Self {
            projection,
            output: Linear::new(stored.output, device),
            attention_norm: stored.attention_norm.map(|norm| Norm::new(norm, device)),
            up: Linear::new(stored.up, device),
            down: Linear::new(stored.down, device),
            norm: Norm::new(stored.norm, device),
            attending,
            activation: config.activation,
            gated: config.gated,
            norm_place: config.norm_place,
        }
    }

    #[cfg(feature = "train")]
    fn stored(&self, config: &ModelConfig) -> StoredLayer {
        let Biases { attention, feed_forward, norm } = config.biases;
        let projection = match &self.projection {
            Projection::All(qkv) => StoredProjection::All(qkv.stored(attention)),
            Projection::First(FirstProjection { query, key_value }) => StoredProjection::First {
                query: query.stored(attention),
                key_value: key_value.stored(attention),
            },
        };
        StoredLayer {
            projection,
            output: self.output.stored(attention),
            attention_norm: self.attention_norm.as_ref().map(|own| own.stored(norm)),
            up: self.up.stored(feed_forward),
            down: self.down.stored(feed_forward),
            norm: self.norm.stored(norm),
        }
    }

    /// `[tokens, hidden]` → `[tokens, hidden]`, or `[pairs, hidden]` where no token but the first of each pair asks.
    fn forward(&self, x: Tensor<2>, layout: &Layout) -> Tensor<2> {
        let (x, output) = (x.into_dispatch(), self.output.weights());
        let norm = self.normalize(self.attention_norm.as_ref());
        let (pairs, attention) = (layout.pairs.clone(), self.attending.attention());
        let attended = match &self.projection {
            Projection::All(qkv) => {
                Dispatch::self_attention(x, qkv.weights(), output, norm, pairs, attention)
            }
            Projection::First(FirstProjection { query, key_value }) => Dispatch::first_attention(
                x,
                query.weights(),
                key_value.weights(),
                output,
                norm,
                pairs,
                attention,
            ),
        };
        Tensor::from_dispatch(Dispatch::feed_forward(
            attended,
            self.up.weights(),
            self.activation,
            self.gated,
            self.down.weights(),
            self.normalize(Some(&self.norm)),
        ))
    }

    fn normalize(&self, norm: Option<&Norm>) -> Normalize<Dispatch> {
        match (norm.map(Norm::weights), self.norm_place) {
            (Some(norm), NormPlace::After) => Normalize::After(norm),
            (Some(norm), NormPlace::Before) => Normalize::Before(norm),
            (None, _) => Normalize::Nowhere,
        }
    }
}
