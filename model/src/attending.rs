use std::sync::Arc;

use burn::backend::Dispatch;
use burn::tensor::{Tensor, TensorData};

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
    Packed(Arc<cpu::Distance>),
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
            DistanceTables::Packed(packed) => Distance::Packed(Arc::clone(packed)),
        };
        Attention { heads: self.heads, window: self.window, distance }
    }
}

// === impl DistanceTables ===

impl DistanceTables {
    /// Puts the tables on `device`, in the form that it computes with.
    pub(crate) fn new(stored: &Arc<cpu::Distance>, heads: usize, device: &Device) -> Self {
        if device.kernels().is_some() {
            return Self::Packed(Arc::clone(stored));
        }
        let tensor = |values: &[f32], rows: usize| {
            let data = TensorData::new(values.to_vec(), [rows, values.len() / rows]);
            Tensor::from_data(data, device.burn())
        };
        match &**stored {
            cpu::Distance::Unseen => Self::Unseen,
            cpu::Distance::Rotary(rotary) => {
                let rows = rotary.cos.len() / rotary.half;
                Self::Rotary(Box::new([&rotary.cos, &rotary.sin].map(|table| tensor(table, rows))))
            }
            cpu::Distance::Bias(bias) => Self::Bias(Box::new(tensor(&bias.values, heads))),
        }
    }
}
