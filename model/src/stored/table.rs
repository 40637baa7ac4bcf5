//! Weights that are rounded for their size alone: what is computed with them is float32.

use std::ops::Range;

use super::StoredFile;
use crate::kernels::cpu::{Int8Table, Words};
use crate::weights::{Weights, WeightsError};

/// Behind the name of a rounded tensor: what one unit of each of its rows stands for.
const STEP: &str = "_step";

/// A table, `[rows, width]`.
#[derive(Clone, Debug)]
pub(crate) enum StoredTable {
    Float(Vec<f32>),
    Int8(Int8Table),
}

// === impl StoredTable ===

impl StoredTable {
    /// Takes it as the file has it. Only a quantised one may have int8.
    pub(crate) fn take(
        weights: &mut Weights,
        name: &str,
        [rows, width]: [usize; 2],
        quantized: bool,
    ) -> Result<Self, WeightsError> {
        if !(quantized && weights.is_int8(name)) {
            return weights.take(name, [rows, width]).map(Self::Float);
        }
        let units = weights.take_int8(name, [rows, width])?;
        let steps = weights.take_positive(&format!("{name}{STEP}"), [rows])?;
        Ok(Self::Int8(Int8Table { rows: units, steps }))
    }

    /// Floats become int8, one step a row.
    pub(crate) fn quantize(&mut self, width: usize) {
        if let Self::Float(values) = self {
            *self = Self::Int8(Int8Table::quantize(values, width));
        }
    }

    /// Some of its rows.
    pub(crate) fn part(&self, rows: Range<usize>, width: usize) -> Self {
        let values = rows.start * width..rows.end * width;
        match self {
            Self::Float(floats) => Self::Float(floats[values].to_vec()),
            Self::Int8(table) => {
                let (units, steps) = (table.rows[values].to_vec(), table.steps[rows].to_vec());
                Self::Int8(Int8Table { rows: units, steps })
            }
        }
    }

    /// What it stands for, `[rows, width]`.
    pub(crate) fn into_floats(self) -> Vec<f32> {
        match self {
            Self::Float(values) => values,
            Self::Int8(table) => table.floats(),
        }
    }

    /// As kernels look words up in it.
    pub(crate) fn words(&self) -> Words<'_> {
        match self {
            Self::Float(values) => Words::Float(values),
            Self::Int8(table) => Words::Int8(table),
        }
    }

    /// The table as tensors of a file.
    pub(crate) fn store(&self, name: String, width: usize, file: &mut StoredFile) {
        match self {
            Self::Float(values) => file.floats(name, &[values.len() / width, width], values),
            Self::Int8(Int8Table { rows, steps }) => {
                file.floats(format!("{name}{STEP}"), &[steps.len()], steps);
                file.bytes(name, &[steps.len(), width], rows);
            }
        }
    }
}
