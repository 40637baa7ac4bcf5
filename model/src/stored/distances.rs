//! What attention knows of distances, made from what the file holds.

use std::sync::Arc;

use super::{StoredFile, StoredLayer, StoredLinear, StoredNorm, StoredProjection, StoredWeights};
use crate::config::{Distances, ModelConfig};
use crate::kernels::cpu::{self, Disentangled, Distance, DistanceBias, Isa, PackedLinear, Rotary};
use crate::weights::{Weights, WeightsError};

/// MPNet's distances up to this far have buckets of growing width, those beyond share the last.
const BUCKETS_DISTANCE_MAX: f32 = 128.0;

/// What the layers share.
pub(crate) struct StoredDistances {
    /// A row for each bucket.
    table: Option<Vec<f32>>,
    norm: Option<StoredNorm>,
    global: Arc<Distance>,
    local: Arc<Distance>,
}

// === impl StoredDistances ===

impl StoredDistances {
    pub(crate) fn take(config: &ModelConfig, weights: &mut Weights) -> Result<Self, WeightsError> {
        let ModelConfig { names, heads, positions, hidden_size, .. } = *config;
        let half = hidden_size / heads / 2;
        let mut stored = Self {
            table: None,
            norm: None,
            global: Arc::new(Distance::Unseen),
            local: Arc::new(Distance::Unseen),
        };
        let mut table = |shape: [usize; 2]| {
            let table = names.distances.map(|name| weights.take(&names.whole(name), shape));
            table.transpose()
        };
        match config.distances {
            Distances::Unseen => {}
            Distances::Rotary { global_theta, local_theta, .. } => {
                let turned =
                    |theta| Arc::new(Distance::Rotary(Rotary::new(theta, half, positions)));
                (stored.global, stored.local) = (turned(global_theta), turned(local_theta));
            }
            Distances::Buckets(buckets) => {
                let shape = [buckets, heads];
                stored.table = table(shape)?;
                let values =
                    stored.table.as_ref().map(|table| by_distance(table, shape, positions));
                let bias = values.map(|values| DistanceBias { positions, values });
                stored.global = Arc::new(bias.map_or(Distance::Unseen, Distance::Bias));
            }
            Distances::Disentangled { span, .. } => {
                stored.table = table([2 * span, hidden_size])?;
                let norm = names
                    .distances_norm
                    .map(|name| StoredNorm::take(weights, &names.whole(name), hidden_size, config));
                stored.norm = norm.transpose()?;
            }
        }
        Ok(stored)
    }

    /// What layer `index` knows, and how many tokens to either side it sees.
    pub(crate) fn of(
        &self,
        config: &ModelConfig,
        index: usize,
        layer: &StoredLayer,
    ) -> (Arc<Distance>, Option<usize>) {
        match &config.distances {
            Distances::Rotary { window, local, .. } if local[index] => {
                (Arc::clone(&self.local), Some(*window))
            }
            &Distances::Disentangled { span, distance_max, .. } => {
                let table = self.table.as_deref().unwrap_or_default();
                let positions = config.positions;
                let own = self.projected(table, layer, positions, [span, distance_max]);
                (Arc::new(Distance::Disentangled(own)), None)
            }
            Distances::Unseen | Distances::Buckets(_) | Distances::Rotary { .. } => {
                (Arc::clone(&self.global), None)
            }
        }
    }

    pub(crate) fn store(&self, config: &ModelConfig, file: &mut StoredFile) {
        if let (Some(name), Some(table)) = (config.names.distances, &self.table) {
            let columns = match config.distances {
                Distances::Disentangled { .. } => config.hidden_size,
                _ => config.heads,
            };
            file.floats(config.names.whole(name), &[table.len() / columns, columns], table);
        }
        if let (Some(name), Some(norm)) = (config.names.distances_norm, &self.norm) {
            norm.store(&config.names.whole(name), file);
        }
    }

    /// The table, through the layer's own projections of queries and keys.
    fn projected(
        &self,
        table: &[f32],
        layer: &StoredLayer,
        positions: usize,
        buckets: [usize; 2],
    ) -> Disentangled {
        let (isa, mut rows) = (Isa::best(), table.to_vec());
        if let Some(norm) = &self.norm {
            cpu::normalize(isa, norm.slices(), &mut rows);
        }
        let through = |linear: &StoredLinear| {
            let weights = linear.floats();
            let packed =
                PackedLinear::float(&weights, &linear.bias, [linear.inputs, linear.outputs]);
            let mut projected = vec![0.0; rows.len() / linear.inputs * linear.outputs];
            cpu::linear(isa, &rows, &packed, None, &mut projected);
            projected
        };
        let (queries, keys) = match &layer.projection {
            StoredProjection::All(qkv) => {
                let [query, key_value] = qkv.clone().split(qkv.inputs);
                let [key, _] = key_value.split(qkv.inputs);
                (through(&query), through(&key))
            }
            StoredProjection::First { query, key_value } => {
                let [key, _] = key_value.clone().split(key_value.inputs);
                (through(query), through(&key))
            }
        };
        Disentangled { positions, rows: disentangled_rows(positions, buckets), keys, queries }
    }
}

// === impl StoredLinear ===

impl StoredLinear {
    /// What the weights stand for, `[outputs, inputs]`.
    pub(super) fn floats(&self) -> Vec<f32> {
        match &self.weights {
            StoredWeights::Table(table) => table.clone().into_floats(),
            StoredWeights::Int8(int8) => {
                let rows = int8.weights.chunks_exact(self.inputs).zip(&int8.steps);
                let row = |(row, step): (&[i8], &f32)| {
                    let (step, factors) = (*step, &int8.smoothing);
                    let weight =
                        move |(weight, factor): (&i8, &f32)| f32::from(*weight) * step * factor;
                    row.iter().zip(factors).map(weight).collect::<Vec<_>>()
                };
                rows.flat_map(row).collect()
            }
        }
    }
}

/// A table of `[buckets, heads]` as `[heads, 2 * positions - 1]`, a number for each distance of key from query.
///
/// Raffel et al., Exploring the Limits of Transfer Learning, 2020: half the buckets for keys in front, half for those
/// behind; of each half, half for one distance each, and half for distances that grow with their logarithm.
fn by_distance(table: &[f32], [buckets, heads]: [usize; 2], positions: usize) -> Vec<f32> {
    let (half, exact) = (buckets / 2, buckets / 4);
    let bucket = |distance: isize| {
        let size = distance.unsigned_abs();
        let own = if size < exact {
            size
        } else {
            let share =
                (size as f32 / exact as f32).ln() / (BUCKETS_DISTANCE_MAX / exact as f32).ln();
            (exact + (share * (half - exact) as f32) as usize).min(half - 1)
        };
        if distance > 0 { half + own } else { own }
    };
    let distances = 1 - positions as isize..positions as isize;
    let head = |head: usize| distances.clone().map(move |d| table[bucket(d) * heads + head]);
    (0..heads).flat_map(head).collect()
}

/// The row of each distance, from that of the first key and the last query to that of the last key and the first
/// query: half of the span has a row for each distance, half for distances that grow with their logarithm.
fn disentangled_rows(positions: usize, [span, distance_max]: [usize; 2]) -> Vec<u32> {
    let middle = span / 2;
    let bucket = |distance: usize| {
        if distance <= middle {
            return distance;
        }
        let share = (distance as f32 / middle as f32).ln()
            / ((distance_max - 1) as f32 / middle as f32).ln();
        ((share * (middle as f32 - 1.0)).ceil() as usize).saturating_add(middle)
    };
    let row = |distance: isize| {
        let own = bucket(distance.unsigned_abs());
        // The second half of the table is for keys in front of their query.
        let row = if distance < 0 { span.saturating_sub(own) } else { span.saturating_add(own) };
        row.min(2 * span - 1) as u32
    };
    (1 - positions as isize..positions as isize).rev().map(row).collect()
}
