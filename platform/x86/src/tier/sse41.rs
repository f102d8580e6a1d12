//! SSE4.1: every x86-64 machine since about 2008.

use super::names::*;
use crate::lanes::Sse41Lanes;

super::token! {
    /// SSE4.1: every x86-64 machine since about 2008.
    Sse41: super::first_missing!("sse4.1")
}

impl Kernels for Sse41 {
    // Those that may be used without a token; the methods use the tier's own.
    type Lanes = Scalar16;

    fn name(&self) -> &'static str {
        "sse4.1"
    }

    super::float_methods!(Sse41Lanes, Sse41Lanes, "sse4.1");
    crate::matmul::methods!("sse4.1", Sse41, 4, 4);
}
