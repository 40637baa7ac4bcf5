//! The two halves of an encoder layer, on rows that stay near the core from the first product to the last.

use super::attention::Attend;
use super::distance::{Distance, Turn};
use super::gate::Gate;
use super::isa::Isa;
use super::linear::{Rows, linear};
use super::norm::{Add, AddNorm, NormRows, NormSlices};
use super::scratch::{self, Room, Scratch};
use super::weights::PackedLinear;
use crate::config::Activation;

/// Rows of the feed-forward half that are computed together: their inner state stays in a megabyte of cache, and a
/// panel of weights that was fetched is used often enough.
const FEED_FORWARD_ROWS: usize = 48;
/// Rows of short pairs that are projected together, for the same reason.
const ATTENTION_ROWS: usize = 96;

/// Where a half of a layer, `f`, normalises.
#[derive(Clone, Copy)]
pub(crate) enum Normalize<'a> {
    /// `norm(f(x) + x)`.
    After(NormSlices<'a>),
    /// `f(norm(x)) + x`.
    Before(NormSlices<'a>),
    /// `f(x) + x`.
    Nowhere,
}

/// How the tokens of a pair attend to one another.
#[derive(Clone, Copy)]
pub(crate) struct Attention<'a> {
    pub(crate) heads: usize,
    /// How many tokens to either side a token sees; all, where there is none.
    pub(crate) window: Option<usize>,
    pub(crate) distance: &'a Distance,
}

/// `x`, `[tokens, hidden]`, becomes `output(attention(qkv(x))) + x`, normalised.
pub(crate) struct SelfAttention<'a> {
    /// Query, key and value side by side.
    pub(crate) qkv: &'a PackedLinear,
    pub(crate) output: &'a PackedLinear,
    pub(crate) norm: Normalize<'a>,
    pub(crate) attention: Attention<'a>,
}

/// As [`SelfAttention`], for the first token of each pair alone.
pub(crate) struct FirstAttention<'a> {
    pub(crate) query: &'a PackedLinear,
    /// Key and value side by side.
    pub(crate) key_value: &'a PackedLinear,
    pub(crate) output: &'a PackedLinear,
    pub(crate) norm: Normalize<'a>,
    pub(crate) attention: Attention<'a>,
}

/// `x`, `[rows, hidden]`, becomes `down(activation(up(x))) + x`, normalised.
pub(crate) struct FeedForward<'a> {
    pub(crate) up: &'a PackedLinear,
    pub(crate) activation: Activation,
    /// Whether the second half of what `up` gives is multiplied with the activation of the first.
    pub(crate) gated: bool,
    pub(crate) down: &'a PackedLinear,
    pub(crate) norm: Normalize<'a>,
}

/// A layer's linear parts, by what they read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Of query, key and value.
    Projection,
    /// Of attention's output.
    Output,
    /// Of the feed-forward half's first part.
    Up,
    /// Of its second.
    Down,
}

/// Looks on at what goes into each linear part.
pub(crate) trait Observer {
    /// These rows go in.
    fn see(&mut self, input: Input, rows: Rows<'_>);
}

impl Observer for () {
    fn see(&mut self, _: Input, _: Rows<'_>) {}
}

// === impl Normalize ===

impl Normalize<'_> {
    /// What goes into the half: `x`, or a normalised copy of it in `room`.
    fn before<'x>(self, isa: Isa, x: &'x [f32], room: &'x mut Room) -> &'x [f32] {
        match self {
            Self::Before(norm) => {
                let normed = room.floats(x.len());
                normed.copy_from_slice(x);
                isa.run(NormRows { x: normed, norm });
                normed
            }
            Self::After(_) | Self::Nowhere => x,
        }
    }

    /// Adds what came out of it, `[rows, hidden]`, `stride` apart.
    fn after(self, isa: Isa, x: &mut [f32], hidden: usize, added: &[f32], stride: usize) {
        match self {
            Self::After(norm) => isa.run(AddNorm { x, added, stride, norm }),
            Self::Before(_) | Self::Nowhere => isa.run(Add { x, hidden, added, stride }),
        }
    }

    fn fits(self, hidden: usize) -> bool {
        match self {
            Self::After(norm) | Self::Before(norm) => norm.gamma.len() == hidden,
            Self::Nowhere => true,
        }
    }
}

// === impl Attention ===

impl Attention<'_> {
    /// Turns the first `heads` heads of each row, queries and keys, of one pair.
    fn turn(self, isa: Isa, rows: &mut [f32], stride: usize, heads: usize) {
        if let Some(rotary) = self.distance.rotary() {
            isa.run(Turn { rotary, rows, stride, heads });
        }
    }
}

// === impl SelfAttention ===

impl SelfAttention<'_> {
    /// `offsets` say where each pair starts, and where the last one ends, `[pairs + 1]`.
    pub(crate) fn run(
        &self,
        isa: Isa,
        x: &mut [f32],
        offsets: &[u32],
        observer: &mut impl Observer,
    ) {
        let hidden = self.qkv.inputs();
        assert!(self.qkv.outputs() == 3 * hidden && self.output.outputs() == hidden);
        assert!(hidden.is_multiple_of(self.attention.heads) && self.norm.fits(hidden));
        scratch::with(|scratch| {
            for group in groups(offsets) {
                let rows = group[0] as usize..group[group.len() - 1] as usize;
                let x = &mut x[rows.start * hidden..rows.end * hidden];
                self.group(isa, x, group, scratch, observer);
            }
        });
    }

    fn group(
        &self,
        isa: Isa,
        x: &mut [f32],
        offsets: &[u32],
        scratch: &mut Scratch,
        observer: &mut impl Observer,
    ) {
        let (hidden, width) = (self.qkv.inputs(), self.qkv.width());
        let rows = x.len() / hidden;
        let Attention { heads, window, distance } = self.attention;
        let qkv = scratch.projected.floats(rows * width);
        let values = self.norm.before(isa, x, &mut scratch.normed);
        let input = Rows { values, rows, stride: hidden };
        observer.see(Input::Projection, input);
        linear(isa, input, self.qkv, None, &mut scratch.linear, qkv);
        let context = scratch.context.floats(rows * hidden);
        for pair in offsets.windows(2) {
            let (first, tokens) = ((pair[0] - offsets[0]) as usize, (pair[1] - pair[0]) as usize);
            let own = &mut qkv[first * width..(first + tokens) * width];
            self.attention.turn(isa, own, width, 2 * heads);
            let part = |part: usize| Rows {
                values: &qkv[first * width + part * hidden..],
                rows: tokens,
                stride: width,
            };
            isa.run(Attend {
                queries: part(0),
                keys: part(1),
                values: part(2),
                heads,
                width: hidden / heads,
                window,
                distance,
                context: &mut context[first * hidden..][..tokens * hidden],
                room: &mut scratch.head,
            });
        }
        let added = scratch.added.floats(rows * self.output.width());
        let input = Rows { values: context, rows, stride: hidden };
        observer.see(Input::Output, input);
        linear(isa, input, self.output, None, &mut scratch.linear, added);
        self.norm.after(isa, x, hidden, added, self.output.width());
    }
}

// === impl FirstAttention ===

impl FirstAttention<'_> {
    /// `x` is `[tokens, hidden]`, `firsts`, the result, `[pairs, hidden]`.
    pub(crate) fn run(&self, isa: Isa, x: &[f32], offsets: &[u32], firsts: &mut [f32]) {
        let hidden = self.query.inputs();
        assert!(self.query.outputs() == hidden && self.key_value.inputs() == hidden);
        assert!(self.key_value.outputs() == 2 * hidden && self.output.outputs() == hidden);
        assert!(hidden.is_multiple_of(self.attention.heads) && self.norm.fits(hidden));
        assert_eq!(firsts.len(), offsets.len().saturating_sub(1) * hidden, "a row for each pair");
        for (pair, first) in offsets.windows(2).zip(firsts.chunks_exact_mut(hidden)) {
            first.copy_from_slice(&x[pair[0] as usize * hidden..][..hidden]);
        }
        scratch::with(|scratch| {
            let mut pair = 0;
            for group in groups(offsets) {
                let rows = group[0] as usize..group[group.len() - 1] as usize;
                let x = &x[rows.start * hidden..rows.end * hidden];
                let firsts = &mut firsts[pair * hidden..(pair + group.len() - 1) * hidden];
                self.group(isa, x, group, firsts, scratch);
                pair += group.len() - 1;
            }
        });
    }

    fn group(
        &self,
        isa: Isa,
        x: &[f32],
        offsets: &[u32],
        firsts: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let hidden = self.query.inputs();
        let (rows, pairs) = (x.len() / hidden, firsts.len() / hidden);
        let (width, query_width) = (self.key_value.width(), self.query.width());
        let Attention { heads, window, distance } = self.attention;
        let projected = scratch.projected.floats(rows * width);
        let values = self.norm.before(isa, x, &mut scratch.normed);
        let input = Rows { values, rows, stride: hidden };
        linear(isa, input, self.key_value, None, &mut scratch.linear, projected);
        let queries = scratch.inner.floats(pairs * query_width);
        let values = self.norm.before(isa, firsts, &mut scratch.normed);
        let input = Rows { values, rows: pairs, stride: hidden };
        linear(isa, input, self.query, None, &mut scratch.linear, queries);
        let context = scratch.context.floats(pairs * hidden);
        for (index, pair) in offsets.windows(2).enumerate() {
            let (first, tokens) = ((pair[0] - offsets[0]) as usize, (pair[1] - pair[0]) as usize);
            // Queries stand at position 0, where nothing turns.
            let own = &mut projected[first * width..(first + tokens) * width];
            self.attention.turn(isa, own, width, heads);
            let part = |part: usize| Rows {
                values: &projected[first * width + part * hidden..],
                rows: tokens,
                stride: width,
            };
            let queries = &queries[index * query_width..];
            isa.run(Attend {
                queries: Rows { values: queries, rows: 1, stride: query_width },
                keys: part(0),
                values: part(1),
                heads,
                width: hidden / heads,
                window,
                distance,
                context: &mut context[index * hidden..][..hidden],
                room: &mut scratch.head,
            });
        }
        let added = scratch.added.floats(pairs * self.output.width());
        let input = Rows { values: context, rows: pairs, stride: hidden };
        linear(isa, input, self.output, None, &mut scratch.linear, added);
        self.norm.after(isa, firsts, hidden, added, self.output.width());
    }
}

// === impl FeedForward ===

impl FeedForward<'_> {
    /// Works on each row of `x` on its own.
    pub(crate) fn run(&self, isa: Isa, x: &mut [f32], observer: &mut impl Observer) {
        let hidden = self.up.inputs();
        let rows = x.len() / hidden;
        let inner = if self.gated { self.up.outputs() / 2 } else { self.up.outputs() };
        assert!(x.len() == rows * hidden && self.norm.fits(hidden));
        assert!(self.down.inputs() == inner && self.down.outputs() == hidden);
        if rows == 0 {
            return;
        }
        // Equal blocks, so that none ends in a sliver.
        let block = rows.div_ceil(rows.div_ceil(FEED_FORWARD_ROWS));
        scratch::with(|scratch| {
            for x in x.chunks_mut(block * hidden) {
                self.block(isa, x, scratch, observer);
            }
        });
    }

    fn block(&self, isa: Isa, x: &mut [f32], scratch: &mut Scratch, observer: &mut impl Observer) {
        let hidden = self.up.inputs();
        let rows = x.len() / hidden;
        let inner = scratch.inner.floats(rows * self.up.width());
        let values = self.norm.before(isa, x, &mut scratch.normed);
        let input = Rows { values, rows, stride: hidden };
        observer.see(Input::Up, input);
        let activation = (!self.gated).then_some(self.activation);
        linear(isa, input, self.up, activation, &mut scratch.linear, inner);
        if self.gated {
            let (stride, width) = (self.up.width(), self.down.inputs());
            isa.run(Gate { rows: inner, stride, width, activation: self.activation });
        }
        let added = scratch.added.floats(rows * self.down.width());
        let input = Rows { values: inner, rows, stride: self.up.width() };
        observer.see(Input::Down, input);
        linear(isa, input, self.down, None, &mut scratch.linear, added);
        self.norm.after(isa, x, hidden, added, self.down.width());
    }
}

/// Cuts pairs, in order, into groups of at most [`ATTENTION_ROWS`] rows; a longer pair is a group of its own. A group is
/// its pairs' offsets, and where the last one ends.
fn groups(offsets: &[u32]) -> impl Iterator<Item = &[u32]> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let first = *offsets.get(start)?;
        offsets.get(start + 1)?;
        let mut end = start + 1;
        while offsets.get(end + 1).is_some_and(|&next| (next - first) as usize <= ATTENTION_ROWS) {
            end += 1;
        }
        let group = &offsets[start..=end];
        start = end;
        Some(group)
    })
}
