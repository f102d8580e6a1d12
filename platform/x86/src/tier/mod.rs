//! The tiers: what each needs of the machine, and its methods.

pub(crate) mod amx;
pub(crate) mod avx2;
pub(crate) mod avx512_vnni;
pub(crate) mod avx_vnni;
pub(crate) mod sse41;

/// The first of CPU features that the machine does not have; the operating system's support is part of each.
macro_rules! first_missing {
    ($($feature:tt),*) => {
        [$((std::arch::is_x86_feature_detected!($feature), $feature)),*]
            .into_iter()
            .find_map(|(present, name)| (!present).then_some(name))
    };
}

bitnet_edge_simd::thread_scratch!();
bitnet_edge_simd::thread_tables!();

use first_missing;
