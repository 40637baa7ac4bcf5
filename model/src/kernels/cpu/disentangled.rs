//! Scores of content and position, one head after the other.

use std::ops::Range;

use super::attention::{Tile, pack_keys, score};
use super::distance::Disentangled;
use super::linear::Rows;
use super::scratch::DistanceRoom;
use super::simd::{PANEL, ROWS_MAX, Simd};
use super::tile::heights;

/// The head that is computed.
pub(super) struct DisentangledHead<'a> {
    positions: &'a Disentangled,
    hidden: usize,
    tokens: usize,
    /// The rows of positions that this pair needs.
    seen: Range<usize>,
    /// As many, filled up to whole panels.
    columns: usize,
    /// Panels of the keys of positions.
    keys: &'a mut [f32],
    /// Panels of the queries of positions.
    queries: &'a mut [f32],
    /// Some queries' scores with the keys of positions, `[ROWS_MAX, columns]`.
    of_queries: &'a mut [f32],
    /// All keys' scores with the queries of positions, `[tokens, columns]`.
    of_keys: &'a mut [f32],
}

// === impl DisentangledHead ===

impl<'a> DisentangledHead<'a> {
    pub(super) fn new(
        positions: &'a Disentangled,
        hidden: usize,
        tokens: usize,
        room: &'a mut DistanceRoom,
    ) -> Self {
        let seen = positions.seen(tokens);
        let columns = seen.len().next_multiple_of(PANEL);
        Self {
            positions,
            hidden,
            tokens,
            seen,
            columns,
            keys: room.keys.floats(columns * hidden),
            queries: room.queries.floats(columns * hidden),
            of_queries: room.of_queries.floats(ROWS_MAX * columns),
            of_keys: room.of_keys.floats(tokens * columns),
        }
    }

    /// Begins with the head of `width` numbers from `first` on: what all its keys score with positions.
    #[inline(always)]
    pub(super) fn start<S: Simd>(
        &mut self,
        simd: S,
        keys: Rows<'_>,
        first: usize,
        width: usize,
        scale: f32,
    ) {
        let own = |table: &'a [f32]| Rows {
            values: &table[self.seen.start * self.hidden..],
            rows: self.seen.len(),
            stride: self.hidden,
        };
        let panels = self.columns * width;
        pack_keys(own(&self.positions.keys), first, width, scale, &mut self.keys[..panels]);
        pack_keys(own(&self.positions.queries), first, width, scale, &mut self.queries[..panels]);
        let mut row = 0;
        for rows in heights(self.tokens, S::TILE_ROWS) {
            let scores = &mut self.of_keys[row * self.columns..];
            let keys_of_tile = &keys.values[row * keys.stride + first..];
            let tile = tile(rows, width, self.seen.len(), self.columns);
            score(simd, tile, keys_of_tile, keys.stride, &self.queries[..panels], scores);
            row += rows;
        }
    }

    /// Adds to the scores of a tile of queries, the first of which is `row`.
    #[inline(always)]
    pub(super) fn add<S: Simd>(
        &mut self,
        simd: S,
        of: Tile,
        row: usize,
        queries: &[f32],
        stride: usize,
        weights: &mut [f32],
    ) {
        let panels = self.columns * of.width;
        let own = tile(of.rows, of.width, self.seen.len(), self.columns);
        score(simd, own, queries, stride, &self.keys[..panels], self.of_queries);
        let scores = self.of_queries.chunks_exact(self.columns);
        let weights = weights.chunks_exact_mut(of.columns).zip(scores).take(of.rows);
        for ((weights, of_query), query) in weights.zip(row..) {
            let of_keys = self.of_keys.chunks_exact(self.columns);
            let places = self.positions.of(query, self.tokens);
            for ((weight, of_key), &place) in weights.iter_mut().zip(of_keys).zip(places) {
                let place = place as usize - self.seen.start;
                *weight += of_query[place] + of_key[place];
            }
        }
    }
}

/// All of `count` columns.
fn tile(rows: usize, width: usize, count: usize, columns: usize) -> Tile {
    Tile { rows, width, tokens: count, columns, start: 0, end: count }
}
