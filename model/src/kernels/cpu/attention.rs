//! Attention of one pair: no padding, one head after the other.

use std::ops::Range;

use super::disentangled::DisentangledHead;
use super::distance::Distance;
use super::linear::Rows;
use super::math;
use super::scratch::HeadRoom;
use super::simd::{Kernel, PANEL, ROWS_MAX, Simd};
use super::tile::{FloatTile, Sums, heights};

/// Zeros, then what no key can outweigh: read from `PANEL - n`, `n` columns of a panel count.
const MASK: [f32; 2 * PANEL] = {
    let mut mask = [0.0; 2 * PANEL];
    let mut column = PANEL;
    while column < 2 * PANEL {
        mask[column] = f32::NEG_INFINITY;
        column += 1;
    }
    mask
};

/// Each query row attends to the rows of the pair, or to those near it.
pub(super) struct Attend<'a> {
    /// `[queries, hidden]`: the first rows of the pair.
    pub(super) queries: Rows<'a>,
    /// `[tokens, hidden]` each.
    pub(super) keys: Rows<'a>,
    pub(super) values: Rows<'a>,
    pub(super) heads: usize,
    /// Numbers of a head.
    pub(super) width: usize,
    /// How many tokens to either side a query sees; all, where there is none.
    pub(super) window: Option<usize>,
    pub(super) distance: &'a Distance,
    /// `[queries, hidden]`.
    pub(super) context: &'a mut [f32],
    pub(super) room: &'a mut HeadRoom,
}

// === impl Attend ===

impl Kernel for Attend<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (width, tokens) = (self.width, self.keys.rows);
        let hidden = self.heads * width;
        [self.queries, self.keys, self.values].iter().for_each(|rows| rows.check(hidden));
        assert_eq!(self.values.rows, tokens, "a key has a value");
        let columns = tokens.next_multiple_of(PANEL);
        let keys = self.room.keys.floats(columns * width);
        let values = self.room.values.floats(tokens * width.next_multiple_of(PANEL));
        let weights = self.room.weights.floats(ROWS_MAX * columns);
        let mut disentangled = self.distance.disentangled().map(|positions| {
            DisentangledHead::new(positions, hidden, tokens, &mut self.room.distance)
        });
        // Scores are sums of three products where content meets position.
        let products = if disentangled.is_some() { 3.0 } else { 1.0 };
        let scale = 1.0 / (products * width as f32).sqrt();
        for head in 0..self.heads {
            let first = head * width;
            if let Some(positions) = &mut disentangled {
                positions.start(simd, self.keys, first, width, scale);
            }
            pack_keys(self.keys, first, width, scale, keys);
            pack_values(self.values, first, width, values);
            let mut row = 0;
            for rows in heights(self.queries.rows, S::TILE_ROWS) {
                let queries = &self.queries.values[row * self.queries.stride + first..];
                let seen = match self.window {
                    None => 0..tokens,
                    Some(window) => {
                        let start = row.saturating_sub(window) / PANEL * PANEL;
                        start..tokens.min((row + rows).saturating_add(window))
                    }
                };
                let tile = Tile { rows, width, tokens, columns, start: seen.start, end: seen.end };
                score(simd, tile, queries, self.queries.stride, keys, weights);
                if let Some(positions) = &mut disentangled {
                    positions.add(simd, tile, row, queries, self.queries.stride, weights);
                }
                if let Some(bias) = self.distance.bias() {
                    for (row, query) in weights.chunks_exact_mut(columns).zip(row..row + rows) {
                        bias.add(head, query, seen.start, &mut row[seen.clone()]);
                    }
                }
                let beyond = self.window.map(|window| Beyond { window, row });
                if let Some(beyond) = beyond {
                    beyond.fill(tile, weights, f32::NEG_INFINITY);
                }
                let shares = soften(simd, tile, weights);
                if let Some(beyond) = beyond {
                    // An exponential of minus infinity is next to nothing; times a huge value, it is not.
                    beyond.fill(tile, weights, 0.0);
                }
                let context = &mut self.context[row * hidden + first..];
                mix(simd, tile, weights, &shares, values, context, hidden);
                row += rows;
            }
        }
    }
}

/// Some query rows of one head.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub(super) rows: usize,
    pub(super) width: usize,
    pub(super) tokens: usize,
    /// Tokens, filled up to whole panels.
    pub(super) columns: usize,
    /// The first key that counts, at the start of a panel, and the one behind the last.
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What lies outside the window of each query of a tile.
#[derive(Clone, Copy)]
struct Beyond {
    window: usize,
    /// The tile's first query.
    row: usize,
}

// === impl Tile ===

impl Tile {
    /// The columns of the panels in which keys count.
    fn panels(&self) -> Range<usize> {
        self.start..self.end.next_multiple_of(PANEL)
    }
}

// === impl Beyond ===

impl Beyond {
    #[inline(always)]
    fn fill(self, tile: Tile, weights: &mut [f32], value: f32) {
        let Range { start, end } = tile.panels();
        let rows = weights.chunks_exact_mut(tile.columns).take(tile.rows);
        for (weights, query) in rows.zip(self.row..) {
            let behind = (query + self.window).saturating_add(1).min(end);
            weights[start..query.saturating_sub(self.window).max(start)].fill(value);
            weights[behind..end].fill(value);
        }
    }
}

/// Keys `[tokens, width]` → panels of `[width, PANEL]`, each number times `scale`, the last filled up with zeros.
#[inline(always)]
pub(super) fn pack_keys(
    keys: Rows<'_>,
    first: usize,
    width: usize,
    scale: f32,
    panels: &mut [f32],
) {
    for (index, panel) in panels.chunks_exact_mut(width * PANEL).enumerate() {
        let start = index * PANEL;
        let count = (keys.rows - start).min(PANEL);
        if count < PANEL {
            panel.fill(0.0);
        }
        for column in 0..count {
            let key = &keys.values[(start + column) * keys.stride + first..][..width];
            for (to, &number) in panel[column..].iter_mut().step_by(PANEL).zip(key) {
                *to = number * scale;
            }
        }
    }
}

/// Values `[tokens, width]` → panels of `[tokens, PANEL]`, the last filled up with zeros.
#[inline(always)]
fn pack_values(values: Rows<'_>, first: usize, width: usize, panels: &mut [f32]) {
    let tokens = values.rows;
    for (index, panel) in panels.chunks_exact_mut(tokens * PANEL).enumerate() {
        let start = index * PANEL;
        let count = (width - start).min(PANEL);
        for (token, to) in panel.chunks_exact_mut(PANEL).enumerate() {
            let from = &values.values[token * values.stride + first + start..][..count];
            to[..count].copy_from_slice(from);
            to[count..].fill(0.0);
        }
    }
}

/// Query times keys, into `weights`, `[rows, columns]`.
#[inline(always)]
pub(super) fn score<S: Simd>(
    simd: S,
    tile: Tile,
    queries: &[f32],
    stride: usize,
    keys: &[f32],
    weights: &mut [f32],
) {
    let Range { start, end } = tile.panels();
    let panels = keys[start * tile.width..end * tile.width].chunks_exact(tile.width * PANEL);
    for (index, panel) in panels.enumerate() {
        let column = start + index * PANEL;
        let count = (tile.tokens - column).min(PANEL);
        let tile = FloatTile {
            rows: tile.rows,
            depth: tile.width,
            a: queries.as_ptr(),
            a_stride: stride,
            panel: panel.as_ptr(),
            start: MASK[PANEL - count..][..PANEL].as_ptr(),
            sums: weights[column..].as_mut_ptr(),
            sums_stride: tile.columns,
        };
        // SAFETY: `Rows::check` has counted the queries; a panel is a slice of what is read; weights have room for
        // the tile's rows of `columns`, of which a panel fills PANEL.
        unsafe { tile.compute(simd) };
    }
}

/// The exponentials of each row's scores, less the largest; returns what makes their sums 1.
#[inline(always)]
fn soften<S: Simd>(simd: S, tile: Tile, weights: &mut [f32]) -> [f32; ROWS_MAX] {
    let mut shares = [0.0; ROWS_MAX];
    for (row, share) in weights.chunks_exact_mut(tile.columns).zip(&mut shares).take(tile.rows) {
        let row = &mut row[tile.panels()];
        let mut largest = simd.splat(f32::NEG_INFINITY);
        for at in (0..row.len()).step_by(S::LANES) {
            // SAFETY: a row is a multiple of PANEL long, and so of LANES.
            largest = simd.max(unsafe { simd.load(row.as_ptr().add(at)) }, largest);
        }
        let largest = simd.splat(simd.largest(largest));
        let mut sum = simd.splat(0.0);
        for at in (0..row.len()).step_by(S::LANES) {
            // SAFETY: as above.
            unsafe {
                let score = simd.sub(simd.load(row.as_ptr().add(at)), largest);
                let weight = math::exp(simd, score);
                simd.store(row.as_mut_ptr().add(at), weight);
                sum = simd.add(sum, weight);
            }
        }
        *share = 1.0 / simd.sum(sum);
    }
    shares
}

/// The values, mixed by `weights` times `shares`, into `context`.
#[inline(always)]
fn mix<S: Simd>(
    simd: S,
    tile: Tile,
    weights: &[f32],
    shares: &[f32; ROWS_MAX],
    values: &[f32],
    context: &mut [f32],
    hidden: usize,
) {
    let mut sums = Sums([0.0; ROWS_MAX * PANEL]);
    for (index, panel) in values.chunks_exact(tile.tokens * PANEL).enumerate() {
        let first = index * PANEL;
        let product = FloatTile {
            rows: tile.rows,
            depth: tile.end - tile.start,
            a: weights[tile.start..].as_ptr(),
            a_stride: tile.columns,
            panel: panel[tile.start * PANEL..].as_ptr(),
            start: MASK.as_ptr(),
            sums: sums.0.as_mut_ptr(),
            sums_stride: PANEL,
        };
        // SAFETY: weights are ROWS_MAX rows of `columns`, of which those from `start` to `end`, at most `tokens`,
        // are read; a panel has a row for each token; sums have room for ROWS_MAX rows.
        unsafe { product.compute(simd) };
        let count = (tile.width - first).min(PANEL);
        for (row, sums) in sums.0.chunks_exact(PANEL).take(tile.rows).enumerate() {
            let to = &mut context[row * hidden + first..][..count];
            for (to, sum) in to.iter_mut().zip(sums) {
                *to = sum * shares[row];
            }
        }
    }
}
