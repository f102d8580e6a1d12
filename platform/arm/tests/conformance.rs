//! Every tier of this machine against the definition.

use bitnet_edge_arm::Host;
use bitnet_edge_kernels::Kernels;
use bitnet_edge_kernels::conformance::{self, Effort};

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
        let summary = conformance::run(host, Effort::Full, &mut |failure| {
            if lines.len() < 20 {
                lines.push(failure.to_string());
            }
        });
        assert!(summary.passed() && summary.skipped == 0, "{name}: {summary:?}\n{}", lines.join("\n"));
        println!("{name}: {} cases", summary.cases);
    }
}
