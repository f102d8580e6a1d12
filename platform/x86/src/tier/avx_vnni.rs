//! AVX2 with byte products in one instruction (AVX-VNNI): Intel since 2021, AMD since 2024.

use bitnet_edge_simd::names::*;

use crate::lanes::Avx2Lanes;

bitnet_edge_simd::token! {
    /// AVX2 with byte products in one instruction (AVX-VNNI): Intel since 2021, AMD since 2024.
    AvxVnni: super::first_missing!("avx2", "f16c", "avxvnni")
}

impl Kernels for AvxVnni {
    // Those that may be used without a token; the methods use the tier's own.
    type Lanes = Scalar16;

    fn name(&self) -> &'static str {
        "avx-vnni"
    }

    fn own(&self) -> KernelSet {
        bitnet_edge_simd::FLOATS.and(bitnet_edge_simd::PRODUCTS)
    }

    bitnet_edge_simd::float_methods!(Avx2Lanes, Avx2Lanes, "avx2,f16c,avxvnni", super::with_scratch);
    bitnet_edge_simd::product_methods!("avx2,f16c,avxvnni", crate::matmul::AvxVnni, 2, 2);
}
