//! A linear layer's weights, laid out for the tiles.

use super::simd::PANEL;

/// `x → x W + b`, packed.
///
/// The columns of `W` stand in panels of [`PANEL`], the last one filled up with zeros; within a panel, row after
/// row (float32) or four rows after four rows, each column's four side by side (int8).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PackedLinear {
    inputs: usize,
    outputs: usize,
    pub(super) bias: Vec<f32>,
    pub(super) panels: Panels,
}

/// The numbers themselves.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Panels {
    Float(Vec<f32>),
    Int8(Int8Panels),
}

/// int8 weights, one step for each output.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Int8Panels {
    pub(super) weights: Vec<i8>,
    /// What one unit of an output's weights stands for, `[outputs]`, filled up with zeros.
    pub(super) steps: Vec<f32>,
    /// The sum of an output's weights times its step, `[outputs]`, filled up with zeros.
    pub(super) sums: Vec<f32>,
    /// What each input is multiplied with before it is quantised, `[inputs]`.
    pub(super) smoothing: Vec<f32>,
}

/// int8 weights as a file has them: `weight * step` is what an input, times its smoothing, is multiplied with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Int8Rows {
    /// `[outputs, inputs]`.
    pub(crate) weights: Vec<i8>,
    /// What one unit of an output's weights stands for, `[outputs]`.
    pub(crate) steps: Vec<f32>,
    /// What each input is multiplied with before it is quantised, `[inputs]`.
    pub(crate) smoothing: Vec<f32>,
}

/// An int8 table, of which rows are looked up: `row * step` is what it stands for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Int8Table {
    /// `[rows, width]`.
    pub(crate) rows: Vec<i8>,
    /// What one unit of a row stands for, `[rows]`.
    pub(crate) steps: Vec<f32>,
}

// === impl Int8Table ===

impl Int8Table {
    /// Quantises `values`, `[rows, width]`: for each row the step that its largest number asks for.
    pub(crate) fn quantize(values: &[f32], width: usize) -> Self {
        let Int8Rows { weights: rows, steps, .. } = Int8Rows::quantize(values, vec![1.0; width]);
        Self { rows, steps }
    }

    /// What it stands for, `[rows, width]`.
    pub(crate) fn floats(&self) -> Vec<f32> {
        floats(&self.rows, &self.steps)
    }
}

// === impl Int8Rows ===

impl Int8Rows {
    /// Quantises `rows`, `[outputs, inputs]`: for each output the step that its largest weight, divided by the
    /// smoothing, asks for.
    pub(crate) fn quantize(rows: &[f32], smoothing: Vec<f32>) -> Self {
        let mut weights = Vec::with_capacity(rows.len());
        let mut steps = Vec::with_capacity(rows.len() / smoothing.len());
        for row in rows.chunks_exact(smoothing.len()) {
            let smoothed = || row.iter().zip(&smoothing).map(|(weight, factor)| weight / factor);
            let largest = smoothed().fold(0.0, |largest: f32, w| largest.max(w.abs()));
            // The smallest numbers of all, divided, are 0.
            let step = Some(largest / 127.0).filter(|step| *step > 0.0).unwrap_or(1.0);
            weights.extend(smoothed().map(|w| (w / step).round_ties_even() as i8));
            steps.push(step);
        }
        Self { weights, steps, smoothing }
    }

    /// What smoothed inputs are multiplied with, `[outputs, inputs]`.
    pub(crate) fn floats(&self) -> Vec<f32> {
        floats(&self.weights, &self.steps)
    }
}

// === impl PackedLinear ===

impl PackedLinear {
    /// Packs `rows`, `[outputs, inputs]`, and `bias`, `[outputs]`.
    pub(crate) fn float(rows: &[f32], bias: &[f32], [inputs, outputs]: [usize; 2]) -> Self {
        assert_eq!(rows.len(), inputs * outputs, "weights are [outputs, inputs]");
        let mut panels = vec![0.0; outputs.next_multiple_of(PANEL) * inputs];
        for (output, row) in rows.chunks_exact(inputs).enumerate() {
            let panel = &mut panels[output / PANEL * PANEL * inputs..];
            for (input, &weight) in row.iter().enumerate() {
                panel[input * PANEL + output % PANEL] = weight;
            }
        }
        Self { inputs, outputs, bias: filled(bias, outputs), panels: Panels::Float(panels) }
    }

    /// Packs int8 weights and `bias`, `[outputs]`.
    pub(crate) fn int8(rows: &Int8Rows, bias: &[f32]) -> Self {
        let (inputs, outputs) = (rows.smoothing.len(), rows.steps.len());
        assert_eq!(rows.weights.len(), inputs * outputs, "weights are [outputs, inputs]");
        let depth = inputs.next_multiple_of(4);
        let mut weights = vec![0; outputs.next_multiple_of(PANEL) * depth];
        let mut sums = Vec::with_capacity(outputs);
        for (output, row) in rows.weights.chunks_exact(inputs).enumerate() {
            let panel = &mut weights[output / PANEL * PANEL * depth..];
            for (input, &weight) in row.iter().enumerate() {
                panel[(input / 4 * PANEL + output % PANEL) * 4 + input % 4] = weight;
            }
            let sum: i32 = row.iter().map(|&weight| i32::from(weight)).sum();
            sums.push(sum as f32 * rows.steps[output]);
        }
        let (steps, sums) = (filled(&rows.steps, outputs), filled(&sums, outputs));
        let smoothing = rows.smoothing.clone();
        let panels = Panels::Int8(Int8Panels { weights, steps, sums, smoothing });
        Self { inputs, outputs, bias: filled(bias, outputs), panels }
    }

    /// Numbers of an input row.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Numbers of an output row.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Outputs, filled up to whole panels: the width of what a product writes.
    pub(super) fn width(&self) -> usize {
        self.bias.len()
    }
}

/// `[rows, width]` of int8, times the step of each row.
fn floats(rows: &[i8], steps: &[f32]) -> Vec<f32> {
    let width = rows.len() / steps.len();
    let mut floats = Vec::with_capacity(rows.len());
    for (row, step) in rows.chunks_exact(width).zip(steps) {
        floats.extend(row.iter().map(|&unit| f32::from(unit) * step));
    }
    floats
}

fn filled(values: &[f32], outputs: usize) -> Vec<f32> {
    assert_eq!(values.len(), outputs, "one value for each output");
    let mut values = values.to_vec();
    values.resize(outputs.next_multiple_of(PANEL), 0.0);
    values
}
