//! A tier with one kernel says so, and everything else is seen to run the definition.

use bitnet_edge_kernels::conformance::{self, Effort};
use bitnet_edge_kernels::{Kernel, KernelSet, Kernels, take_definitions};
use bitnet_edge_simd::words::Table;

#[test]
fn a_tier_has_what_it_says_and_runs_the_definition_for_the_rest() {
    take_definitions();
    assert!(conformance::run(Table, Effort::Boot, &mut |_| ()).passed());
    let ran = take_definitions();
    assert_eq!(Table.own(), KernelSet::of(&[Kernel::MatmulT2r4I8t]));
    assert_eq!(ran.and(Table.own()), KernelSet::ALL);
    assert!(!ran.has(Kernel::MatmulT2r4I8t), "it has no product of its own");
}
