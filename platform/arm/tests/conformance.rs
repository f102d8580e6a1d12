//! Every tier of this machine against the definition; each has what it says, and is seen to run the definition for the rest.

use bitnet_edge_arm::Host;
use bitnet_edge_kernels::conformance::{self, Effort};
use bitnet_edge_kernels::{KernelSet, Kernels, take_definitions};

#[test]
fn every_tier_of_this_machine_gives_the_bits_of_the_definition() {
    for (name, tier) in Host::TIERS {
        let host = match tier() {
            Ok(host) => host,
            Err(missing) => {
                println!("not run: {name} ({missing} is missing)");
                continue;
            }
        };
        assert_eq!(host.name(), *name);
        let mut lines = Vec::new();
        take_definitions();
        let summary = conformance::run(host, Effort::Full, &mut |failure| {
            if lines.len() < 20 {
                lines.push(failure.to_string());
            }
        });
        assert!(summary.passed() && summary.skipped == 0, "{name}: {summary:?}\n{}", lines.join("\n"));
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
        println!("{name}: {} cases", summary.cases);
    }
}
