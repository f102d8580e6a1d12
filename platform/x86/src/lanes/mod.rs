//! The sixteen lanes of each tier.
//!
//! Their methods are safe to write but execute instructions that not every machine has, so the types stay inside this
//! crate: a tier's methods use them inside a function with the tier's features, of which its token is proof.

mod avx2;
mod avx512;
mod sse41;

pub(crate) use avx2::Avx2Lanes;
pub(crate) use avx512::Avx512Lanes;
pub(crate) use sse41::Sse41Lanes;

/// Evaluates intrinsics of the tier whose lanes use it.
macro_rules! featured {
    ($e:expr) => {{
        // SAFETY: lanes exist only inside functions with their tier's features (see this module's documentation). What
        // is read and written through pointers are whole arrays behind references, which need no alignment.
        #[allow(unused_unsafe, reason = "one rule for all bodies, with and without pointers")]
        unsafe {
            $e
        }
    }};
}

use featured;

#[cfg(test)]
mod tests {
    use bitnet_edge_kernels::conformance::{Effort, run_lanes};
    use bitnet_edge_kernels::simd::F32x16;

    use super::*;
    use crate::{Avx2, Avx512Vnni, Sse41};

    fn check<V: F32x16>(name: &str, missing: Option<&str>) {
        if let Some(missing) = missing {
            println!("not run: lanes of {name} ({missing} is missing)");
            return;
        }
        for effort in [Effort::Boot, Effort::Full] {
            let summary = run_lanes::<V>(effort, &mut |failure| println!("{name}: {failure}"));
            assert!(summary.passed(), "{name}: {summary:?}");
        }
    }

    #[test]
    fn lanes_are_the_definition_s() {
        check::<Sse41Lanes>("sse4.1", Sse41::missing());
        check::<Avx2Lanes>("avx2", Avx2::missing());
        check::<Avx512Lanes>("avx512-vnni", Avx512Vnni::missing());
    }
}
