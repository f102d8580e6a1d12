//! Products of bytes: by one instruction that adds four of them to 32 bits, or by one that adds two in 16 bits.
//!
//! Activations are never -128 (`docs/arithmetic.md`, section 5), on which the bounds rest.

use bitnet_edge_kernels::tile::TILE_ROWS;
use bitnet_edge_simd::products::Products;
use bitnet_edge_simd::vector::Vector;

/// What vectors of x86 have beside those of other processors. `unsafe` as in [`Vector`].
pub(crate) trait Words: Vector {
    /// The eight bytes at `p`, twice in every lane.
    unsafe fn spread8(p: *const u8) -> Self::V;
    unsafe fn xor(a: Self::V, b: Self::V) -> Self::V;
    /// Shifts copies of the sign in.
    unsafe fn sar16(a: Self::V, n: i32) -> Self::V;
    /// Sums of two products of unsigned bytes of `u` and signed ones of `s`, as i16, in which they must fit.
    unsafe fn maddubs(u: Self::V, s: Self::V) -> Self::V;
    /// Elements of `a` as i16, in which they must fit, then those of `b`.
    unsafe fn pack32(a: Self::V, b: Self::V) -> Self::V;
}

/// The bytes of eight scales as eight words, for each pair: `PER` words of each sub-block in turn, from `FIRST` on.
const fn wide_order<const FIRST: usize, const PER: usize>() -> [[u8; 16]; 4] {
    // Bit 7: zero.
    let mut order = [[0x80; 16]; 4];
    let mut i = 0;
    while i < 8 * 4 {
        let (pair, word) = (i / 8, i % 8);
        order[pair][2 * word] = (2 * pair + FIRST + word / PER) as u8;
        i += 1;
    }
    order
}

/// For each row of a tile, the bytes of `[2 sub-blocks][4 rows]` of scales in the upper halves of eight words: `PER` words of
/// each sub-block in turn, from `FIRST` on.
const fn scale_order<const FIRST: usize, const PER: usize>() -> [[u8; 16]; TILE_ROWS] {
    // Bit 7: zero.
    let mut order = [[0x80; 16]; TILE_ROWS];
    let mut i = 0;
    while i < 8 * TILE_ROWS {
        let (row, word) = (i / 8, i % 8);
        order[row][2 * word + 1] = ((FIRST + word / PER) * TILE_ROWS + row) as u8;
        i += 1;
    }
    order
}

/// Of the eight bytes at `p`, for the rows of vector `v` of a row tile, the words that `order` names for each row.
///
/// # Safety
/// The features of `S` are there; `p` has eight bytes; a row tile has a vector `v`.
#[inline(always)]
unsafe fn ordered<S: Words>(p: *const u8, order: &[[u8; 16]; TILE_ROWS], v: usize) -> S::V {
    // SAFETY: the rows of vector `v` are within the row tile's; `p` has eight bytes.
    unsafe {
        let order = S::load(order.as_ptr().add(v * S::LANES).cast());
        S::sar16(S::shuffle8(S::spread8(p), order), 8)
    }
}

/// VNNI: sums of four products are added to 32 bits.
pub(crate) struct Vnni;

/// Vectors with VNNI.
pub(crate) trait Dot: Words {
    /// Adds to each 32-bit element four products of unsigned bytes and signed ones.
    unsafe fn dpbusd(sums: Self::V, u: Self::V, s: Self::V) -> Self::V;
    /// Adds to each 32-bit element two products of i16.
    unsafe fn dpwssd(sums: Self::V, a: Self::V, b: Self::V) -> Self::V;
}

// SAFETY: of all blocks below: the callers' promise of `Vector`.
impl<S: Dot> Products<S> for Vnni {
    type Pair = S::V;

    // Each product is at most 3 * 127: i32 holds 2^22 of them, four times the columns of the widest image.
    const FLUSH: usize = usize::MAX;
    const FLUSH_TILE: usize = usize::MAX;
    const OFFSET: i32 = 128;

    #[inline(always)]
    unsafe fn dot(sums: S::V, u: S::V, q: S::V) -> S::V {
        // SAFETY: as above.
        unsafe { S::dpbusd(sums, u, q) }
    }
    #[inline(always)]
    unsafe fn widen(total: S::V, sums: S::V) -> S::V {
        // SAFETY: as above.
        unsafe { S::add32(total, sums) }
    }
    #[inline(always)]
    unsafe fn dot_tile(sums: &mut [S::V; 4], w: S::V, q: &[S::V; 4]) {
        // The planes stay where they are in their bytes, so that no shift is needed: their sums are multiples of 1, 4, 16
        // and 64. That of plane 3 grows by at most 4 * 192 * 127 an element and tile: i32 holds 22,000 tiles, more than the
        // 16,384 of the 2^20 columns that the widest image has.
        for ((sum, q), mask) in sums.iter_mut().zip(q).zip([0x03, 0x0c, 0x30, 0xc0]) {
            // SAFETY: as above.
            unsafe { *sum = S::dpbusd(*sum, S::and(w, S::splat8(mask)), *q) };
        }
    }
    #[inline(always)]
    unsafe fn collect(total: S::V, [a, b, c, d]: [S::V; 4]) -> S::V {
        // SAFETY: as above.
        unsafe {
            let ab = S::add32(a, S::sar32(b, 2));
            let cd = S::add32(S::sar32(c, 4), S::sar32(d, 6));
            S::add32(total, S::add32(ab, cd))
        }
    }
    #[inline(always)]
    unsafe fn quad4<const T: usize>(u: &[S::V; 8], q: [*const u8; T]) -> [S::V; T] {
        // The tokens take turns, and a few tokens have two sums each: an addition waits for the one before it.
        // SAFETY: as above.
        unsafe {
            let mut sums = [[S::zero(); 2]; T];
            for i in (0..8).step_by(2) {
                for (sums, q) in sums.iter_mut().zip(q) {
                    sums[0] = S::dpbusd(sums[0], u[i], S::spread(q.add(16 * i)));
                }
                for (sums, q) in sums.iter_mut().zip(q) {
                    let sum = if T < 4 { &mut sums[1] } else { &mut sums[0] };
                    *sum = S::dpbusd(*sum, u[i + 1], S::spread(q.add(16 * i + 16)));
                }
            }
            let mut all = [S::zero(); T];
            for (all, sums) in all.iter_mut().zip(sums) {
                *all = if T < 4 { S::add32(sums[0], sums[1]) } else { sums[0] };
            }
            all
        }
    }
    #[inline(always)]
    unsafe fn quad5<const T: usize>(u: &[S::V; 8], q: [*const u8; T]) -> [S::V; T] {
        // SAFETY: as above.
        unsafe { <Self as Products<S>>::quad4(u, q) }
    }
    #[inline(always)]
    unsafe fn signed(w: S::V) -> S::V {
        // SAFETY: as above.
        unsafe { S::xor(w, S::splat8(128)) }
    }
    #[inline(always)]
    unsafe fn quad8<const T: usize>(w: &[S::V; 8], q: [*const u8; T]) -> [S::V; T] {
        // SAFETY: as above.
        unsafe { <Self as Products<S>>::quad4(w, q) }
    }
    #[inline(always)]
    unsafe fn scales(p: *const u8, v: usize) -> S::V {
        // SAFETY: as above.
        unsafe { ordered::<S>(p, const { &scale_order::<0, 4>() }, v) }
    }
    #[inline(always)]
    unsafe fn offsets(q: *const u8, c: *mut u8) {
        // Of four activations; sixteen bytes in all.
        for i in 0..8 {
            // SAFETY: as above.
            unsafe {
                let four = q.add(4 * i).cast::<[i8; 4]>().read();
                let sum = four.iter().fold(0, |sum: i16, &q| sum.wrapping_add(i16::from(q)));
                c.cast::<i16>().add(i).write_unaligned(sum.wrapping_mul(32));
            }
        }
    }
    #[inline(always)]
    unsafe fn sub_blocks(sums: S::V, u: [S::V; 2], q: [S::V; 2], c: *const u8, scales: S::V) -> S::V {
        // Four products are at most 4 * 63 * 127 = 32,004, and 32 times four activations 16,256, as is their difference: all
        // fit i16.
        // SAFETY: as above.
        unsafe {
            let both = S::pack32(S::dpbusd(S::zero(), u[0], q[0]), S::dpbusd(S::zero(), u[1], q[1]));
            S::dpwssd(sums, S::sub16(both, S::spread(c)), scales)
        }
    }
    #[inline(always)]
    unsafe fn wide_scales(scales: S::V, pair: usize) -> S::V {
        // SAFETY: as above; there are four pairs.
        unsafe {
            let order: &[[u8; 16]; 4] = const { &wide_order::<0, 4>() };
            S::shuffle8(scales, S::spread(order[pair].as_ptr()))
        }
    }
    #[inline(always)]
    unsafe fn wide_sub_blocks(sums: S::V, u: [S::V; 4], q: [S::V; 4], scales: S::V) -> S::V {
        // Eight products are at most 8 * 31 * 127 = 31,496: they fit i16.
        // SAFETY: as above.
        unsafe {
            let first = S::dpbusd(S::dpbusd(S::zero(), u[0], q[0]), u[1], q[1]);
            let second = S::dpbusd(S::dpbusd(S::zero(), u[2], q[2]), u[3], q[3]);
            S::dpwssd(sums, S::pack32(first, second), scales)
        }
    }
}

/// Sums of two products in 16 bits, widened in time.
pub(crate) struct Maddubs;

/// Vectors without VNNI.
pub(crate) trait Signs: Words {
    unsafe fn abs8(a: Self::V) -> Self::V;
    /// `a` where `s` is positive, zero where it is zero, `-a` where it is negative.
    unsafe fn sign8(a: Self::V, s: Self::V) -> Self::V;
}

#[inline(always)]
unsafe fn wide<S: Words>(sums: S::V) -> S::V {
    // SAFETY: as above.
    unsafe { S::madd(sums, S::splat16(1)) }
}

impl<S: Signs> Products<S> for Maddubs {
    type Pair = [S::V; 2];

    // A pair of products is at most 2 * 3 * 127, of which a tile adds four: 10 * 4 * 762 = 30,480. A code is at most 2 in what
    // passes for a model, but a damaged or hostile image may have 3, and gives the same bits everywhere, too.
    const FLUSH: usize = 10;
    // At most 2 * 12 * 127, of which a tile adds two: 5 * 2 * 3,048 = 30,480.
    const FLUSH_TILE: usize = 5;
    const OFFSET: i32 = 0;

    #[inline(always)]
    unsafe fn dot(sums: S::V, u: S::V, q: S::V) -> S::V {
        // SAFETY: as above.
        unsafe { S::add16(sums, S::maddubs(u, q)) }
    }
    #[inline(always)]
    unsafe fn widen(total: S::V, sums: S::V) -> S::V {
        // SAFETY: as above.
        unsafe { S::add32(total, wide::<S>(sums)) }
    }
    #[inline(always)]
    unsafe fn dot_tile(sums: &mut [S::V; 4], w: S::V, q: &[S::V; 4]) {
        // Planes 0 and 2 as codes; 1 and 3 left in their place, times four: one shift instead of three.
        // SAFETY: as above.
        unsafe {
            let (upper, codes, fours) = (S::shr16(w, 4), S::splat8(0x03), S::splat8(0x0c));
            sums[0] = <Self as Products<S>>::dot(sums[0], S::and(w, codes), q[0]);
            sums[1] = <Self as Products<S>>::dot(sums[1], S::and(w, fours), q[1]);
            sums[0] = <Self as Products<S>>::dot(sums[0], S::and(upper, codes), q[2]);
            sums[1] = <Self as Products<S>>::dot(sums[1], S::and(upper, fours), q[3]);
        }
    }
    #[inline(always)]
    unsafe fn collect(total: S::V, [a, b, ..]: [S::V; 4]) -> S::V {
        // SAFETY: as above.
        unsafe { S::add32(total, S::add32(wide::<S>(a), S::sar32(wide::<S>(b), 2))) }
    }
    #[inline(always)]
    unsafe fn quad4<const T: usize>(u: &[S::V; 8], q: [*const u8; T]) -> [S::V; T] {
        // Eight pairs of products are at most 8 * 2 * 15 * 127 = 30,480.
        // SAFETY: as above.
        unsafe {
            let mut sums = [S::zero(); T];
            for (i, u) in u.iter().enumerate() {
                for (sum, q) in sums.iter_mut().zip(q) {
                    *sum = S::add16(*sum, S::maddubs(*u, S::spread(q.add(16 * i))));
                }
            }
            for sum in &mut sums {
                *sum = wide::<S>(*sum);
            }
            sums
        }
    }
    #[inline(always)]
    unsafe fn quad5<const T: usize>(u: &[S::V; 8], q: [*const u8; T]) -> [S::V; T] {
        // Four pairs of products are at most 4 * 2 * 31 * 127 = 31,496.
        // SAFETY: as above.
        unsafe {
            let mut all = [S::zero(); T];
            for (half, u) in u.as_chunks::<4>().0.iter().enumerate() {
                let mut sums = [S::zero(); T];
                for (i, u) in u.iter().enumerate() {
                    for (sum, q) in sums.iter_mut().zip(q) {
                        *sum = S::add16(*sum, S::maddubs(*u, S::spread(q.add(64 * half + 16 * i))));
                    }
                }
                for (all, sum) in all.iter_mut().zip(sums) {
                    *all = S::add32(*all, wide::<S>(sum));
                }
            }
            all
        }
    }
    #[inline(always)]
    unsafe fn signed(w: S::V) -> S::V {
        w
    }
    #[inline(always)]
    unsafe fn quad8<const T: usize>(w: &[S::V; 8], q: [*const u8; T]) -> [S::V; T] {
        // |w| is at most 128, and fits as unsigned; the sign goes to q, which is never -128. Two products are at most
        // 2 * 128 * 127 = 32,512.
        // SAFETY: as above.
        unsafe {
            let mut sums = [S::zero(); T];
            for (i, w) in w.iter().enumerate() {
                let u = S::abs8(*w);
                for (sum, q) in sums.iter_mut().zip(q) {
                    let q = S::sign8(S::spread(q.add(16 * i)), *w);
                    *sum = S::add32(*sum, wide::<S>(S::maddubs(u, q)));
                }
            }
            sums
        }
    }
    #[inline(always)]
    unsafe fn scales(p: *const u8, v: usize) -> [S::V; 2] {
        // SAFETY: as above.
        unsafe {
            [
                ordered::<S>(p, const { &scale_order::<0, 8>() }, v),
                ordered::<S>(p, const { &scale_order::<1, 8>() }, v),
            ]
        }
    }
    #[inline(always)]
    unsafe fn offsets(q: *const u8, c: *mut u8) {
        // Of two activations.
        for i in 0..16 {
            // SAFETY: as above.
            unsafe {
                let [a, b] = q.add(2 * i).cast::<[i8; 2]>().read().map(i16::from);
                c.cast::<i16>().add(i).write_unaligned(a.wrapping_add(b).wrapping_mul(32));
            }
        }
    }
    #[inline(always)]
    unsafe fn sub_blocks(sums: S::V, u: [S::V; 2], q: [S::V; 2], c: *const u8, scales: [S::V; 2]) -> S::V {
        // Two products are at most 2 * 63 * 127 = 16,002.
        // SAFETY: as above.
        unsafe {
            let first = S::sub16(S::maddubs(u[0], q[0]), S::spread(c));
            let second = S::sub16(S::maddubs(u[1], q[1]), S::spread(c.add(16)));
            S::add32(sums, S::add32(S::madd(first, scales[0]), S::madd(second, scales[1])))
        }
    }
    #[inline(always)]
    unsafe fn wide_scales(scales: S::V, pair: usize) -> [S::V; 2] {
        // SAFETY: as above; there are four pairs.
        unsafe {
            let (first, second): (&[[u8; 16]; 4], &[[u8; 16]; 4]) =
                const { (&wide_order::<0, 8>(), &wide_order::<1, 8>()) };
            [first, second].map(|order| S::shuffle8(scales, S::spread(order[pair].as_ptr())))
        }
    }
    #[inline(always)]
    unsafe fn wide_sub_blocks(sums: S::V, u: [S::V; 4], q: [S::V; 4], scales: [S::V; 2]) -> S::V {
        // Four products are at most 4 * 31 * 127 = 15,748.
        // SAFETY: as above.
        unsafe {
            let first = S::add16(S::maddubs(u[0], q[0]), S::maddubs(u[1], q[1]));
            let second = S::add16(S::maddubs(u[2], q[2]), S::maddubs(u[3], q[3]));
            S::add32(sums, S::add32(S::madd(first, scales[0]), S::madd(second, scales[1])))
        }
    }
}
