//! AVX-512 with byte products in one instruction (VNNI): Intel servers since 2019, AMD since 2022.

use bitnet_edge_simd::names::*;

use crate::lanes::{Avx2Lanes, Avx512Lanes};

bitnet_edge_simd::token! {
    /// AVX-512 with byte products in one instruction (VNNI): Intel servers since 2019, AMD since 2022.
    Avx512Vnni: super::first_missing!(
        // What the compiler takes AVX-512 to include, and a virtual machine may not have.
        "avx2", "f16c", "fma",
        "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni"
    )
}

impl Kernels for Avx512Vnni {
    // Those that may be used without a token; the methods use the tier's own.
    type Lanes = Scalar16;

    fn name(&self) -> &'static str {
        "avx512-vnni"
    }

    bitnet_edge_simd::float_methods!(
        Avx512Lanes,
        Avx2Lanes,
        "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni",
        super::with_scratch
    );
    bitnet_edge_simd::product_methods!(
        "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni",
        crate::matmul::Avx512,
        4,
        1
    );
}
