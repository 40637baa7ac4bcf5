use std::sync::Arc;

use burn::backend::Dispatch;
use burn::tensor::{FloatDType, Int, Tensor, TensorData};

use crate::config::ModelConfig;
use crate::device::Device;
use crate::kernels::{Attention, Distance, cpu};

/// How the tokens of a pair attend to one another.
#[derive(Clone, Debug)]
pub(crate) struct Attending {
    pub(crate) heads: usize,
    pub(crate) window: Option<usize>,
    pub(crate) distance: DistanceTables,
}

/// What they know of their distance, on its device.
#[derive(Clone, Debug)]
pub(crate) enum DistanceTables {
    Unseen,
    Rotary(Box<[Tensor<2>; 2]>),
    Bias(Box<Tensor<2>>),
    Disentangled(Box<Positions>),
    Packed(Arc<cpu::Distance>),
}

/// Keys and queries of distances, `[rows, hidden]`, and the row of each distance.
#[derive(Clone, Debug)]
pub(crate) struct Positions {
    keys: Tensor<2>,
    queries: Tensor<2>,
    rows: Tensor<1, Int>,
}

/// Those of all layers, each on its device once.
#[derive(Default)]
pub(crate) struct Tables(Vec<(Arc<cpu::Distance>, DistanceTables)>);

// === impl Tables ===

impl Tables {
    /// On `device`, where layers that share `distance` share its tables.
    pub(crate) fn of(
        &mut self,
        distance: &Arc<cpu::Distance>,
        config: &ModelConfig,
        device: &Device,
    ) -> DistanceTables {
        let known = self.0.iter().find(|(known, _)| Arc::ptr_eq(known, distance));
        if let Some((_, tables)) = known {
            return tables.clone();
        }
        let tables = DistanceTables::new(distance, [config.heads, config.hidden_size], device);
        self.0.push((Arc::clone(distance), tables.clone()));
        tables
    }
}

// === impl Attending ===

impl Attending {
    /// As an operation takes it.
    pub(crate) fn attention(&self) -> Attention<Dispatch> {
        let distance = match &self.distance {
            DistanceTables::Unseen => Distance::Unseen,
            DistanceTables::Rotary(tables) => {
                let [cos, sin] = (**tables).clone().map(Tensor::into_dispatch);
                Distance::Rotary { cos, sin }
            }
            DistanceTables::Bias(bias) => Distance::Bias((**bias).clone().into_dispatch()),
            DistanceTables::Disentangled(positions) => {
                let Positions { keys, queries, rows } = (**positions).clone();
                let [keys, queries] = [keys, queries].map(Tensor::into_dispatch);
                Distance::Disentangled { keys, queries, rows: rows.into_dispatch() }
            }
            DistanceTables::Packed(packed) => Distance::Packed(Arc::clone(packed)),
        };
        Attention { heads: self.heads, window: self.window, distance }
    }
}

// === impl DistanceTables ===

impl DistanceTables {
    /// Puts the tables on `device`, in the form that it computes with.
    pub(crate) fn new(
        stored: &Arc<cpu::Distance>,
        [heads, hidden]: [usize; 2],
        device: &Device,
    ) -> Self {
        if device.kernels().is_some() {
            return Self::Packed(Arc::clone(stored));
        }
        let tensor = |values: &[f32], rows: usize, floats: FloatDType| {
            let data = TensorData::new(values.to_vec(), [rows, values.len() / rows]);
            Tensor::from_data(data, (device.burn(), floats.into()))
        };
        // What is multiplied with tokens is kept as they are; what turns them or is added to scores is float32.
        let (kept, exact) = (device.floats(), FloatDType::F32);
        match &**stored {
            cpu::Distance::Unseen => Self::Unseen,
            cpu::Distance::Rotary(rotary) => {
                let rows = rotary.cos.len() / rotary.half;
                Self::Rotary(Box::new(
                    [&rotary.cos, &rotary.sin].map(|table| tensor(table, rows, exact)),
                ))
            }
            cpu::Distance::Disentangled(disentangled) => {
                let cpu::Disentangled { rows, keys, queries, .. } = disentangled;
                let places: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
                let places = TensorData::new(places, [rows.len()]);
                Self::Disentangled(Box::new(Positions {
                    keys: tensor(keys, keys.len() / hidden, kept),
                    queries: tensor(queries, queries.len() / hidden, kept),
                    rows: Tensor::from_data(places, device.burn()),
                }))
            }
            cpu::Distance::Bias(bias) => Self::Bias(Box::new(tensor(&bias.values, heads, exact))),
        }
    }
}
