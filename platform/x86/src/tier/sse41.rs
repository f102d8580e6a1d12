//! SSE4.1: every x86-64 machine since about 2008.

use bitnet_edge_simd::names::*;

use crate::lanes::Sse41Lanes;

bitnet_edge_simd::token! {
    /// SSE4.1: every x86-64 machine since about 2008.
    Sse41: super::first_missing!("sse4.1")
}

impl Kernels for Sse41 {
    // Those that may be used without a token; the methods use the tier's own.
    type Lanes = Scalar16;

    fn name(&self) -> &'static str {
        "sse4.1"
    }

    fn own(&self) -> KernelSet {
        bitnet_edge_simd::FLOATS.and(bitnet_edge_simd::PRODUCTS)
    }

    bitnet_edge_simd::float_methods!(Sse41Lanes, Sse41Lanes, "sse4.1", super::with_scratch);
    bitnet_edge_simd::product_methods!(
        "sse4.1",
        crate::matmul::Sse41,
        4,
        4,
        crate::matmul::Sse41,
        super::TABLE_ROWS,
        super::with_tables
    );
}
