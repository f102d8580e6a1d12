//! Products of packed weights and int8 activations.
//!
//! The layouts are those of `bitnet-edge-simd`, generic over the instruction set
//! ([`Vector`](bitnet_edge_simd::vector::Vector)); here each instruction set has one file with its vectors.

pub(crate) mod avx2;
pub(crate) mod avx512;
pub(crate) mod avx_vnni;
pub(crate) mod products;
pub(crate) mod sse41;
#[cfg(test)]
mod tests;

/// The fetches of [`Vector`](bitnet_edge_simd::vector::Vector).
macro_rules! fetches {
    () => {
        #[inline(always)]
        fn fetch(p: *const u8) {
            // SAFETY: a prefetch reads nothing, wherever it points.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
        }
        #[inline(always)]
        fn fetch_second(p: *const u8) {
            // SAFETY: as above.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
        }
    };
}

#[cfg(test)]
pub(crate) use avx_vnni::Avx512Vnni256;
pub(crate) use avx_vnni::AvxVnni;
pub(crate) use avx2::Avx2;
pub(crate) use avx512::Avx512;
use fetches;
pub(crate) use sse41::Sse41;
