//! AVX2 and F16C: Intel since 2013, AMD since 2015.

use bitnet_edge_simd::names::*;

use crate::lanes::Avx2Lanes;

bitnet_edge_simd::token! {
    /// AVX2 and F16C: Intel since 2013, AMD since 2015.
    Avx2: super::first_missing!("avx2", "f16c")
}

impl Kernels for Avx2 {
    // Those that may be used without a token; the methods use the tier's own.
    type Lanes = Scalar16;

    fn name(&self) -> &'static str {
        "avx2"
    }

    fn own(&self) -> KernelSet {
        bitnet_edge_simd::FLOATS.and(bitnet_edge_simd::PRODUCTS)
    }

    bitnet_edge_simd::float_methods!(Avx2Lanes, Avx2Lanes, "avx2,f16c", super::with_scratch);
    bitnet_edge_simd::product_methods!(
        "avx2,f16c",
        crate::matmul::Avx2,
        2,
        2,
        crate::matmul::Avx2,
        super::TABLE_ROWS,
        super::with_tables
    );
}
