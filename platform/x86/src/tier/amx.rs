//! AMX: products of whole int8 tiles, beside AVX-512. Intel servers since 2023.

use super::names::*;
use crate::lanes::{Avx2Lanes, Avx512Lanes};

super::token! {
    /// AMX: products of whole int8 tiles, beside AVX-512. Intel servers since 2023.
    Amx: super::avx512_vnni::Avx512Vnni::missing().or_else(crate::amx::missing)
}

impl Kernels for Amx {
    // Those that may be used without a token; the methods use the tier's own.
    type Lanes = Scalar16;

    fn name(&self) -> &'static str {
        "amx"
    }

    super::float_methods!(Avx512Lanes, Avx2Lanes, "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni");
}
