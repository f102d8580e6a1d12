//! Products that are wrong on purpose, over rows read back from their tiles.

use std::vec;
use std::vec::Vec;

use super::{Fault, Wrong, flush, fused};
use crate::Error;
use crate::format::k_head::Head;
use crate::format::{f16_to_f32, q4_k, q5_0, q5_k, q6_k};
use crate::tile::{
    FloatActs, Int8Acts, Int8Token, Layout, Results, TILE_ROWS, TernaryScale, q4k4, q4r4, q5r4, q6r4, q8r4,
    t2r4,
};

/// The sum in `N` stripes, folded by halves.
pub(super) fn striped<const N: usize>(terms: impl Iterator<Item = f32>) -> f32 {
    let mut s = [0.0f32; N];
    for (i, t) in terms.enumerate() {
        s[i % N] += t;
    }
    let mut w = N / 2;
    while w > 0 {
        for i in 0..w {
            s[i] += s[i + w];
        }
        w /= 2;
    }
    s[0]
}

/// The float sum over groups: four stripes, as the contract has it.
fn four(terms: &[f32]) -> f32 {
    let mut s = [0.0f32; 4];
    for (b, t) in terms.iter().enumerate() {
        s[b % 4] += t;
    }
    (s[0] + s[2]) + (s[1] + s[3])
}

/// Results as `[row tile][token][4]`, as many as were put.
#[derive(Default)]
pub(super) struct Tiles {
    y: Vec<f32>,
    tokens: usize,
}

impl Results for Tiles {
    fn put(&mut self, token: usize, row: usize, values: &[f32]) {
        let at = (row / TILE_ROWS * self.tokens + token) * TILE_ROWS;
        self.y.resize(self.y.len().max(at + values.len()), 0.0);
        self.y[at..at + values.len()].copy_from_slice(values);
    }
}

/// Puts what `right` does, after `wrong` has had its way with it.
pub(super) fn redo<R: Results>(
    tokens: usize,
    out: &mut R,
    right: impl FnOnce(&mut Tiles) -> Result<(), Error>,
    wrong: impl FnOnce(&mut [f32]),
) -> Result<(), Error> {
    let mut tiles = Tiles { y: Vec::new(), tokens };
    right(&mut tiles)?;
    wrong(&mut tiles.y);
    for (i, tile) in tiles.y.chunks((tokens * TILE_ROWS).max(1)).enumerate() {
        for (t, values) in tile.chunks(TILE_ROWS).enumerate() {
            out.put(t, i * TILE_ROWS, values);
        }
    }
    Ok(())
}

/// Writes `f(tile, row in it, row of the call, token)` to every output.
fn each(
    layout: Layout,
    cols: usize,
    w: &[u8],
    tokens: usize,
    y: &mut [f32],
    f: impl Fn(&[u8], usize, usize, usize) -> f32,
) {
    let tiles = w.chunks(layout.row_tile_bytes(cols).unwrap());
    for (i, (tile, y)) in tiles.zip(y.chunks_mut((tokens * TILE_ROWS).max(1))).enumerate() {
        for (t, y) in y.chunks_mut(TILE_ROWS).enumerate() {
            for (r, y) in y.iter_mut().enumerate() {
                *y = f(tile, r, i * TILE_ROWS + r, t);
            }
        }
    }
}

/// Sum of products in i32, group `b` of `n` columns.
fn dot(w: &[i32], token: &Int8Token<'_>, b: usize) -> i32 {
    w.iter().zip(&token.q[b * w.len()..]).map(|(w, &q)| w * i32::from(q)).sum()
}

impl Wrong {
    pub(super) fn ternary(
        self,
        w: &[u8],
        n: usize,
        a: &Int8Acts<'_>,
        scale: TernaryScale<'_>,
        y: &mut [f32],
    ) {
        each(Layout::T2r4, a.stride, w, n, y, |tile, r, row, t| {
            let token = a.token(t).unwrap();
            let mut lanes = [0i16; 8]; // as AVX2 has them for each of two rows
            let mut acc = 0;
            for (col, &q) in token.q.iter().enumerate() {
                let product = i16::from(t2r4::code(tile, r, col).unwrap()) * i16::from(q);
                lanes[col % 8] = lanes[col % 8].wrapping_add(product);
                acc += i32::from(product);
            }
            if self.is(Fault::TernaryWrapsI16) {
                acc = lanes.iter().map(|&l| i32::from(l)).sum();
            }
            let (s, i) = (token.scales[0], (acc - token.sums[0]) as f32);
            match self.0 {
                Fault::TernaryFoldsScales => i * (scale.row(row) / s),
                Fault::TernaryScaleOfTheTile => i / s * scale.row(row - r),
                _ => i / s * scale.row(row),
            }
        });
    }

    pub(super) fn q8(self, w: &[u8], n: usize, a: &Int8Acts<'_>, y: &mut [f32]) {
        let cols = a.groups * 32;
        each(Layout::Q8r4, cols, w, n, y, |tile, r, _, t| {
            let token = a.token(t).unwrap();
            let terms: Vec<f32> = (0..a.groups)
                .map(|b| {
                    let block = q8r4::get_block(tile, cols, r, b).unwrap();
                    let d = f16_to_f32(u16::from_le_bytes([block[0], block[1]]));
                    let weights: Vec<i32> = block[2..].iter().map(|&w| i32::from(w as i8)).collect();
                    let mut i = dot(&weights, &token, b);
                    if self.is(Fault::Q8NegatesMinus128) {
                        // |q| times w with q's sign, where -(-128) wraps.
                        let signed = |w: i32, q: i8| if q < 0 { (w as i8).wrapping_neg() } else { w as i8 };
                        let pairs = weights.iter().zip(&token.q[b * 32..]);
                        i = pairs.map(|(&w, &q)| i32::from(signed(w, q)) * i32::from(q).abs()).sum();
                    }
                    match self.0 {
                        Fault::Q8Associates => d * (token.scales[b] * i as f32),
                        _ => d * token.scales[b] * i as f32,
                    }
                })
                .collect();
            match self.0 {
                Fault::Q8InOrder => terms.iter().fold(0.0, |s, t| s + t),
                Fault::Q8OneStripeTooMany => striped::<8>(terms.iter().copied()),
                _ => four(&terms),
            }
        });
    }

    pub(super) fn q4(self, w: &[u8], n: usize, a: &Int8Acts<'_>, y: &mut [f32]) {
        let cols = a.groups * 32;
        each(Layout::Q4r4, cols, w, n, y, |tile, r, _, t| {
            let token = a.token(t).unwrap();
            let mut s = [0.0f32; 4];
            for b in 0..a.groups {
                let block = q4r4::get_q4_0(tile, cols, r, b).unwrap();
                let d = f16_to_f32(u16::from_le_bytes([block[0], block[1]]));
                let i = dot(&nibbles(&block[2..], 8), &token, b) as f32;
                let da = d * token.scales[b];
                s[b % 4] = match self.0 {
                    Fault::Q4Fuses => fused(da, i, s[b % 4]),
                    Fault::Q4FlushesSubnormals => flush(s[b % 4] + flush(flush(da) * i)),
                    _ => s[b % 4] + da * i,
                };
            }
            (s[0] + s[2]) + (s[1] + s[3])
        });
    }

    pub(super) fn q4_minima(self, w: &[u8], n: usize, a: &Int8Acts<'_>, y: &mut [f32]) {
        let cols = a.groups * 32;
        each(Layout::Q4m4, cols, w, n, y, |tile, r, _, t| {
            let token = a.token(t).unwrap();
            let mut s = [0.0f32; 4];
            for b in 0..a.groups {
                let block = q4r4::get_q4_1(tile, cols, r, b).unwrap();
                let half = |at: usize| f16_to_f32(u16::from_le_bytes([block[at], block[at + 1]]));
                let i = dot(&nibbles(&block[4..], 0), &token, b) as f32;
                let scaled = half(0) * token.scales[b] * i;
                let min = half(2) * token.scales[b] * token.sums[b] as f32;
                s[b % 4] = if self.is(Fault::Q4mTwoTerms) {
                    s[b % 4] + scaled + min
                } else {
                    s[b % 4] + (scaled + min)
                };
            }
            (s[0] + s[2]) + (s[1] + s[3])
        });
    }

    pub(super) fn q6(self, w: &[u8], n: usize, a: &Int8Acts<'_>, y: &mut [f32]) {
        let cols = a.groups * 256;
        each(Layout::Q6r4, cols, w, n, y, |tile, r, _, t| {
            let token = a.token(t).unwrap();
            let terms: Vec<f32> = (0..a.groups)
                .map(|b| {
                    let block = q6r4::get_block(tile, cols, r, b).unwrap();
                    let mut codes = [0; 256];
                    q6_k::codes(&block, &mut codes);
                    let d = f16_to_f32(q6_k::scale(&block));
                    let parts: Vec<i32> = (codes.chunks(16).zip(q6_k::scales(&block)))
                        .zip(token.q[b * 256..].chunks(16))
                        .map(|((codes, &scale), q)| {
                            let pairs = codes.iter().zip(q);
                            let dot: i32 = pairs.map(|(&c, &q)| (i32::from(c) - 32) * i32::from(q)).sum();
                            i32::from(scale as i8) * dot
                        })
                        .collect();
                    let i = if self.is(Fault::Q6ConvertsSubBlocks) {
                        parts.iter().fold(0.0, |s, &p| s + p as f32)
                    } else {
                        parts.iter().sum::<i32>() as f32
                    };
                    d * token.scales[b] * i
                })
                .collect();
            four(&terms)
        });
    }

    pub(super) fn q5(self, w: &[u8], n: usize, a: &Int8Acts<'_>, y: &mut [f32]) {
        let cols = a.groups * 32;
        each(Layout::Q5r4, cols, w, n, y, |tile, r, _, t| {
            let token = a.token(t).unwrap();
            let codes = |b: usize| {
                let mut codes = [0; 32];
                let block = q5r4::get_block(tile, cols, r, b).unwrap();
                q5_0::codes(&block, &mut codes);
                (codes, f16_to_f32(q5_0::scale(&block)))
            };
            let terms: Vec<f32> = (0..a.groups)
                .map(|b| {
                    let (mut of_block, d) = codes(b);
                    if self.is(Fault::Q5ReusesBits) && b % 8 >= 4 {
                        let bits = codes(b - 4).0;
                        of_block.iter_mut().zip(bits).for_each(|(code, bit)| *code = *code & 15 | bit & 16);
                    }
                    let late = self.is(Fault::Q5SubtractsLate);
                    let weights = of_block.map(|c| i32::from(c) - if late { 0 } else { 16 });
                    let (da, i) = (d * token.scales[b], dot(&weights, &token, b) as f32);
                    if late { da * i - 16.0 * da * token.sums[b] as f32 } else { da * i }
                })
                .collect();
            four(&terms)
        });
    }

    pub(super) fn k(self, layout: Layout, w: &[u8], n: usize, a: &Int8Acts<'_>, y: &mut [f32]) {
        let (cols, five) = (a.groups * 256, layout == Layout::Q5k4);
        each(layout, cols, w, n, y, |tile, r, _, t| {
            let token = a.token(t).unwrap();
            let mut s = [0.0f32; 4];
            for b in 0..a.groups {
                let mut codes = [0; 256];
                let mut head = if five {
                    let block = q4k4::get_q5_k(tile, cols, r, b).unwrap();
                    q5_k::codes(&block, &mut codes);
                    Head::read(q5_k::head(&block))
                } else {
                    let block = q4k4::get_q4_k(tile, cols, r, b).unwrap();
                    q4_k::codes(&block, &mut codes);
                    Head::read(q4_k::head(&block))
                };
                if self.is(Fault::Q4kScalesOfFourBits) && !five {
                    head.scales[4..].iter_mut().for_each(|scale| *scale &= 15);
                }
                let (i, j) = self.sub_blocks(&head, &codes, &token.q[b * 256..][..256], five);
                let (da, ma) = (head.d * token.scales[b], head.dmin * token.scales[b]);
                s[b % 4] = match self.0 {
                    Fault::Q4kFuses if !five => s[b % 4] + fused(-ma, j, da * i),
                    Fault::Q4kTwoTerms if !five => s[b % 4] + da * i - ma * j,
                    _ => s[b % 4] + (da * i - ma * j),
                };
            }
            (s[0] + s[2]) + (s[1] + s[3])
        });
    }

    /// The two sums over a block's sub-blocks, as f32.
    fn sub_blocks(self, head: &Head, codes: &[u8; 256], q: &[i8], five: bool) -> (f32, f32) {
        let (mut i, mut j, mut converted) = (0i32, 0i32, 0.0f32);
        for (s, (codes, q)) in codes.chunks(32).zip(q.chunks(32)).enumerate() {
            let mut dot: i32 = codes.iter().zip(q).map(|(&c, &q)| i32::from(c) * i32::from(q)).sum();
            if self.is(Fault::Q5kWrapsI16) && five {
                dot = i32::from(dot as i16);
            }
            i += i32::from(head.scales[s]) * dot;
            converted += (i32::from(head.scales[s]) * dot) as f32;
            j += i32::from(head.minima[s]) * q.iter().map(|&q| i32::from(q)).sum::<i32>();
        }
        let late = self.is(Fault::Q5kConvertsSubBlocks) && five;
        (if late { converted } else { i as f32 }, j as f32)
    }

    pub(super) fn floats(self, layout: Layout, w: &[u8], n: usize, a: &FloatActs<'_>, y: &mut [f32]) {
        each(layout, a.cols, w, n, y, |tile, r, _, t| {
            let mut row = vec![0.0; a.cols];
            layout.dequantize_row(tile, r, 1.0, &mut row).unwrap();
            let x = a.token(t).unwrap();
            if self.is(Fault::F16FlushesSubnormals) && layout == Layout::F16 {
                for w in &mut row {
                    *w = if w.abs() < f16_to_f32(0x0400) { 0.0 } else { *w };
                }
            }
            let products = || row.iter().zip(x).map(|(w, x)| w * x);
            match (self.0, layout) {
                (Fault::F32Fuses, Layout::F32) => {
                    let mut s = [0.0; 16];
                    for (i, (&w, &x)) in row.iter().zip(x).enumerate() {
                        s[i % 16] = fused(w, x, s[i % 16]);
                    }
                    striped::<16>(s.into_iter())
                }
                (Fault::F32FoldsNeighbours, Layout::F32) => {
                    let mut s = [0.0; 16];
                    for (i, p) in products().enumerate() {
                        s[i % 16] += p;
                    }
                    let mut s = s.to_vec();
                    while s.len() > 1 {
                        s = s.chunks(2).map(|pair| pair[0] + pair[1]).collect();
                    }
                    s[0]
                }
                (Fault::Bf16EightStripes, Layout::Bf16) => striped::<8>(products()),
                _ => striped::<16>(products()),
            }
        });
    }
}

/// The 32 nibbles of a block, less an offset.
fn nibbles(bytes: &[u8], offset: i32) -> Vec<i32> {
    let low = bytes.iter().map(|b| i32::from(b & 15) - offset);
    low.chain(bytes.iter().map(|b| i32::from(b >> 4) - offset)).collect()
}
