//! AVX-512 with byte products in one instruction (VNNI): Intel servers since 2019, AMD since 2022.

use super::names::*;
use crate::lanes::{Avx2Lanes, Avx512Lanes};

super::token! {
    /// AVX-512 with byte products in one instruction (VNNI): Intel servers since 2019, AMD since 2022.
    Avx512Vnni: super::first_missing!("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni")
}

impl Kernels for Avx512Vnni {
    // Those that may be used without a token; the methods use the tier's own.
    type Lanes = Scalar16;

    fn name(&self) -> &'static str {
        "avx512-vnni"
    }

    super::float_methods!(Avx512Lanes, Avx2Lanes, "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni");
    crate::matmul::methods!("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni", Avx512, 4, 1);
}
