//! What AVX-512 does for tiles: packed weights into them, sums out of them.

use std::arch::x86_64::*;

use bitnet_edge_kernels::tile::{TILE_ROWS, t2r4::TILE_BYTES};

use super::panel::{PANEL_ROWS, Panel};
use super::tiles::{ROW_BYTES, SumTile, WeightTile};

/// `f32(acc + more - sum) / s * scale` of the 32 outputs of a token, whose sums are row `row` of the tiles.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn results(
    acc: &[SumTile; 2],
    more: Option<&[SumTile; 2]>,
    row: usize,
    (sum, s): (i32, f32),
    scales: &[f32; PANEL_ROWS],
) -> [f32; PANEL_ROWS] {
    // Sum 4r + t of a tile is that of row r of row tile t.
    let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    let (sum, s) = (_mm512_set1_epi32(sum), _mm512_set1_ps(s));
    let mut values = [0.0; PANEL_ROWS];
    for half in 0..2 {
        let (scales, values) = (&scales[16 * half..][..16], &mut values[16 * half..][..16]);
        // SAFETY: all are sixteen elements long.
        unsafe {
            let mut acc = _mm512_loadu_si512(acc[half].0[row].as_ptr().cast());
            if let Some(more) = more {
                acc = _mm512_add_epi32(acc, _mm512_loadu_si512(more[half].0[row].as_ptr().cast()));
            }
            let acc = _mm512_sub_epi32(_mm512_permutexvar_epi32(order, acc), sum);
            let y = _mm512_div_ps(_mm512_cvtepi32_ps(acc), s);
            _mm512_storeu_ps(values.as_mut_ptr(), _mm512_mul_ps(y, _mm512_loadu_ps(scales.as_ptr())));
        }
    }
    values
}

/// Unpacks tile `column` of the panel's row tiles, of `HALVES` x 16 rows.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline(never)]
pub(super) fn unpack<const HALVES: usize>(panel: &Panel<'_>, column: usize, to: &mut [WeightTile; 2]) {
    let (rows, _) = panel.tiles.as_chunks::<TILE_ROWS>();
    for (rows, to) in rows.iter().zip(to).take(HALVES) {
        let tiles = rows.map(|row| {
            // Beyond the end of the weights this is no access.
            let next = row.as_ptr().wrapping_add(panel.next + column);
            _mm_prefetch::<_MM_HINT_T1>(next.cast());
            &row[column]
        });
        unpack_16(tiles, to);
    }
}

/// Unpacks 64 columns of four row tiles: column `n = 4r + t` of the tile is row `r` of row tile `t`.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn unpack_16(tiles: [&[u8; TILE_BYTES]; 4], to: &mut WeightTile) {
    // SAFETY: reads 64 bytes of each.
    let [t0, t1, t2, t3] = tiles.map(|t| unsafe { _mm512_loadu_si512(t.as_ptr().cast()) });
    // Of the packed bytes: lane r of vector j has bytes 4j..4j + 4 of row r of the four tiles.
    let (a, b) = (_mm512_unpacklo_epi32(t0, t1), _mm512_unpackhi_epi32(t0, t1));
    let (c, d) = (_mm512_unpacklo_epi32(t2, t3), _mm512_unpackhi_epi32(t2, t3));
    let words = [
        _mm512_unpacklo_epi64(a, c),
        _mm512_unpackhi_epi64(a, c),
        _mm512_unpacklo_epi64(b, d),
        _mm512_unpackhi_epi64(b, d),
    ];
    let [p0, p1, p2, p3] = to.0.as_chunks_mut::<4>().0 else { return };
    plane::<0>(words, p0);
    plane::<2>(words, p1);
    plane::<4>(words, p2);
    plane::<6>(words, p3);
}

#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn plane<const SHIFT: u32>(words: [__m512i; 4], to: &mut [[u8; ROW_BYTES]; 4]) {
    let three = _mm512_set1_epi8(3);
    for (word, to) in words.into_iter().zip(to) {
        let codes = _mm512_and_si512(_mm512_srli_epi16::<SHIFT>(word), three);
        // SAFETY: writes the 64 bytes of `to`.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), codes) }
    }
}
