use super::math::reference;
use super::norm::Norm;
use super::{Chance, Guarded, Layer, assert_same, sets, wide};
use crate::config::Activation;
use crate::kernels::cpu::isa::Isa;
use crate::kernels::cpu::weights::PackedLinear;
use crate::kernels::cpu::{
    Attention, Distance, FeedForward, FirstAttention, Normalize, Rows, SelfAttention,
};
use crate::kernels::cpu::{Input, Observer, linear};

const HEADS: usize = 3;
const ATTENTION: Attention<'static> =
    Attention { heads: HEADS, window: None, distance: &Distance::Unseen };

/// One encoder layer.
struct Weights {
    query: Layer,
    key_value: Layer,
    output: Layer,
    up: Layer,
    down: Layer,
    norm: Norm,
}

/// The same, laid out for kernels.
struct Packed {
    qkv: PackedLinear,
    query: PackedLinear,
    key_value: PackedLinear,
    output: PackedLinear,
    up: PackedLinear,
    down: PackedLinear,
}

// === impl Weights ===

impl Weights {
    fn new(chance: &mut Chance, hidden: usize, inner: usize) -> Self {
        Self {
            query: Layer::new(chance, [hidden, hidden], 0.3),
            key_value: Layer::new(chance, [hidden, 2 * hidden], 0.3),
            output: Layer::new(chance, [hidden, hidden], 0.3),
            up: Layer::new(chance, [hidden, inner], 0.3),
            down: Layer::new(chance, [inner, hidden], 0.3),
            norm: Norm::new(chance, hidden),
        }
    }

    fn packed(&self, int8: bool) -> Packed {
        let pack = |layer: &Layer| if int8 { layer.packed_int8() } else { layer.packed() };
        let side_by_side = Layer {
            inputs: self.query.inputs,
            outputs: 3 * self.query.inputs,
            weights: [self.query.weights.as_slice(), &self.key_value.weights].concat(),
            bias: [self.query.bias.as_slice(), &self.key_value.bias].concat(),
        };
        Packed {
            qkv: pack(&side_by_side),
            query: pack(&self.query),
            key_value: pack(&self.key_value),
            output: pack(&self.output),
            up: pack(&self.up),
            down: pack(&self.down),
        }
    }

    /// In float64, for one pair: `norm(output(attention(x)) + x)`.
    fn attended(&self, x: &[f32]) -> Vec<f64> {
        let hidden = self.query.inputs;
        let (tokens, width) = (x.len() / hidden, hidden / HEADS);
        let (query, key_value) = (self.query.apply(&wide(x)), self.key_value.apply(&wide(x)));
        let mut context = vec![0.0; tokens * hidden];
        for (token, head) in (0..tokens).flat_map(|token| (0..HEADS).map(move |h| (token, h))) {
            let part = |token: usize, part: usize| {
                &key_value[token * 2 * hidden + part * hidden + head * width..][..width]
            };
            let query = &query[token * hidden + head * width..][..width];
            let score = |key: usize| {
                let products = query.iter().zip(part(key, 0)).map(|(q, k)| q * k);
                (products.sum::<f64>() / (width as f64).sqrt()).exp()
            };
            let weights: Vec<f64> = (0..tokens).map(score).collect();
            let sum: f64 = weights.iter().sum();
            for (key, weight) in weights.iter().enumerate() {
                for (at, value) in part(key, 1).iter().enumerate() {
                    context[token * hidden + head * width + at] += weight / sum * value;
                }
            }
        }
        self.added(&self.output.apply(&context), x)
    }

    /// In float64: `norm(down(activation(up(x))) + x)`.
    fn fed(&self, x: &[f32], activation: Activation) -> Vec<f64> {
        let inner = self.up.apply(&wide(x));
        let inner: Vec<f64> = inner.iter().map(|x| reference(Some(activation), *x)).collect();
        self.added(&self.down.apply(&inner), x)
    }

    fn added(&self, y: &[f64], x: &[f32]) -> Vec<f64> {
        let sums: Vec<f64> = y.iter().zip(x).map(|(y, x)| y + f64::from(*x)).collect();
        self.norm.apply(&sums)
    }
}

// === impl Packed ===

impl Packed {
    fn attend(&self, isa: Isa, norm: &Norm, x: &[f32], offsets: &[u32]) -> Vec<f32> {
        let attention = SelfAttention {
            qkv: &self.qkv,
            output: &self.output,
            norm: Normalize::After(norm.slices()),
            attention: ATTENTION,
        };
        let mut buffer = Guarded::output(x.len());
        buffer.get_mut().copy_from_slice(x);
        attention.run(isa, buffer.get_mut(), offsets, &mut ());
        buffer.written()
    }

    fn attend_first(&self, isa: Isa, norm: &Norm, x: &[f32], offsets: &[u32]) -> Vec<f32> {
        let attention = FirstAttention {
            query: &self.query,
            key_value: &self.key_value,
            output: &self.output,
            norm: Normalize::After(norm.slices()),
            attention: ATTENTION,
        };
        let input = Guarded::input(x);
        let mut firsts = Guarded::output((offsets.len() - 1) * self.query.inputs());
        attention.run(isa, input.get(), offsets, firsts.get_mut());
        firsts.written()
    }

    fn feed(&self, isa: Isa, norm: &Norm, x: &[f32], activation: Activation) -> Vec<f32> {
        let feed_forward = FeedForward {
            up: &self.up,
            activation,
            gated: false,
            down: &self.down,
            norm: Normalize::After(norm.slices()),
        };
        let mut buffer = Guarded::output(x.len());
        buffer.get_mut().copy_from_slice(x);
        feed_forward.run(isa, buffer.get_mut(), &mut ());
        buffer.written()
    }
}

/// Where each pair starts, and where the last one ends.
fn offsets(lengths: &[usize]) -> Vec<u32> {
    let mut ends = vec![0];
    for length in lengths {
        ends.push(ends[ends.len() - 1] + *length as u32);
    }
    ends
}

/// The largest difference.
fn off(actual: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(actual.len(), expected.len());
    let each = actual.iter().zip(expected).map(|(a, e)| (f64::from(*a) - e).abs());
    each.fold(0.0, |worst: f64, off| if off.is_nan() { f64::INFINITY } else { worst.max(off) })
}

/// Ragged mixes: around the edges of panels, of groups of pairs, and of blocks of rows.
const MIXES: [&[usize]; 7] = [
    &[1],
    &[1, 1, 1],
    &[2, 31, 32, 33, 1],
    &[97, 3, 95, 1, 96, 2],
    &[48, 48, 49, 47],
    &[5, 120, 7, 9, 11, 64, 31],
    &[512],
];

#[test]
fn both_halves_of_a_layer_agree_with_float64() {
    let mut chance = Chance(1);
    for (hidden, inner) in [(24, 36), (96, 384)] {
        let weights = Weights::new(&mut chance, hidden, inner);
        let packed = weights.packed(false);
        for lengths in MIXES {
            let offsets = offsets(lengths);
            let x = chance.numbers(offsets[lengths.len()] as usize * hidden, 1.5);
            let pair = |pair: &[u32]| &x[pair[0] as usize * hidden..pair[1] as usize * hidden];
            let attended: Vec<f64> =
                offsets.windows(2).flat_map(|ends| weights.attended(pair(ends))).collect();
            for isa in sets() {
                let what = format!("{lengths:?} x {hidden} on {isa:?}");
                let y = packed.attend(isa, &weights.norm, &x, &offsets);
                assert!(off(&y, &attended) <= 1e-5, "{what}: {:e} off", off(&y, &attended));
            }
            for activation in [Activation::GeluErf, Activation::GeluTanh, Activation::Relu] {
                let fed = weights.fed(&x, activation);
                for isa in sets() {
                    let y = packed.feed(isa, &weights.norm, &x, activation);
                    let what = format!("{lengths:?} x {hidden}, {activation:?} on {isa:?}");
                    assert!(off(&y, &fed) <= 1e-5, "{what}: {:e} off", off(&y, &fed));
                }
            }
        }
    }
}

#[test]
fn first_attention_is_self_attention_of_the_first_tokens() {
    let mut chance = Chance(2);
    // Two thirds of a panel, and whole panels: a projection's parts start inside a panel, or at one.
    for hidden in [24, 96] {
        let weights = Weights::new(&mut chance, hidden, 32);
        for (packed, lengths) in [weights.packed(false), weights.packed(true)]
            .iter()
            .flat_map(|packed| MIXES.map(|lengths| (packed, lengths)))
        {
            let offsets = offsets(lengths);
            let x = chance.numbers(offsets[lengths.len()] as usize * hidden, 1.5);
            for isa in sets() {
                let all = packed.attend(isa, &weights.norm, &x, &offsets);
                let expected: Vec<f64> = offsets[..lengths.len()]
                    .iter()
                    .flat_map(|&first| wide(&all[first as usize * hidden..][..hidden]))
                    .collect();
                let firsts = packed.attend_first(isa, &weights.norm, &x, &offsets);
                let what = format!("{lengths:?} x {hidden} on {isa:?}");
                assert!(
                    off(&firsts, &expected) <= 1e-6,
                    "{what}: {:e} off",
                    off(&firsts, &expected)
                );
            }
        }
    }
}

#[test]
fn a_pair_is_bit_for_bit_the_same_in_any_company() {
    let mut chance = Chance(3);
    let hidden = 24;
    let weights = Weights::new(&mut chance, hidden, 36);
    let lengths = [7, 1, 97, 33, 2, 60, 36, 150, 3];
    let offsets = offsets(&lengths);
    let x = chance.numbers(offsets[lengths.len()] as usize * hidden, 1.5);
    for (isa, int8) in sets().into_iter().flat_map(|isa| [(isa, false), (isa, true)]) {
        let packed = weights.packed(int8);
        let norm = &weights.norm;
        let together = packed.attend(isa, norm, &x, &offsets);
        let firsts = packed.attend_first(isa, norm, &x, &offsets);
        for (pair, ends) in offsets.windows(2).enumerate() {
            let own = ends[0] as usize * hidden..ends[1] as usize * hidden;
            let alone = [0, ends[1] - ends[0]];
            let what = format!("pair {pair} on {isa:?}, int8: {int8}");
            let y = packed.attend(isa, norm, &x[own.clone()], &alone);
            assert_same(&what, &together[own.clone()], &y);
            let first = packed.attend_first(isa, norm, &x[own], &alone);
            assert_same(&what, &firsts[pair * hidden..][..hidden], &first);
        }
    }
}

#[test]
fn a_row_is_fed_forward_bit_for_bit_the_same_in_any_company() {
    let mut chance = Chance(4);
    let hidden = 24;
    let weights = Weights::new(&mut chance, hidden, 36);
    let x = chance.numbers(130 * hidden, 1.5);
    for (isa, int8) in sets().into_iter().flat_map(|isa| [(isa, false), (isa, true)]) {
        let packed = weights.packed(int8);
        let feed = |x: &[f32]| packed.feed(isa, &weights.norm, x, Activation::GeluErf);
        let alone: Vec<f32> = x.chunks_exact(hidden).flat_map(feed).collect();
        for rows in (1..=50).chain([96, 97, 130]) {
            let y = feed(&x[..rows * hidden]);
            assert_same(&format!("{rows} rows on {isa:?}"), &y, &alone[..rows * hidden]);
        }
    }
}

#[test]
fn no_rows_are_no_work() {
    let weights = Weights::new(&mut Chance(5), 24, 36);
    let packed = weights.packed(false);
    for isa in sets() {
        assert!(packed.attend(isa, &weights.norm, &[], &[0]).is_empty());
        assert!(packed.attend_first(isa, &weights.norm, &[], &[0]).is_empty());
        assert!(packed.feed(isa, &weights.norm, &[], Activation::Relu).is_empty());
        linear(isa, &[], &packed.up, None, &mut []);
    }
}

/// Rows that went into each part, and how wide they were.
#[derive(Default)]
struct Seen(Vec<(Input, usize, usize)>);

impl Observer for Seen {
    fn see(&mut self, input: Input, rows: Rows<'_>) {
        self.0.push((input, rows.rows, rows.stride));
    }
}

#[test]
fn an_observer_sees_every_row_of_every_part() {
    let weights = Weights::new(&mut Chance(6), 24, 36);
    let packed = weights.packed(false);
    let norm = Normalize::After(weights.norm.slices());
    for isa in sets() {
        let mut seen = Seen::default();
        let mut x = vec![0.5; 170 * 24];
        let attention =
            SelfAttention { qkv: &packed.qkv, output: &packed.output, norm, attention: ATTENTION };
        attention.run(isa, &mut x, &[0, 100, 130, 170], &mut seen);
        let (up, down) = (&packed.up, &packed.down);
        let activation = Activation::Relu;
        let feed_forward = FeedForward { up, activation, gated: false, down, norm };
        feed_forward.run(isa, &mut x, &mut seen);
        for (input, width) in
            [(Input::Projection, 24), (Input::Output, 24), (Input::Up, 24), (Input::Down, 36)]
        {
            let of_it = || seen.0.iter().filter(|seen| seen.0 == input);
            assert_eq!(of_it().map(|seen| seen.1).sum::<usize>(), 170, "{input:?} on {isa:?}");
            assert!(of_it().all(|seen| seen.2 >= width), "{input:?} on {isa:?}");
        }
    }
}
