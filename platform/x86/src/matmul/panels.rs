//! What the products of `q4k4` and `q5k4` ask of an instruction set, beyond [`Vector`].

use core::arch::x86_64::*;

use bitnet_edge_kernels::tile::PANEL_COLUMNS;

use super::vector::Vector;

/// Panels whose sums are converted together: one for each stripe of the definition's float sum.
pub(crate) const CHUNK: usize = 4;

/// Vectors of 128-bit lanes, a lane a row; unsafe as [`Vector`]'s.
pub(crate) trait Panels: Vector {
    /// As many f32 as a vector has 32-bit elements: four stripes a row.
    type Floats: Copy;
    /// The scales of two sub-blocks, in the form that [`dot_pair`](Self::dot_pair) wants.
    type Scales: Copy;
    /// Most tokens of a register block: 1, 2, 4 or 8.
    const BLOCK: usize;

    /// The low and the high nibbles of bytes.
    unsafe fn nibbles(w: Self::V) -> [Self::V; 2];
    /// `codes` with bit `P` of each byte of `bits` as their bit 4.
    unsafe fn fifth<const P: i32>(codes: Self::V, bits: Self::V) -> Self::V;
    /// The scales of the eight sub-blocks and their minima, sixteen bytes a row, of heads.
    unsafe fn unpack(heads: Self::V) -> Self::V;
    /// Of what [`unpack`](Self::unpack) gives: the scales of sub-blocks `2 * K` and `2 * K + 1`.
    unsafe fn scales<const K: usize>(unpacked: Self::V) -> Self::Scales;
    /// Of what [`unpack`](Self::unpack) gives for the panels of a chunk: vector `p` has in element `b` of a lane the minima of
    /// sub-blocks `2 * p` and `2 * p + 1` of panel `b`, as i16.
    unsafe fn minima(unpacked: [Self::V; CHUNK]) -> [Self::V; 4];
    /// Adds the products of 64 codes a row and the activations at `q`, times the scales of their two sub-blocks, to four i32 a
    /// row.
    unsafe fn dot_pair(acc: Self::V, codes: &[Self::V; 4], q: *const u8, scales: Self::Scales) -> Self::V;
    /// The sums over sub-blocks of products of minima and activations, in the order of panels; see [`sums`].
    unsafe fn dot_minima(minima: &[Self::V; 4], sums: &Sums) -> Self::V;
    /// All zero.
    unsafe fn no_floats() -> Self::Floats;
    /// The `d` and `dmin` of heads, in the order of panels.
    unsafe fn widen_heads(heads: [Self::V; CHUNK]) -> [Self::Floats; 2];
    /// The first `n` of four f32 at `p`, in the order of panels; the others are zero and are not read.
    unsafe fn spread_floats(p: *const f32, n: usize) -> Self::Floats;
    /// `stripes + ((d * a) * f32(i) - (dmin * a) * f32(j))`, panel `b` in stripe `b`; the four elements of a row of `i[b]` are to
    /// be added up.
    unsafe fn add_terms(
        stripes: Self::Floats,
        i: [Self::V; CHUNK],
        j: Self::V,
        d: [Self::Floats; 2],
        a: Self::Floats,
    ) -> Self::Floats;
    /// `(s0 + s2) + (s1 + s3)` of each row, to the first [`LANES`](Vector::LANES) elements of `y`.
    unsafe fn fold(stripes: Self::Floats, y: &mut [f32]);
}

/// Sums of activations over the sub-blocks of a chunk: element `p` has for each panel those of sub-blocks `2 * p` and
/// `2 * p + 1`.
pub(crate) type Sums = [[i16; 2 * CHUNK]; 4];

/// The sums of the first `n` of four panels of activations at `q`.
///
/// # Safety
/// The panels are readable, and the CPU has AVX2.
#[inline(always)]
pub(crate) unsafe fn sums(q: *const u8, n: usize) -> Sums {
    // SAFETY: as promised; each part of the result has room for sixteen bytes.
    unsafe {
        let mut panels = [_mm_setzero_si128(); CHUNK];
        for (b, sums) in panels.iter_mut().enumerate().take(n) {
            *sums = of_panel(q.add(b * PANEL_COLUMNS));
        }
        let [a, b, c, d] = panels;
        let (ab, cd) = (_mm_unpacklo_epi32(a, b), _mm_unpacklo_epi32(c, d));
        let (upper_ab, upper_cd) = (_mm_unpackhi_epi32(a, b), _mm_unpackhi_epi32(c, d));
        let mut sums = [[0; 2 * CHUNK]; 4];
        _mm_storeu_si128(sums[0].as_mut_ptr().cast(), _mm_unpacklo_epi64(ab, cd));
        _mm_storeu_si128(sums[1].as_mut_ptr().cast(), _mm_unpackhi_epi64(ab, cd));
        _mm_storeu_si128(sums[2].as_mut_ptr().cast(), _mm_unpacklo_epi64(upper_ab, upper_cd));
        _mm_storeu_si128(sums[3].as_mut_ptr().cast(), _mm_unpackhi_epi64(upper_ab, upper_cd));
        sums
    }
}

/// The sums of each 32 of the 256 activations at `q`, as i16.
#[inline(always)]
unsafe fn of_panel(q: *const u8) -> __m128i {
    // SAFETY: as in `sums`.
    unsafe {
        let (bytes, words) = (_mm256_set1_epi8(1), _mm256_set1_epi16(1));
        // Sums of four activations are at most 508 in magnitude, of all 32 at most 4,064: i16 holds them.
        let fours = |s: usize| {
            let q = _mm256_loadu_si256(q.add(32 * s).cast());
            _mm256_madd_epi16(_mm256_maddubs_epi16(bytes, q), words)
        };
        let pairs = |a, b| _mm256_madd_epi16(_mm256_packs_epi32(a, b), words);
        let low = pairs(pairs(fours(0), fours(1)), pairs(fours(2), fours(3)));
        let high = pairs(pairs(fours(4), fours(5)), pairs(fours(6), fours(7)));
        // In each half of the register the sums over half of a sub-block.
        let halves = _mm256_packs_epi32(low, high);
        _mm_add_epi16(_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves))
    }
}
