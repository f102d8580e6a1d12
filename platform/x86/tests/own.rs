//! Every tier of this machine says what it has of its own, and everything else is seen to run the definition.

use bitnet_edge_kernels::conformance::{self, Effort};
use bitnet_edge_kernels::{KernelSet, Kernels, take_definitions};
use bitnet_edge_x86::Host;

#[test]
fn a_tier_has_what_it_says_and_runs_the_definition_for_the_rest() {
    for (name, host) in Host::TIERS.iter().filter_map(|(name, tier)| Some((*name, tier().ok()?))) {
        take_definitions();
        assert!(conformance::run(host, Effort::Boot, &mut |_| ()).passed());
        let ran = take_definitions();
        assert_eq!(
            ran.and(host.own()),
            KernelSet::ALL,
            "{name}: a kernel is said to be neither its own nor a fallback"
        );
        assert!(
            ran.iter().all(|kernel| !host.own().has(kernel)),
            "{name} says that it has what it has not: {ran:?}"
        );
    }
}
