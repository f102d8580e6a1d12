//! The tiers: what each needs of the machine, and its methods.

pub(crate) mod amx;
pub(crate) mod avx2;
pub(crate) mod avx512_vnni;
pub(crate) mod avx_vnni;
pub(crate) mod sse41;

use bitnet_edge_kernels::conformance::straddles;
use bitnet_edge_kernels::tile::TILE_ROWS;
use bitnet_edge_simd::t2r4::FEWEST_TOKENS;

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

/// Rows from which on tables of sums are better than products of 128 or 256 bits.
const TABLE_ROWS: usize = 192;

const _: () = assert!(
    straddles(FEWEST_TOKENS, TABLE_ROWS / TILE_ROWS),
    "the conformance run has no cases around the tables' first token and row tile"
);

use first_missing;
