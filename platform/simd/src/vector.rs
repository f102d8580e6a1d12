//! The vectors of an instruction set.

use crate::products::Products;

/// Vectors of 128-bit lanes. Every layout puts sixteen bytes of one row beside sixteen of the next, so a lane is a row: a
/// 512-bit vector holds the four rows of a tile, a 256-bit one two of them, a 128-bit one a single row. What is not said to
/// cross lanes stays in them.
///
/// Every function is `unsafe` for one reason: the caller must run with the features of the instruction set, which are
/// those of the function that all of this is inlined into. Those with pointers read or write a whole vector (or what they
/// say), at any alignment.
#[allow(clippy::missing_safety_doc, reason = "the one promise is said above")]
pub trait Vector: Sized {
    /// `16 * LANES` bytes.
    type V: Copy;
    /// How bytes are multiplied.
    type Products: Products<Self>;

    /// Rows in a vector.
    const LANES: usize;
    /// Vector registers of the processor.
    const REGISTERS: usize;
    /// Most tokens of a register block of `t2r4`.
    const TOKENS: usize;
    /// Most tokens for which `t2r4` goes through one row tile at a time.
    const FEW: usize;
    /// How far ahead `t2r4` fetches weights for a few tokens, if that gains anything.
    const AHEAD: Option<usize>;
    /// Most tokens of a register block of the block layouts, at most 8.
    const BLOCK_TOKENS: usize;

    /// Fetches the line at `p`, which is wanted soon, into the first cache, where that gains anything. How far ahead it is worth
    /// it, and where the second cache is better, was measured for each layout: `docs/performance.md`.
    #[inline(always)]
    fn fetch(_: *const u8) {}
    /// Fetches the line at `p` into the second cache.
    #[inline(always)]
    fn fetch_second(_: *const u8) {}

    unsafe fn zero() -> Self::V;
    unsafe fn load(p: *const u8) -> Self::V;
    /// The sixteen bytes at `p` in every lane.
    unsafe fn spread(p: *const u8) -> Self::V;
    unsafe fn splat8(x: u8) -> Self::V;
    unsafe fn splat16(x: i16) -> Self::V;
    /// Element `i` of lane `l` goes to `p[i * LANES + l]`.
    unsafe fn store_rows(v: Self::V, p: *mut u32);
    /// Of sixteen f16 at `p`, `[4 groups][4 rows]`: those of the rows of vector `v` of a row tile, a lane for each, widened.
    unsafe fn halves(p: *const u8, v: usize) -> Self::V;
    /// The f16 in the lower halves of 32-bit elements, widened.
    unsafe fn half32(a: Self::V) -> Self::V;

    unsafe fn and(a: Self::V, b: Self::V) -> Self::V;
    /// `a | b & c`
    unsafe fn or_and(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Bytes in the order of `order`; zero where its bit 7 is set.
    unsafe fn shuffle8(a: Self::V, order: Self::V) -> Self::V;
    unsafe fn shr16(a: Self::V, n: i32) -> Self::V;
    unsafe fn shl16(a: Self::V, n: i32) -> Self::V;
    /// Shifts copies of the sign in.
    unsafe fn sar32(a: Self::V, n: i32) -> Self::V;
    unsafe fn add16(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub16(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn add32(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub32(a: Self::V, b: Self::V) -> Self::V;
    /// Sums of two products of i16.
    unsafe fn madd(a: Self::V, b: Self::V) -> Self::V;
    /// `a[0], b[0], a[1], b[1]` and `a[2], b[2], a[3], b[3]` of 32-bit elements.
    unsafe fn zip32(a: Self::V, b: Self::V) -> [Self::V; 2];
    /// `a[0], b[0]` and `a[1], b[1]` of 64-bit elements.
    unsafe fn zip64(a: Self::V, b: Self::V) -> [Self::V; 2];
    /// `a[0], a[2], b[0], b[2]` and `a[1], a[3], b[1], b[3]` of 32-bit elements.
    unsafe fn unzip32(a: Self::V, b: Self::V) -> [Self::V; 2];
    unsafe fn float(a: Self::V) -> Self::V;
    unsafe fn addf(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn subf(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mulf(a: Self::V, b: Self::V) -> Self::V;

    /// Plane `p` of pairs of bits, as bytes.
    #[inline(always)]
    unsafe fn pairs(w: Self::V, p: i32) -> Self::V {
        // SAFETY: as promised for all functions here.
        unsafe { Self::and(if p == 0 { w } else { Self::shr16(w, 2 * p) }, Self::splat8(3)) }
    }

    /// Plane `p` of nibbles, as bytes.
    #[inline(always)]
    unsafe fn nibbles(w: Self::V, p: i32) -> Self::V {
        // SAFETY: as promised.
        unsafe { Self::and(if p == 0 { w } else { Self::shr16(w, 4) }, Self::splat8(15)) }
    }

    /// Plane `p` of a quarter of `q6r4`, 0 to 63: `low` has its nibbles, `high` its pairs of bits.
    #[inline(always)]
    unsafe fn sixes(low: Self::V, high: Self::V, p: i32) -> Self::V {
        // SAFETY: as promised.
        unsafe {
            let high = match p {
                0 => Self::shl16(high, 4),
                1 => Self::shl16(high, 2),
                2 => high,
                _ => Self::shr16(high, 2),
            };
            let low = if p % 2 == 0 { low } else { Self::shr16(low, 4) };
            Self::or_and(Self::and(high, Self::splat8(0x30)), low, Self::splat8(15))
        }
    }

    /// Plane `p` of nibbles of `low`, with plane `bit` of the bits of `high` as bit 4: 0 to 31.
    #[inline(always)]
    unsafe fn fives(low: Self::V, p: i32, high: Self::V, bit: i32) -> Self::V {
        // SAFETY: as promised.
        unsafe {
            let high = match bit {
                ..4 => Self::shl16(high, 4 - bit),
                4 => high,
                _ => Self::shr16(high, bit - 4),
            };
            let low = if p == 0 { low } else { Self::shr16(low, 4) };
            Self::or_and(Self::and(high, Self::splat8(0x10)), low, Self::splat8(15))
        }
    }

    /// Lane by lane: element `i` of operand `j` becomes element `j` of result `i`.
    #[inline(always)]
    unsafe fn transposed([a, b, c, d]: [Self::V; 4]) -> [Self::V; 4] {
        // SAFETY: as promised.
        unsafe {
            let ([ac0, ac1], [bd0, bd1]) = (Self::zip32(a, c), Self::zip32(b, d));
            let ([x, y], [z, w]) = (Self::zip32(ac0, bd0), Self::zip32(ac1, bd1));
            [x, y, z, w]
        }
    }

    /// Lane by lane: element `i` of the result is the sum of the four 32-bit elements of the lane of the `i`-th operand.
    #[inline(always)]
    unsafe fn fold4([a, b, c, d]: [Self::V; 4]) -> Self::V {
        // SAFETY: as promised.
        unsafe {
            let ([x, y], [z, w]) = (Self::zip32(a, b), Self::zip32(c, d));
            let [x, y] = Self::zip64(Self::add32(x, y), Self::add32(z, w));
            Self::add32(x, y)
        }
    }

    /// Lane by lane: element `i` of the result is `(s[0] + s[2]) + (s[1] + s[3])`, `s` the f32 of the `i`-th operand.
    #[inline(always)]
    unsafe fn fold4_float([a, b, c, d]: [Self::V; 4]) -> Self::V {
        // SAFETY: as promised.
        unsafe {
            let ([x, y], [z, w]) = (Self::zip64(a, b), Self::zip64(c, d));
            let [x, y] = Self::unzip32(Self::addf(x, y), Self::addf(z, w));
            Self::addf(x, y)
        }
    }

    /// `(d * a) * f32(i)`
    #[inline(always)]
    unsafe fn term(d: Self::V, a: Self::V, i: Self::V) -> Self::V {
        // SAFETY: as promised.
        unsafe { Self::mulf(Self::mulf(d, a), Self::float(i)) }
    }
}
