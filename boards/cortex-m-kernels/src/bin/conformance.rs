//! Compares every kernel of every tier with the definition. It prints `TIER CASES`, or what is different.

#![no_std]
#![no_main]

use bitnet_edge_kernels::Kernels;
use bitnet_edge_kernels::conformance::{self, Effort};
use cortex_m_kernels::{Each, each_tier, exit, say};

/// Differences that are shown, of each tier.
const SHOWN: u32 = 8;

struct Check {
    good: bool,
}

impl Each for Check {
    #[inline(never)]
    fn tier(&mut self, variant: &'static str, kernels: impl Kernels) {
        let mut found = 0;
        let summary = conformance::run(kernels, Effort::Full, &mut |failure| {
            found += 1;
            if found <= SHOWN {
                say(format_args!("{variant}: {failure}"));
            }
        });
        self.good &= summary.passed() && summary.skipped == 0;
        say(format_args!("{variant} {}", summary.cases));
    }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let mut check = Check { good: true };
    each_tier(&mut check);
    exit(check.good)
}
