//! `matmul_t2r4_i8t` for several tokens: four rows and up to sixteen tokens in registers.
//!
//! A tile is unpacked in registers, once for all tokens of a block. Activations are packed beforehand in the order in which they are
//! read, one plane (sixteen columns) of the block's tokens after another, and a part of the columns at a time, which stays in the
//! first cache while a group of rows passes.

mod sdot;
mod smmla;

use core::mem::MaybeUninit;

use bitnet_edge_kernels::Error;
use bitnet_edge_kernels::tile::{Int8Acts, Results, TILE_ROWS, TernaryScale, t2r4};
use bitnet_edge_simd::vector::Vector;
use bitnet_edge_simd::{balanced, whole_tiles};

use super::Dotprod;
use crate::intrinsics::*;

pub(crate) use sdot::Sdot;
pub(crate) use smmla::Smmla;

const TILE: usize = t2r4::TILE_BYTES;
/// Columns of a plane.
const PLANE: usize = t2r4::TILE_COLUMNS / 4;
/// Tokens that are packed together.
const FOUR: usize = 4;
/// Most groups of four tokens in a block.
const GROUPS: usize = 4;
/// Most tokens of a block.
const TOKENS: usize = FOUR * GROUPS;
/// Column tiles of a part: 16 KiB of activations.
const COLUMNS: usize = 16;
/// Row tiles of a group: 16 KiB of sums.
const TILES: usize = 64;
const ROWS: usize = TILES * TILE_ROWS;

/// How products of four rows and four tokens are taken. Every function is `unsafe` for one reason: the caller must run with the
/// features of the implementation, and what pointers are said to point to is readable, or writable.
pub(crate) trait Matrix {
    /// The bytes of the tile at `w` in the order that [`plane`](Self::plane) takes.
    unsafe fn load(w: *const u8) -> [uint8x16_t; 4];
    /// Writes sixteen columns of four tokens, `q`, to the 64 bytes at `to`.
    unsafe fn pack(q: [uint8x16_t; FOUR], to: *mut u8);
    /// Adds products of a plane of codes and the 64 packed bytes at `q` of four tokens. Returns where the next ones are.
    ///
    /// In one piece of assembly: the compiler would take the load of four registers apart, or copy what it loads.
    unsafe fn plane(sums: &mut [int32x4_t; 4], u: &[uint8x16_t; 4], q: *const u8) -> *const u8;
    /// Of sums, the four rows of each of the four tokens.
    unsafe fn rows(sums: [int32x4_t; 4]) -> [int32x4_t; FOUR];
}

/// Sums of a group of row tiles: `[row tiles][groups of tokens]`.
type Sums = [[[int32x4_t; 4]; GROUPS]; TILES];
/// Packed activations: `[planes][groups of tokens]`, those of the block one after another.
type Packed = [[[u8; FOUR * PLANE]; GROUPS]; 4 * COLUMNS];

/// The product.
///
/// # Safety
/// The caller runs with the features of `M`.
#[inline(always)]
pub(crate) unsafe fn matmul<M: Matrix>(
    w: &[u8],
    tokens: usize,
    acts: &Int8Acts<'_>,
    scale: TernaryScale<'_>,
    out: &mut impl Results,
) -> Result<(), Error> {
    acts.check(tokens, acts.stride, 1)?;
    let row_tile = t2r4::row_tile_bytes(acts.stride);
    let tiles = whole_tiles(w, row_tile)?;
    let (mut sums, mut packed) = (MaybeUninit::<Sums>::uninit(), MaybeUninit::<Packed>::uninit());
    let mut first = 0;
    while first < tiles {
        let n = TILES.min(tiles - first);
        let mut scales = [0.0; ROWS];
        for (r, s) in scales.iter_mut().enumerate().take(n * TILE_ROWS) {
            *s = scale.row(first * TILE_ROWS + r);
        }
        let mut token = 0;
        while token < tokens {
            let count = balanced(tokens - token, TOKENS);
            let w = w.as_ptr().wrapping_add(first * row_tile);
            let block = Block {
                w,
                row_tile,
                columns: acts.stride / t2r4::TILE_COLUMNS,
                tiles: n,
                acts,
                token,
                count,
                scales: &scales,
            };
            // SAFETY: the row tiles and tokens are there; the memory has room for a block; the features are the caller's promise.
            unsafe {
                match count.div_ceil(FOUR) {
                    1 => block.run::<M, 1>(&mut sums, &mut packed, first, out),
                    2 => block.run::<M, 2>(&mut sums, &mut packed, first, out),
                    3 => block.run::<M, 3>(&mut sums, &mut packed, first, out),
                    _ => block.run::<M, GROUPS>(&mut sums, &mut packed, first, out),
                }
            }
            token += count;
        }
        first += n;
    }
    Ok(())
}

/// The sixteen activations at `q`.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn load(q: *const i8) -> uint8x16_t {
    // SAFETY: as promised.
    unsafe { arch::vld1q_u8(q.cast()) }
}

/// A group of row tiles and a block of tokens.
struct Block<'a> {
    /// The first row tile.
    w: *const u8,
    /// Bytes from a row tile to the next.
    row_tile: usize,
    /// Column tiles.
    columns: usize,
    /// Row tiles.
    tiles: usize,
    acts: &'a Int8Acts<'a>,
    /// The first token.
    token: usize,
    /// Tokens.
    count: usize,
    scales: &'a [f32; ROWS],
}

impl Block<'_> {
    /// Puts all results; `first` is the number of the first row tile. `G` groups of four tokens hold the block's.
    ///
    /// # Safety
    /// The row tiles and tokens are readable; the features of `M` are there.
    #[inline(always)]
    unsafe fn run<M: Matrix, const G: usize>(
        &self,
        sums: &mut MaybeUninit<Sums>,
        packed: &mut MaybeUninit<Packed>,
        first: usize,
        out: &mut impl Results,
    ) {
        let (sums, packed) =
            (sums.as_mut_ptr().cast::<[[int32x4_t; 4]; G]>(), packed.as_mut_ptr().cast::<u8>());
        // SAFETY: as promised; a group has room for `TILES` row tiles, of which each has at most `GROUPS` groups of tokens.
        unsafe {
            for start in (0..self.columns).step_by(COLUMNS) {
                let columns = COLUMNS.min(self.columns - start);
                self.pack::<M, G>(start, columns, packed);
                for tile in 0..self.tiles {
                    let before = if start == 0 { [[vdupq_n_s32(0); 4]; G] } else { sums.add(tile).read() };
                    let w = self.w.add(tile * self.row_tile + start * TILE);
                    sums.add(tile).write(products::<M, G>(before, w, columns, packed));
                }
            }
            for group in 0..G {
                self.put::<M, G>(group, sums, first, out);
            }
        }
    }

    /// Packs column tiles `start..start + columns` of all tokens.
    ///
    /// # Safety
    /// As for [`run`](Self::run); there is room at `to`.
    #[inline(always)]
    unsafe fn pack<M: Matrix, const G: usize>(&self, start: usize, columns: usize, to: *mut u8) {
        static NONE: [i8; PLANE] = [0; PLANE];
        for group in 0..G {
            // Tokens that are not there are zeros, again and again.
            let (mut q, mut step) = ([NONE.as_ptr(); FOUR], [0; FOUR]);
            for t in 0..FOUR.min(self.count.saturating_sub(group * FOUR)) {
                let at = (self.token + group * FOUR + t) * self.acts.stride + start * t2r4::TILE_COLUMNS;
                q[t] = self.acts.q.as_ptr().wrapping_add(at);
                step[t] = PLANE;
            }
            let mut to = to.wrapping_add(group * FOUR * PLANE);
            let ([mut a, mut b, mut c, mut d], [i, j, k, l]) = (q, step);
            for _ in 0..4 * columns {
                // SAFETY: as promised.
                unsafe {
                    M::pack([load(a), load(b), load(c), load(d)], to);
                }
                (a, b, c, d) = (a.wrapping_add(i), b.wrapping_add(j), c.wrapping_add(k), d.wrapping_add(l));
                to = to.wrapping_add(G * FOUR * PLANE);
            }
        }
    }

    /// Puts the results of four tokens.
    ///
    /// # Safety
    /// The sums are there.
    #[inline(always)]
    unsafe fn put<M: Matrix, const G: usize>(
        &self,
        group: usize,
        sums: *const [[int32x4_t; 4]; G],
        first: usize,
        out: &mut impl Results,
    ) {
        let count = FOUR.min(self.count - group * FOUR);
        let token = self.token + group * FOUR;
        let (mut s, mut sum) = ([0.0; FOUR], [0; FOUR]);
        for t in 0..count {
            let at = (token + t) * self.acts.groups;
            // Both are there: the operands were checked.
            (s[t], sum[t]) = (self.acts.scales[at], self.acts.sums[at]);
        }
        let mut y = [[0.0f32; ROWS]; FOUR];
        for tile in 0..self.tiles {
            let row = tile * TILE_ROWS;
            // SAFETY: as promised; row tiles have four rows each.
            unsafe {
                let rows = M::rows((*sums.add(tile))[group]);
                let scale = arch::vld1q_f32(self.scales[row..].as_ptr());
                for t in 0..FOUR {
                    let product = vcvtq_f32_s32(vsubq_s32(rows[t], vdupq_n_s32(sum[t])));
                    let scaled = vmulq_f32(vdivq_f32(product, vdupq_n_f32(s[t])), scale);
                    arch::vst1q_f32(y[t][row..].as_mut_ptr(), scaled);
                }
            }
        }
        for (t, y) in y.iter().enumerate().take(count) {
            out.put(token + t, first * TILE_ROWS, &y[..self.tiles * TILE_ROWS]);
        }
    }
}

/// `sums` with the products of `columns` tiles at `w`.
///
/// Each code times each `q` is at most 3 * 127, and i32 holds 2^22 of them, four times the columns of the widest image.
///
/// # Safety
/// The tiles and what was packed for them are readable; the features of `M` are there.
#[inline(always)]
unsafe fn products<M: Matrix, const G: usize>(
    mut sums: [[int32x4_t; 4]; G],
    mut w: *const u8,
    columns: usize,
    mut packed: *const u8,
) -> [[int32x4_t; 4]; G] {
    for _ in 0..columns {
        // SAFETY: as promised.
        unsafe {
            let bytes = M::load(w);
            w = w.add(TILE);
            plane::<M, G, 0>(&mut sums, &bytes, &mut packed);
            plane::<M, G, 1>(&mut sums, &bytes, &mut packed);
            plane::<M, G, 2>(&mut sums, &bytes, &mut packed);
            plane::<M, G, 3>(&mut sums, &bytes, &mut packed);
        }
    }
    sums
}

/// Adds the products of plane `P` of a tile, and moves `packed` to the activations of the next one.
#[inline(always)]
unsafe fn plane<M: Matrix, const G: usize, const P: i32>(
    sums: &mut [[int32x4_t; 4]; G],
    bytes: &[uint8x16_t; 4],
    packed: &mut *const u8,
) {
    let mut u = *bytes;
    // SAFETY: as for `products`.
    unsafe {
        for u in &mut u {
            *u = Dotprod::pairs(*u, P);
        }
        // Not by a loop, which the compiler would keep as one, with the sums in memory.
        group::<M, G, 0>(sums, &u, packed);
        group::<M, G, 1>(sums, &u, packed);
        group::<M, G, 2>(sums, &u, packed);
        group::<M, G, 3>(sums, &u, packed);
    }
}

/// Adds the products of a plane for group `I`, if there is one.
#[inline(always)]
unsafe fn group<M: Matrix, const G: usize, const I: usize>(
    sums: &mut [[int32x4_t; 4]; G],
    u: &[uint8x16_t; 4],
    packed: &mut *const u8,
) {
    if I < G {
        // SAFETY: as for `products`.
        unsafe { *packed = M::plane(&mut sums[I], u, *packed) };
    }
}
