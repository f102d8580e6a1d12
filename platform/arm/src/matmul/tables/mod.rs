//! `matmul_t2r4_i8t` for many tokens where no instruction adds four products at once: sums are looked up.
//!
//! A byte of a tile is the codes of four columns, of which 81 are possible. For four columns and sixteen tokens a table has all 81 sums
//! of `weight * q`: then a row takes one address, one load of two vectors and two additions for 64 products, a third of what products
//! take. The tables of half a column tile stay in the first cache while the rows of a pass go by; a table pays for itself when some
//! forty rows use it.

mod finish;
mod look_up;

use core::mem::MaybeUninit;

use bitnet_edge_kernels::Error;
use bitnet_edge_kernels::conformance::straddles;
use bitnet_edge_kernels::tile::{Int8Acts, Results, TILE_ROWS, TernaryScale, t2r4};
use bitnet_edge_simd::{AnyResults, balanced, whole_tiles};

use super::Neon;
use crate::intrinsics::*;

const TILE: usize = t2r4::TILE_BYTES;
/// Columns of a plane.
const PLANE: usize = t2r4::TILE_COLUMNS / 4;
/// Tokens of a pass: an entry of a table has two vectors of eight.
const TOKENS: usize = 16;
/// Most row tiles of a pass.
const TILES: usize = 128;
const ROWS: usize = TILES * TILE_ROWS;
/// Possible codes of four columns.
const SUMS: usize = 81;
/// Tables at a time.
const HALF: usize = PLANE / 2;
/// Column tiles between two times that sums go to 32 bits: 4 * 64 * 127 = 32,512 fits 16, as activations are never -128
/// (`docs/arithmetic.md`, section 5).
const FLUSH: usize = 4;

/// Fewest tokens for which tables are worth it, and fewest rows.
const FEWEST_TOKENS: usize = 7;
const FEWEST_ROWS: usize = 64;

const _: () = assert!(
    straddles(FEWEST_TOKENS, FEWEST_ROWS / TILE_ROWS),
    "the conformance run has no cases around tables"
);

/// Sums of eight tokens, twice.
type Entry = [[i16; 8]; 2];

/// Memory of a pass, 87 KiB.
#[repr(C, align(64))]
struct Memory {
    /// `[sums][tables]`
    tables: [[Entry; HALF]; SUMS],
    /// Activations of a column tile, `[planes][columns][tokens]`.
    columns: [[[i8; TOKENS]; PLANE]; 4],
    /// How far a row's sum is from the first of its table, in bytes: `[rows][halves][tables]`.
    offsets: [[[u16; HALF]; 2]; ROWS],
    /// Sums of `weight * q`, `[rows]`.
    sums: [Entry; ROWS],
    /// Those that came before.
    totals: [[[i32; 4]; 4]; ROWS],
}

const _: () = assert!(size_of::<Memory>() < crate::STACK / 2);

/// Whether tables are worth it for so many tokens and weights of `stride` columns.
#[inline]
pub(crate) fn are_worth_it(w: &[u8], tokens: usize, stride: usize) -> bool {
    tokens >= FEWEST_TOKENS && w.len() / stride.max(1) * TILE_ROWS >= FEWEST_ROWS
}

/// The product for any number of tokens, where [`are_worth_it`] says so.
///
/// # Safety
/// The caller runs with the feature `neon`.
#[inline(always)]
pub(crate) unsafe fn matmul(
    w: &[u8],
    tokens: usize,
    acts: &Int8Acts<'_>,
    scale: TernaryScale<'_>,
    out: &mut AnyResults<'_>,
) -> Result<(), Error> {
    acts.check(tokens, acts.stride, 1)?;
    let row_tile = t2r4::row_tile_bytes(acts.stride);
    let tiles = whole_tiles(w, row_tile)?;
    // A few tokens more than whole passes are better off with products.
    let by_tables = if tokens % TOKENS < FEWEST_TOKENS { tokens - tokens % TOKENS } else { tokens };
    let mut memory = MaybeUninit::<Memory>::uninit();
    let mut first = 0;
    while first < tiles {
        let n = balanced(tiles - first, TILES);
        let weights = &w[first * row_tile..][..n * row_tile];
        let mut token = 0;
        while token < by_tables {
            let count = TOKENS.min(by_tables - token);
            let pass = Pass {
                w: weights.as_ptr(),
                row_tile,
                columns: acts.stride / t2r4::TILE_COLUMNS,
                tiles: n,
                acts,
                token,
                count,
                scale,
                first,
                memory: memory.as_mut_ptr(),
            };
            // SAFETY: the row tiles and tokens are there, and the memory is for so many; the feature is the caller's promise.
            let done = unsafe { if count > TOKENS / 2 { pass.run::<2>(out) } else { pass.run::<1>(out) } };
            if !done {
                break;
            }
            token += count;
        }
        if token < tokens {
            let part = Part { w: weights, scale, first, token, tokens: tokens - token };
            // SAFETY: the feature is the caller's promise.
            unsafe { part.products(acts, out)? };
        }
        first += n;
    }
    Ok(())
}

/// Some rows and the last tokens of a call, for which there are no tables.
struct Part<'a> {
    w: &'a [u8],
    scale: TernaryScale<'a>,
    /// The first row tile.
    first: usize,
    /// The first token.
    token: usize,
    tokens: usize,
}

impl Part<'_> {
    /// Their results, by products.
    ///
    /// # Safety
    /// The caller runs with the feature `neon`.
    #[inline(always)]
    unsafe fn products(&self, acts: &Int8Acts<'_>, out: &mut AnyResults<'_>) -> Result<(), Error> {
        let row = self.first * TILE_ROWS;
        let acts = Int8Acts {
            q: acts.q.get(self.token * acts.stride..).unwrap_or(&[]),
            scales: acts.scales.get(self.token * acts.groups..).unwrap_or(&[]),
            sums: acts.sums.get(self.token * acts.groups..).unwrap_or(&[]),
            ..*acts
        };
        let scale = match self.scale {
            TernaryScale::Rows(rows) => TernaryScale::Rows(rows.get(row..).unwrap_or(&[])),
            all @ TernaryScale::Tensor(_) => all,
        };
        let mut out = Moved { out, token: self.token, row };
        // SAFETY: as promised.
        unsafe {
            bitnet_edge_simd::t2r4::matmul::<Neon, 4, 4, _>(self.w, self.tokens, &acts, scale, &mut out)
        }
    }
}

/// Results of a part of a call.
struct Moved<'a, 'r> {
    out: &'a mut AnyResults<'r>,
    token: usize,
    row: usize,
}

impl Results for Moved<'_, '_> {
    #[inline]
    fn put(&mut self, token: usize, row: usize, values: &[f32]) {
        self.out.put(self.token + token, self.row + row, values);
    }
}

/// Some row tiles, up to [`TILES`], and up to [`TOKENS`] tokens.
struct Pass<'a> {
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
    /// Of the whole call.
    scale: TernaryScale<'a>,
    /// The number of the first row tile in the call.
    first: usize,
    /// For this alone, while the pass is there.
    memory: *mut Memory,
}

impl Pass<'_> {
    /// Puts all results, of tokens that fill `V` vectors of eight; `false`, and none is put, if there is a code 3, which the tables have
    /// no sums for.
    ///
    /// # Safety
    /// The row tiles and tokens are readable, there are no more than the memory is for, and it is writable; `neon` is there.
    #[inline(always)]
    unsafe fn run<const V: usize>(&self, out: &mut AnyResults<'_>) -> bool {
        // SAFETY: as promised.
        unsafe {
            let rows = self.tiles * TILE_ROWS;
            (&raw mut (*self.memory).sums).cast::<Entry>().write_bytes(0, rows);
            (&raw mut (*self.memory).totals).cast::<[[i32; 4]; 4]>().write_bytes(0, rows);
            let mut all = [vdupq_n_s32(0); 4];
            for k in 0..self.columns {
                if !self.offsets(k) {
                    return false;
                }
                if k % FLUSH == 0 && k > 0 {
                    self.widen::<V>();
                }
                self.transpose(k);
                let mut sum = [vdupq_n_s16(0); V];
                for half in 0..2 {
                    self.tables::<V>(half, &mut sum);
                    self.look_up::<V>(half);
                }
                finish::add::<V>(&mut all, &sum);
            }
            self.widen::<V>();
            self.put::<V>(all, out);
        }
        true
    }
}
