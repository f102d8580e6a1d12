//! AVX-VNNI: the vectors of AVX2 with products in one instruction.

use core::arch::x86_64::*;

use super::avx2::Avx2;
use super::products::{Dot, Vnni, Words};
use bitnet_edge_simd::vector::Vector;

/// Implements [`Vector`] with the vectors of [`Avx2`], and the products of VNNI by two intrinsics.
macro_rules! vnni256 {
    ($name:ident, $dpbusd:ident, $dpwssd:ident) => {
        impl Vector for $name {
            type V = __m256i;
            type Products = Vnni;

            const LANES: usize = Avx2::LANES;
            const REGISTERS: usize = Avx2::REGISTERS;
            const TOKENS: usize = Avx2::TOKENS;
            const FEW: usize = Avx2::FEW;
            const AHEAD: Option<usize> = Avx2::AHEAD;
            const BLOCK_TOKENS: usize = Avx2::BLOCK_TOKENS;

            super::fetches!();

            vnni256! {
                zero() -> __m256i;
                load(p: *const u8) -> __m256i;
                spread(p: *const u8) -> __m256i;
                splat8(x: u8) -> __m256i;
                store_rows(v: __m256i, p: *mut u32) -> ();
                halves(p: *const u8, v: usize) -> __m256i;
                half32(a: __m256i) -> __m256i;
                and(a: __m256i, b: __m256i) -> __m256i;
                or_and(a: __m256i, b: __m256i, c: __m256i) -> __m256i;
                shuffle8(a: __m256i, order: __m256i) -> __m256i;
                shr16(a: __m256i, n: i32) -> __m256i;
                shl16(a: __m256i, n: i32) -> __m256i;
                sar32(a: __m256i, n: i32) -> __m256i;
                splat16(x: i16) -> __m256i;
                add16(a: __m256i, b: __m256i) -> __m256i;
                sub16(a: __m256i, b: __m256i) -> __m256i;
                add32(a: __m256i, b: __m256i) -> __m256i;
                sub32(a: __m256i, b: __m256i) -> __m256i;
                madd(a: __m256i, b: __m256i) -> __m256i;
                zip32(a: __m256i, b: __m256i) -> [__m256i; 2];
                zip64(a: __m256i, b: __m256i) -> [__m256i; 2];
                unzip32(a: __m256i, b: __m256i) -> [__m256i; 2];
                float(a: __m256i) -> __m256i;
                addf(a: __m256i, b: __m256i) -> __m256i;
                subf(a: __m256i, b: __m256i) -> __m256i;
                mulf(a: __m256i, b: __m256i) -> __m256i;
            }
        }

        impl Words for $name {
            vnni256! {
                spread8(p: *const u8) -> __m256i;
                xor(a: __m256i, b: __m256i) -> __m256i;
                sar16(a: __m256i, n: i32) -> __m256i;
                maddubs(u: __m256i, s: __m256i) -> __m256i;
                pack32(a: __m256i, b: __m256i) -> __m256i;
            }
        }

        impl Dot for $name {
            #[inline(always)]
            unsafe fn dpbusd(sums: __m256i, u: __m256i, s: __m256i) -> __m256i {
                // SAFETY: the caller's promise.
                unsafe { $dpbusd(sums, u, s) }
            }
            #[inline(always)]
            unsafe fn dpwssd(sums: __m256i, a: __m256i, b: __m256i) -> __m256i {
                // SAFETY: the caller's promise.
                unsafe { $dpwssd(sums, a, b) }
            }
        }
    };
    ($($f:ident($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {$(
        #[inline(always)]
        unsafe fn $f($($arg: $ty),*) -> $ret {
            // SAFETY: the caller's promise.
            unsafe { Avx2::$f($($arg),*) }
        }
    )*};
}

/// Needs `avx2`, `f16c` and `avxvnni`.
pub(crate) struct AvxVnni;

vnni256!(AvxVnni, _mm256_dpbusd_avx_epi32, _mm256_dpwssd_avx_epi32);

/// The same instructions as AVX-512 encodes them, by which a machine that has only those tests this tier's code. Needs
/// `avx2`, `f16c`, `avx512vl` and `avx512vnni`.
#[cfg(test)]
pub(crate) struct Avx512Vnni256;

#[cfg(test)]
vnni256!(Avx512Vnni256, _mm256_dpbusd_epi32, _mm256_dpwssd_epi32);
