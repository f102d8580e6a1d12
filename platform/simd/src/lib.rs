//! What the vector backends of bitnet-edge share.
//!
//! Products of packed weights and int8 activations: each layout has one file, generic over the instruction set
//! ([`Vector`](vector::Vector), [`Products`](products::Products)). Integer sums are exact, so their order is free; float sums have
//! the order of the definition.
//!
//! Around them the methods of a tier (`tier.rs`), and methods that hand their arguments on (`forward.rs`), as macros: code
//! that uses an instruction set must be inlined into a function that has its features.
//!
//! This crate is for those that implement a backend, such as `bitnet-edge-x86`; programs need none of it.
#![no_std]
#![deny(clippy::disallowed_methods)]

#[cfg(test)]
extern crate std;

use bitnet_edge_kernels::tile::{Results, TILE_ROWS};
use bitnet_edge_kernels::{Error, Kernel, KernelSet};

pub mod blocks;
mod forward;
pub mod products;
pub mod q4k4;
pub mod q4r4;
pub mod q5r4;
pub mod q6r4;
pub mod q8r4;
pub mod quads;
pub mod t2r4;
mod tier;
pub mod vector;
pub mod words;

/// Row tiles whose results are put together.
pub(crate) const GROUP_TILES: usize = 4;
/// Their rows.
pub(crate) const GROUP_ROWS: usize = GROUP_TILES * TILE_ROWS;

/// Row tiles of `row_tile` bytes in `w`.
///
/// # Errors
/// [`Error::Operand`] if they are not whole.
#[inline]
pub fn whole_tiles(w: &[u8], row_tile: usize) -> Result<usize, Error> {
    if row_tile == 0 || !w.len().is_multiple_of(row_tile) {
        return Err(Error::Operand("weights are not whole row tiles"));
    }
    Ok(w.len() / row_tile)
}

/// Of `rest` tokens, how many to take next so that blocks of at most `most` are of nearly the same size.
#[inline(always)]
#[must_use]
pub fn balanced(rest: usize, most: usize) -> usize {
    rest.div_ceil(rest.div_ceil(most))
}

/// Results of any kind, so that a product is compiled once and not for each. A call takes many rows.
pub struct AnyResults<'a>(pub &'a mut dyn Results);

impl Results for AnyResults<'_> {
    #[inline]
    fn put(&mut self, token: usize, row: usize, values: &[f32]) {
        self.0.put(token, row, values);
    }
}

/// The layout of `Q4_0`.
pub type Q4r4 = q4r4::Q4<false>;
/// The layout of `Q4_1`.
pub type Q4m4 = q4r4::Q4<true>;
/// The layout of `Q8_0`.
pub type Q8r4 = q8r4::Q8;
/// The layout of `Q6_K`.
pub type Q6r4 = q6r4::Q6;
/// The layout of `Q4_K`.
pub type Q4k4 = q4k4::K4<false>;
/// The layout of `Q5_0`.
pub type Q5r4 = q5r4::Q5;
/// The layout of `Q5_K`.
pub type Q5k4 = q4k4::K4<true>;

/// The kernels of [`float_methods`].
pub const FLOATS: KernelSet = KernelSet::of(&[
    Kernel::QuantizeToken,
    Kernel::QuantizeG32,
    Kernel::QuantizeG256,
    Kernel::MatmulF32F32,
    Kernel::MatmulF16F32,
    Kernel::MatmulBf16F32,
    Kernel::RmsNorm,
    Kernel::RmsNormInPlace,
    Kernel::Rope,
    Kernel::Gate,
    Kernel::Store,
    Kernel::Attend,
    Kernel::AttendI8,
    Kernel::Combine,
]);

/// The kernels of [`product_methods`].
pub const PRODUCTS: KernelSet = KernelSet::of(&[
    Kernel::MatmulT2r4I8t,
    Kernel::MatmulQ8r4I8g32,
    Kernel::MatmulQ4r4I8g32,
    Kernel::MatmulQ4m4I8g32,
    Kernel::MatmulQ6r4I8g256,
    Kernel::MatmulQ4k4I8g256,
    Kernel::MatmulQ5r4I8g32,
    Kernel::MatmulQ5k4I8g256,
]);

/// What the macros name.
pub mod names {
    pub use bitnet_edge_kernels::attention::{self, Int8Rows, KvElement, Queries, Scratch};
    pub use bitnet_edge_kernels::gate::{self, Activation};
    pub use bitnet_edge_kernels::simd::Scalar16;
    pub use bitnet_edge_kernels::tile::{FloatActs, Int8Acts, Results, TernaryScale, rows};
    pub use bitnet_edge_kernels::{Error, Kernel, KernelSet, Kernels, norm, quantize, rope};
}
