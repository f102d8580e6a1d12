//! AVX-512 with byte products in one instruction (VNNI): Intel servers since 2019, AMD since 2022.

use core::arch::x86_64::__cpuid;
use std::sync::OnceLock;

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

    fn own(&self) -> KernelSet {
        bitnet_edge_simd::FLOATS.and(bitnet_edge_simd::PRODUCTS)
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
        1,
        crate::matmul::Avx2,
        table_rows(),
        super::with_tables
    );
}

/// Rows from which on tables of sums are better than products. AMD's family 19h (Zen 4) computes 512 bits in two halves, 64 products
/// a cycle, and tables give more; processors with whole units compute 128.
fn table_rows() -> usize {
    static ROWS: OnceLock<usize> = OnceLock::new();
    *ROWS.get_or_init(|| {
        let (vendor, version) = (__cpuid(0), __cpuid(1).eax);
        let amd =
            [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == b"AuthenticAMD";
        // The family, and what is added to it where it is 15.
        if amd && version >> 8 & 15 == 15 && version >> 20 & 0xff == 0x19 - 15 { 768 } else { usize::MAX }
    })
}
