use super::{Chance, Guarded, assert_rows_near, assert_same, sets};
use crate::kernels::cpu::Distance;
use crate::kernels::cpu::attention::Attend;
use crate::kernels::cpu::isa::Isa;
use crate::kernels::cpu::linear::Rows;
use crate::kernels::cpu::scratch::HeadRoom;

/// Of the largest value of the pair.
const TOLERANCE: f64 = 1e-5;

/// One pair: query, key and value side by side, as their projection has them, and what is beside them.
struct Pair {
    heads: usize,
    width: usize,
    /// `[tokens, 3 * heads * width]`.
    qkv: Vec<f32>,
}

// === impl Pair ===

impl Pair {
    fn new(chance: &mut Chance, tokens: usize, heads: usize, width: usize) -> Self {
        Self { heads, width, qkv: chance.numbers(tokens * 3 * heads * width, 2.0) }
    }

    fn hidden(&self) -> usize {
        self.heads * self.width
    }

    fn tokens(&self) -> usize {
        self.qkv.len() / (3 * self.hidden())
    }

    /// Query, key or value of `head` and `token`.
    fn part(&self, part: usize, head: usize, token: usize) -> &[f32] {
        let hidden = self.hidden();
        &self.qkv[token * 3 * hidden + part * hidden + head * self.width..][..self.width]
    }

    /// Numbers of one part, changed.
    fn change(mut self, part: usize, change: impl Fn(&mut [f32])) -> Self {
        let hidden = self.hidden();
        for row in self.qkv.chunks_exact_mut(hidden).skip(part).step_by(3) {
            change(row);
        }
        self
    }

    fn run(&self, isa: Isa, room: &mut HeadRoom, queries: usize) -> Vec<f32> {
        let (hidden, apart) = (self.hidden(), 11);
        let stride = 3 * hidden + apart;
        let mut spread = Vec::new();
        for row in self.qkv.chunks_exact(3 * hidden) {
            spread.extend(row);
            spread.extend(vec![f32::NAN; apart]);
        }
        let input = Guarded::input(&spread[..spread.len() - apart]);
        let rows = |part: usize, rows| Rows { values: &input.get()[part * hidden..], rows, stride };
        let mut output = Guarded::output(queries * hidden);
        isa.run(Attend {
            queries: rows(0, queries),
            keys: rows(1, self.tokens()),
            values: rows(2, self.tokens()),
            heads: self.heads,
            width: self.width,
            window: None,
            distance: &Distance::Unseen,
            context: output.get_mut(),
            room,
        });
        output.written()
    }

    /// In float64.
    fn reference(&self) -> Vec<f64> {
        let (tokens, hidden) = (self.tokens(), self.hidden());
        let mut context = vec![0.0; tokens * hidden];
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        for (token, head) in (0..tokens).flat_map(|token| (0..self.heads).map(move |h| (token, h)))
        {
            let query = self.part(0, head, token);
            let scores: Vec<f64> = (0..tokens)
                .map(|key| dot(query, self.part(1, head, key)) / (self.width as f64).sqrt())
                .collect();
            let largest = scores.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
            let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
            let sum: f64 = weights.iter().sum();
            let to = &mut context[token * hidden + head * self.width..][..self.width];
            for (key, weight) in weights.iter().enumerate() {
                for (to, value) in to.iter_mut().zip(self.part(2, head, key)) {
                    *to += weight / sum * f64::from(*value);
                }
            }
        }
        context
    }

    fn largest_value(&self) -> f64 {
        let mut largest = 0.0_f32;
        for row in self.qkv.chunks_exact(self.hidden()).skip(2).step_by(3) {
            largest = row.iter().fold(largest, |largest, value| largest.max(value.abs()));
        }
        f64::from(largest)
    }

    fn check(&self, what: &str) {
        let (expected, sizes) = (self.reference(), vec![self.largest_value(); self.tokens()]);
        // One room for all: what the longer pair before left there must not matter.
        let mut room = HeadRoom::default();
        for isa in sets() {
            let context = self.run(isa, &mut room, self.tokens());
            let what = format!("{what}, {} x {} on {isa:?}", self.heads, self.width);
            assert_rows_near(&what, &context, &expected, &sizes, TOLERANCE);
            let first = self.run(isa, &mut room, 1);
            assert_same(&what, &first, &context[..self.hidden()]);
        }
    }
}

#[test]
fn pairs_of_any_length_agree_with_float64() {
    let mut chance = Chance(1);
    for (heads, width) in [(3, 8), (2, 12), (12, 32), (2, 64), (1, 5)] {
        for tokens in [1, 2, 3, 31, 32, 33, 64, 97] {
            Pair::new(&mut chance, tokens, heads, width).check(&format!("{tokens} tokens"));
        }
    }
    Pair::new(&mut chance, 512, 2, 32).check("512 tokens");
}

#[test]
fn equal_tokens_share_evenly() {
    let mut chance = Chance(2);
    for tokens in [2, 33, 97] {
        let mut pair = Pair::new(&mut chance, 1, 2, 32);
        pair.qkv = pair.qkv.repeat(tokens);
        pair.check("equal tokens");
        Pair::new(&mut chance, tokens, 2, 32).change(1, |key| key.fill(0.0)).check("keys of zero");
    }
}

#[test]
fn huge_and_tiny_numbers_agree_with_float64() {
    let mut chance = Chance(3);
    for tokens in [2, 33, 97] {
        let mut pair = |part, factor: f32| {
            Pair::new(&mut chance, tokens, 2, 32)
                .change(part, |row| row.iter_mut().for_each(|x| *x *= factor))
        };
        pair(2, 1e30).check("huge values");
        pair(2, 1e-30).check("tiny values");
        pair(0, 1e-30).check("tiny queries");
        pair(1, 1e-30).check("tiny keys");
    }
    // Scores so far apart that one token gets everything: those of token 0, 1, 2, ...
    let one_hot = Pair::new(&mut chance, 40, 1, 8).change(0, |query| query.fill(1e15));
    let mut token = 0.0;
    let mut keyed = one_hot;
    for row in keyed.qkv.chunks_exact_mut(8).skip(1).step_by(3) {
        row.fill(token * 1e10);
        token += 1.0;
    }
    keyed.check("scores of 1e25");
}

#[test]
fn what_is_not_a_number_reaches_every_token_of_its_pair() {
    for (isa, part) in sets().into_iter().flat_map(|isa| [0, 1, 2].map(|part| (isa, part))) {
        for poison in [f32::NAN, f32::INFINITY] {
            let mut pair = Pair::new(&mut Chance(4), 35, 1, 8);
            let at = 20 * 24 + part * 8 + 3;
            pair.qkv[at] = poison;
            let context = pair.run(isa, &mut HeadRoom::default(), 35);
            let (mut poisoned, mut finite) = (0, 0);
            for row in context.chunks_exact(8) {
                if row.iter().all(|x| x.is_finite()) {
                    finite += 1;
                } else {
                    poisoned += 1;
                }
            }
            // An infinite key outweighs all others, or none, as its product with the query has it.
            let right = match part {
                0 => poisoned == 1 && finite == 34,
                1 => poisoned > 0,
                _ => poisoned == 35,
            };
            assert!(right, "{poison} in part {part} on {isa:?}: {poisoned} rows are not finite");
        }
    }
}

#[test]
fn a_query_is_bit_for_bit_the_same_in_any_company() {
    let pair = Pair::new(&mut Chance(5), 97, 2, 32);
    for isa in sets() {
        let all = pair.run(isa, &mut HeadRoom::default(), 97);
        for queries in (1..=40).chain([96]) {
            let some = pair.run(isa, &mut HeadRoom::default(), queries);
            assert_same(&format!("{queries} queries on {isa:?}"), &some, &all[..queries * 64]);
        }
    }
}

#[test]
fn what_was_not_a_number_in_one_pair_does_not_reach_the_next() {
    for isa in sets() {
        let mut room = HeadRoom::default();
        let broken = Pair::new(&mut Chance(6), 64, 2, 12);
        let fill = |row: &mut [f32]| row.fill(f32::NAN);
        (0..3).fold(broken, |pair, part| pair.change(part, fill)).run(isa, &mut room, 64);
        for tokens in [1, 5, 33] {
            let pair = Pair::new(&mut Chance(7), tokens, 2, 12);
            let fresh = pair.run(isa, &mut HeadRoom::default(), tokens);
            assert!(fresh.iter().all(|x| x.is_finite()));
            let context = pair.run(isa, &mut room, tokens);
            assert_same(&format!("{tokens} tokens on {isa:?}"), &context, &fresh);
        }
    }
}
