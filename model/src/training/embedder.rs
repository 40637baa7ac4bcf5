use std::path::Path;

use burn::tensor::ExecutionError;

use super::start::{self, Start, StartError};
use crate::config::{ModelConfig, embedding_pooling};
use crate::device::Device;
use crate::encoder::{LoadError, ScoreError};
use crate::layout::Layout;
use crate::network::Network;
use crate::packed::PackedBatch;
use crate::weights::WeightsError;

/// A bi-encoder: a text → its place among all texts, a vector of length 1. The cosine of two texts is their product.
///
/// The vector is the state of the first token, or the mean of the states of all, as the `Pooling` of sentence-transformers'
/// `modules.json` says (Reimers and Gurevych, Sentence-BERT, 2019); the mean where there is none.
#[derive(Clone, Debug)]
pub struct Embedder {
    network: Network,
    device: Device,
    width: usize,
}

// === impl Embedder ===

impl Embedder {
    /// Loads the encoder of a Hugging Face directory, in float32.
    ///
    /// # Errors
    /// The directory does not hold an encoder of a known architecture, or its pooling is another one.
    pub fn load(dir: &Path, device: &Device) -> Result<Self, StartError> {
        let start = Start { layers: None, random: false, seed: 0 };
        let (_, config) = start::config(dir, &start)?;
        let whole = |error: WeightsError| StartError::from(LoadError::from(error));
        let mut weights = start::weights(dir, &config, &start, false).map_err(whole)?;
        let pooling = embedding_pooling(dir, config.hidden_size).map_err(LoadError::from)?;
        let config = ModelConfig { pooling, head: Vec::new(), ..config };
        let network = Network::take(&config, &mut weights, device, None).map_err(whole)?;
        Ok(Self { network, device: device.clone(), width: config.hidden_size })
    }

    /// Numbers of a vector.
    pub fn width(&self) -> usize {
        self.width
    }

    /// A vector for each text of the batch, one after the other, `[texts, width]`.
    ///
    /// # Errors
    /// The device fails.
    pub fn embed(&self, batch: &PackedBatch) -> Result<Vec<f32>, ScoreError> {
        let layout = Layout::new(batch, &self.device);
        let failed = |source| ScoreError::Device { device: self.device.name(), source };
        let data = self.network.forward(&layout).try_into_data().map_err(failed)?;
        let computed = data
            .try_to_vec::<f32>()
            .map_err(|error| failed(ExecutionError::WithContext { reason: error.to_string() }))?;
        let mut vectors = Vec::with_capacity(computed.len());
        for place in layout.places() {
            let own = &computed[place * self.width..(place + 1) * self.width];
            let length = own.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
            vectors.extend(own.iter().map(|x| x / length));
        }
        Ok(vectors)
    }
}
