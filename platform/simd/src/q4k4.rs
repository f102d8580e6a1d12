//! `matmul_q4k4_i8g256` and `matmul_q5k4_i8g256`: `Q4_K` and `Q5_K`.

use core::mem::MaybeUninit;

use bitnet_edge_kernels::tile::{PANEL_COLUMNS, q4k4};

use crate::blocks::{BLOCK, Blocks, MOST_COLUMNS, Tokens, prefetch};
use crate::products::Products;
use crate::vector::Vector;

const TILE: usize = 64;
/// Where the fifth bits begin in a panel, and the heads if there are none.
const BITS: usize = 8 * TILE;
/// Panels whose terms are made together, one for each stripe.
const CHUNK: usize = 4;
const MOST_CHUNKS: usize = MOST_COLUMNS / PANEL_COLUMNS / CHUNK;

/// The layout; with `FIFTH` bits, that of `Q5_K`.
pub struct K4<const FIFTH: bool>;

/// What is prepared of a chunk of a token. Panels that are not there are zeros.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub struct Chunk {
    /// Sums of activations over the sub-blocks: element `p` has, for each panel, those of sub-blocks `2 * p` and `2 * p + 1`.
    /// Each is at most 32 * 127.
    sums: [[i16; 2 * CHUNK]; 4],
    /// The scales of the panels.
    a: [f32; CHUNK],
}

impl<const FIFTH: bool> Blocks for K4<FIFTH> {
    const GROUP: usize = PANEL_COLUMNS;
    /// For each token and chunk.
    type Prepared = MaybeUninit<[[Chunk; MOST_CHUNKS]; BLOCK]>;

    fn row_tile_bytes(cols: usize) -> usize {
        q4k4::row_tile_bytes(cols, FIFTH)
    }
    fn room() -> Self::Prepared {
        MaybeUninit::uninit()
    }

    #[inline(always)]
    unsafe fn prepare<S: Vector>(tokens: &Tokens, count: usize, prepared: &mut Self::Prepared) {
        for t in 0..count {
            for first in (0..tokens.groups).step_by(CHUNK) {
                let mut chunk = Chunk { sums: [[0; 2 * CHUNK]; 4], a: [0.0; CHUNK] };
                for k in 0..CHUNK.min(tokens.groups - first) {
                    // SAFETY: the panel is one of the token's.
                    let q = unsafe {
                        chunk.a[k] = *tokens.scales.add(t * tokens.row + first + k);
                        let q = tokens.q.add(t * tokens.stride + (first + k) * PANEL_COLUMNS);
                        &*q.cast::<[[i8; 32]; 8]>()
                    };
                    for (s, q) in q.iter().enumerate() {
                        chunk.sums[s / 2][2 * k + s % 2] =
                            q.iter().fold(0, |sum: i16, &q| sum.wrapping_add(i16::from(q)));
                    }
                }
                // SAFETY: there is room for 8 tokens and `MOST_CHUNKS` chunks.
                unsafe {
                    let room = prepared.as_mut_ptr().cast::<Chunk>();
                    room.add(t * MOST_CHUNKS + first / CHUNK).write(chunk);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn stripes<S: Vector, const NT: usize, const T: usize>(
        w: *const u8,
        tokens: &Tokens,
        prepared: &Self::Prepared,
        mut stripes: [[S::V; NT]; T],
    ) -> [[S::V; NT]; T] {
        // SAFETY: all panels of the row tile and of the tokens are readable; the tokens were prepared.
        unsafe {
            for first in (0..tokens.groups).step_by(CHUNK) {
                for v in 0..NT {
                    Self::chunk::<S, NT, T>(w, tokens, first, v, prepared, &mut stripes);
                }
            }
            stripes
        }
    }
}

impl<const FIFTH: bool> K4<FIFTH> {
    const HEADS: usize = BITS + if FIFTH { 2 * TILE } else { 0 };
    const PANEL: usize = Self::HEADS + TILE;

    /// Adds the terms of up to four panels, from `first` on, for the rows of vector `v`.
    #[inline(always)]
    unsafe fn chunk<S: Vector, const NT: usize, const T: usize>(
        w: *const u8,
        tokens: &Tokens,
        first: usize,
        v: usize,
        prepared: &<Self as Blocks>::Prepared,
        stripes: &mut [[S::V; NT]; T],
    ) {
        let n = CHUNK.min(tokens.groups - first);
        // SAFETY: these panels of the row tile and of the tokens are readable, and the latter were prepared. Every element of `x`
        // is written before it is read.
        unsafe {
            // Panels that are not there add zero.
            let (mut heads, mut unpacked) = ([S::zero(); CHUNK], [S::zero(); CHUNK]);
            let mut x = MaybeUninit::<[[S::V; T]; CHUNK]>::uninit();
            for k in 0..CHUNK {
                let mut sums = [S::zero(); T];
                if k < n {
                    let panel = w.add((first + k) * Self::PANEL + v * S::LANES * 16);
                    if v == 0 {
                        prefetch::<S, T>(panel, Self::PANEL);
                    }
                    heads[k] = S::load(panel.add(Self::HEADS));
                    unpacked[k] = unpack::<S>(heads[k]);
                    let q = tokens.q.add((first + k) * PANEL_COLUMNS);
                    Self::pair::<S, T, 0>(panel, q, tokens.stride, unpacked[k], &mut sums);
                    Self::pair::<S, T, 1>(panel, q, tokens.stride, unpacked[k], &mut sums);
                    Self::pair::<S, T, 2>(panel, q, tokens.stride, unpacked[k], &mut sums);
                    Self::pair::<S, T, 3>(panel, q, tokens.stride, unpacked[k], &mut sums);
                }
                x.as_mut_ptr().cast::<[S::V; T]>().add(k).write(sums);
            }
            let x = x.assume_init_ref();
            let (minima, d, dmin) = (minima::<S>(unpacked), words::<S>(heads, 0), words::<S>(heads, 1));
            for (t, stripes) in stripes.iter_mut().enumerate() {
                let chunk = &*prepared.as_ptr().cast::<Chunk>().add(t * MOST_CHUNKS + first / CHUNK);
                let mut j = S::zero();
                for (minima, sums) in minima.iter().zip(&chunk.sums) {
                    j = S::add32(j, S::madd(*minima, S::spread(sums.as_ptr().cast())));
                }
                let i = S::fold4([x[0][t], x[1][t], x[2][t], x[3][t]]);
                let a = S::spread(chunk.a.as_ptr().cast());
                let term = S::subf(S::term(d, a, i), S::term(dmin, a, j));
                stripes[v] = S::addf(stripes[v], term);
            }
        }
    }

    /// Adds the products of sub-blocks `2 * P` and `2 * P + 1`, times their scales; `q` is the panel of the first token.
    #[inline(always)]
    unsafe fn pair<S: Vector, const T: usize, const P: usize>(
        panel: *const u8,
        q: *const u8,
        stride: usize,
        unpacked: S::V,
        sums: &mut [S::V; T],
    ) {
        // SAFETY: as for `chunk`.
        unsafe {
            let at = panel.add(P * 2 * TILE);
            let (first, second) = (S::load(at), S::load(at.add(TILE)));
            let u = if FIFTH {
                let (bits, p) = (S::load(panel.add(BITS + P / 2 * TILE)), (P % 2 * 4) as i32);
                [
                    S::fives(first, 0, bits, p),
                    S::fives(first, 1, bits, p + 1),
                    S::fives(second, 0, bits, p + 2),
                    S::fives(second, 1, bits, p + 3),
                ]
            } else {
                [S::nibbles(first, 0), S::nibbles(first, 1), S::nibbles(second, 0), S::nibbles(second, 1)]
            };
            let scales = S::Products::wide_scales(unpacked, P);
            for (t, sums) in sums.iter_mut().enumerate() {
                let q = q.add(t * stride + P * 64);
                let q = [S::spread(q), S::spread(q.add(16)), S::spread(q.add(32)), S::spread(q.add(48))];
                *sums = S::Products::wide_sub_blocks(*sums, u, q, scales);
            }
        }
    }
}

/// Sixteen bytes in every lane.
#[inline(always)]
unsafe fn lanes<S: Vector>(bytes: &[u8; 16]) -> S::V {
    // SAFETY: the caller's promise of `Vector`.
    unsafe { S::spread(bytes.as_ptr()) }
}

/// The scales of the eight sub-blocks, then their minima, of heads.
#[inline(always)]
unsafe fn unpack<S: Vector>(heads: S::V) -> S::V {
    // Bit 7: zero.
    const Z: u8 = 0x80;
    // SAFETY: the caller's promise of `Vector`.
    unsafe {
        // Of the first half six bits; of the second half two bits from there and four of the last word.
        let six = S::shuffle8(heads, lanes::<S>(&[4, 5, 6, 7, Z, Z, Z, Z, 8, 9, 10, 11, Z, Z, Z, Z]));
        let two =
            S::shuffle8(S::shr16(heads, 2), lanes::<S>(&[Z, Z, Z, Z, 4, 5, 6, 7, Z, Z, Z, Z, 8, 9, 10, 11]));
        let low = S::shuffle8(heads, lanes::<S>(&[Z, Z, Z, Z, 12, 13, 14, 15, Z, Z, Z, Z, Z, Z, Z, Z]));
        let high = S::shuffle8(
            S::shr16(heads, 4),
            lanes::<S>(&[Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, Z, 12, 13, 14, 15]),
        );
        let all = S::and(six, S::splat8(0x3f));
        let all = S::or_and(all, two, S::splat8(0x30));
        let all = S::or_and(all, low, S::splat8(0x0f));
        S::or_and(all, high, S::splat8(0x0f))
    }
}

/// Of what [`unpack`] gives for the panels of a chunk: in vector `p`, element `b` of a lane, the minima of sub-blocks `2 * p` and
/// `2 * p + 1` of panel `b`, as i16.
#[inline(always)]
unsafe fn minima<S: Vector>(unpacked: [S::V; CHUNK]) -> [S::V; 4] {
    const WIDEN: [u8; 16] = [8, 0x80, 9, 0x80, 10, 0x80, 11, 0x80, 12, 0x80, 13, 0x80, 14, 0x80, 15, 0x80];
    // SAFETY: the caller's promise of `Vector`.
    unsafe {
        let [a, b, c, d] = unpacked.map(|u| S::shuffle8(u, lanes::<S>(&WIDEN)));
        let ([low_ab, high_ab], [low_cd, high_cd]) = (S::zip32(a, b), S::zip32(c, d));
        let ([p0, p1], [p2, p3]) = (S::zip64(low_ab, low_cd), S::zip64(high_ab, high_cd));
        [p0, p1, p2, p3]
    }
}

/// Half `i` of the first word of each of the heads, widened: `d`, or `dmin`.
#[inline(always)]
unsafe fn words<S: Vector>([a, b, c, d]: [S::V; CHUNK], i: i32) -> S::V {
    // SAFETY: the caller's promise of `Vector`.
    unsafe {
        let ([ab, _], [cd, _]) = (S::zip32(a, b), S::zip32(c, d));
        let [all, _] = S::zip64(ab, cd);
        S::half32(if i == 0 { all } else { S::sar32(all, 16) })
    }
}
