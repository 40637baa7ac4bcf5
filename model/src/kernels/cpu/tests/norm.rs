use super::{Chance, Guarded, assert_rows_near, assert_same, sets};
use crate::kernels::cpu::isa::Isa;
use crate::kernels::cpu::norm::{AddNorm, NormSlices};
use crate::kernels::cpu::weights::Int8Table;
use crate::kernels::cpu::{Words, embed};

/// BERT's.
const EPSILON: f32 = 1e-12;

/// What a normalisation multiplies with and adds.
pub(super) struct Norm {
    pub(super) gamma: Vec<f32>,
    pub(super) beta: Vec<f32>,
    pub(super) epsilon: f32,
}

// === impl Norm ===

impl Norm {
    pub(super) fn new(chance: &mut Chance, hidden: usize) -> Self {
        let gamma = (0..hidden).map(|_| 1.0 + 0.5 * chance.number()).collect();
        Self { gamma, beta: chance.numbers(hidden, 0.5), epsilon: EPSILON }
    }

    pub(super) fn slices(&self) -> NormSlices<'_> {
        NormSlices { gamma: &self.gamma, beta: &self.beta, epsilon: self.epsilon }
    }

    /// In float64.
    pub(super) fn apply(&self, x: &[f64]) -> Vec<f64> {
        let mut y = Vec::new();
        for row in x.chunks_exact(self.gamma.len()) {
            let count = row.len() as f64;
            let mean = row.iter().sum::<f64>() / count;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            let factor = 1.0 / (variance + f64::from(self.epsilon)).sqrt();
            let scale = self.gamma.iter().zip(&self.beta);
            let scaled = row.iter().zip(scale).map(|(x, (gamma, beta))| {
                (x - mean) * factor * f64::from(*gamma) + f64::from(*beta)
            });
            y.extend(scaled);
        }
        y
    }
}

/// `norm(x + added)`, the rows of `added` `apart` numbers apart.
fn add_norm(isa: Isa, x: &[f32], added: &[f32], apart: usize, norm: &Norm) -> Vec<f32> {
    let hidden = norm.gamma.len();
    let spread: Vec<f32> = added
        .chunks_exact(hidden)
        .flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(f32::NAN, apart)))
        .collect();
    let added = Guarded::input(&spread);
    let mut output = Guarded::output(x.len());
    output.get_mut().copy_from_slice(x);
    isa.run(AddNorm {
        x: output.get_mut(),
        added: added.get(),
        stride: hidden + apart,
        norm: norm.slices(),
    });
    output.written()
}

/// The sums, rounded to float32 as the kernel has to.
fn sums(x: &[f32], added: &[f32]) -> Vec<f64> {
    x.iter().zip(added).map(|(x, added)| f64::from(x + added)).collect()
}

fn check(what: &str, hidden: usize, x: &[f32], added: &[f32], tolerance: f64) {
    let norm = Norm::new(&mut Chance(7), hidden);
    let expected = norm.apply(&sums(x, added));
    let sizes = vec![1.0; x.len() / hidden];
    for isa in sets() {
        for apart in [0, 13] {
            let y = add_norm(isa, x, added, apart, &norm);
            assert_rows_near(&format!("{what} on {isa:?}"), &y, &expected, &sizes, tolerance);
        }
    }
}

#[test]
fn sums_of_any_width_are_normalised() {
    let mut chance = Chance(1);
    for hidden in [2, 3, 5, 7, 15, 16, 17, 31, 32, 33, 100, 384, 1024] {
        let rows = 1 + chance.below(5);
        let (x, added) = (chance.numbers(rows * hidden, 2.0), chance.numbers(rows * hidden, 1.0));
        check(&format!("{rows} rows of {hidden}"), hidden, &x, &added, 1e-5);
    }
}

#[test]
fn a_row_of_equal_numbers_becomes_beta() {
    for hidden in [1, 7, 32, 384] {
        let norm = Norm::new(&mut Chance(2), hidden);
        // Of these the mean is exact, whatever the width.
        for value in [0.0, 1.0, -0.5, 65536.0, 1e-30] {
            let x = vec![value; hidden];
            for isa in sets() {
                let y = add_norm(isa, &x, &vec![0.0; hidden], 0, &norm);
                for (y, beta) in y.iter().zip(&norm.beta) {
                    assert!(
                        (y - beta).abs() <= 1e-5,
                        "{value} x {hidden} on {isa:?}: {y}, not {beta}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_large_mean_leaves_the_differences_their_digits() {
    let mut chance = Chance(3);
    for hidden in [31, 384] {
        // Steps of 1/8 are exact beside 4096; their squares are not beside its square.
        let x: Vec<f32> = (0..4 * hidden).map(|_| 4096.0 + chance.below(64) as f32 / 8.0).collect();
        check("a large mean", hidden, &x, &vec![0.0; x.len()], 2e-4);
    }
}

#[test]
fn huge_and_tiny_rows_are_normalised() {
    let mut chance = Chance(4);
    // Squares of the last two are nothing in float32: epsilon decides.
    for size in [1e15, 1e6, 1e-3, 1e-5, 1e-6, 1e-20, 1e-40] {
        let x = chance.numbers(3 * 100, size);
        check(&format!("numbers of {size:e}"), 100, &x, &vec![0.0; 300], 1e-5);
    }
}

#[test]
fn what_is_not_a_number_fills_its_row_and_no_other() {
    let norm = Norm::new(&mut Chance(5), 40);
    for (isa, poison) in sets().into_iter().flat_map(|isa| [(isa, f32::NAN), (isa, f32::INFINITY)])
    {
        let mut x = Chance(6).numbers(3 * 40, 1.0);
        x[40 + 39] = poison;
        let y = add_norm(isa, &x, &[0.0; 120], 0, &norm);
        assert!(y[40..80].iter().all(|y| !y.is_finite()), "{poison} on {isa:?}: {y:?}");
        assert!(
            y[..40].iter().chain(&y[80..]).all(|y| y.is_finite()),
            "{poison} on {isa:?}: {y:?}"
        );
    }
}

#[test]
fn embeddings_are_looked_up_added_and_normalised() {
    let mut chance = Chance(8);
    for hidden in [5, 24, 33, 384] {
        let norm = Norm::new(&mut chance, hidden);
        let counts = [50, 2, 40];
        let tables = counts.map(|rows| chance.numbers(rows * hidden, 1.0));
        let tokens = 39;
        let rows =
            counts.map(|count| (0..tokens).map(|_| chance.below(count) as u32).collect::<Vec<_>>());
        let look_up = |token: usize, place: usize| {
            let part = |table: usize| tables[table][rows[table][token] as usize * hidden + place];
            f64::from(part(0)) + f64::from(part(1)) + f64::from(part(2))
        };
        let sums: Vec<f64> = (0..tokens)
            .flat_map(|token| (0..hidden).map(move |place| (token, place)))
            .map(|(token, place)| look_up(token, place))
            .collect();
        let expected = norm.apply(&sums);
        for isa in sets() {
            let mut x = Guarded::output(tokens * hidden);
            let [words, others @ ..]: [_; 3] =
                std::array::from_fn(|i| (tables[i].as_slice(), rows[i].as_slice()));
            embed(isa, (Words::Float(words.0), words.1), &others, norm.slices(), x.get_mut());
            let x = x.written();
            assert_rows_near(
                &format!("{hidden} on {isa:?}"),
                &x,
                &expected,
                &vec![1.0; tokens],
                1e-5,
            );
        }
    }
}

#[test]
fn words_of_int8_are_bit_for_bit_the_floats_that_they_stand_for() {
    let mut chance = Chance(12);
    for hidden in [5, 24, 33, 384] {
        let norm = Norm::new(&mut chance, hidden);
        let mut values = chance.numbers(50 * hidden, 1.0);
        // A row of padding, and one of hardly anything.
        values[..hidden].fill(0.0);
        values[hidden..2 * hidden].fill(1e-44);
        let table = Int8Table::quantize(&values, hidden);
        assert!(table.steps.iter().all(|step| *step > 0.0));
        let floats = table.floats();
        for (row, (exact, float)) in values.chunks(hidden).zip(floats.chunks(hidden)).enumerate() {
            let largest = exact.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
            for (exact, float) in exact.iter().zip(float) {
                let off = (exact - float).abs();
                assert!(off <= (largest / 253.0).max(1e-43), "row {row} of {hidden}");
            }
        }
        let word: Vec<u32> = (0..50).rev().collect();
        let others = (chance.numbers(50 * hidden, 1.0), (0..50).collect::<Vec<u32>>());
        let others = [(others.0.as_slice(), others.1.as_slice())];
        for isa in sets() {
            let [int8, float] = [Words::Int8(&table), Words::Float(&floats)].map(|words| {
                let mut x = Guarded::output(50 * hidden);
                embed(isa, (words, &word), &others, norm.slices(), x.get_mut());
                x.written()
            });
            assert_same(&format!("{hidden} on {isa:?}"), &int8, &float);
        }
    }
}

#[test]
fn a_row_is_bit_for_bit_the_same_in_any_company() {
    let norm = Norm::new(&mut Chance(9), 100);
    let (x, added) = (Chance(10).numbers(900, 1.0), Chance(11).numbers(900, 1.0));
    for isa in sets() {
        let together = add_norm(isa, &x, &added, 3, &norm);
        let each = x.chunks_exact(100).zip(added.chunks_exact(100));
        let alone: Vec<f32> =
            each.flat_map(|(x, added)| add_norm(isa, x, added, 0, &norm)).collect();
        assert_same(&format!("{isa:?}"), &together, &alone);
    }
}
