//! The backends of this machine, and whether they compute the bits of the definition.

use std::time::Instant;

use bitnet_edge_kernels::Kernels;
use bitnet_edge_kernels::conformance::{Effort, run};
use bitnet_edge_std::{Host, Tiers};
use serde::Serialize;

/// The tiers, and the one that a run uses.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Backends {
    pub(super) tiers: Vec<Tier>,
    /// `--backend` or `BITNET_BACKEND`.
    pub(super) asked: Option<String>,
    pub(super) chosen: Option<String>,
    /// Why it is this one.
    pub(super) why: String,
    /// Why there is none.
    pub(super) refused: Option<String>,
    /// The one that would be chosen if nothing were asked for.
    pub(super) best: String,
}

/// A tier by name.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Tier {
    pub(super) name: String,
    /// What this machine lacks; `None` if it has the tier.
    pub(super) missing: Option<String>,
}

impl Backends {
    pub(super) fn of_this_machine(spec: Option<&str>) -> Self {
        let tiers = Host::TIERS
            .iter()
            .map(|&(name, probe)| Tier { name: name.to_owned(), missing: probe().err().map(str::to_owned) });
        let selection = Host::select(spec);
        let chosen = selection.as_ref().ok();
        Self {
            tiers: tiers.collect(),
            asked: spec.map(str::trim).filter(|spec| !spec.is_empty()).map(str::to_owned),
            chosen: chosen.map(|selection| selection.backend.name().to_owned()),
            why: chosen.map(|selection| selection.why.clone()).unwrap_or_default(),
            refused: selection.as_ref().err().map(ToString::to_string),
            best: Host::best().name().to_owned(),
        }
    }
}

/// What the conformance cases said of a tier.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SelfTest {
    pub(super) tier: String,
    pub(super) passed: bool,
    pub(super) cases: u32,
    pub(super) failures: u32,
    pub(super) seconds: f64,
    /// The first differences.
    pub(super) differences: Vec<String>,
}

/// Differences that are listed of a tier.
const LISTED: usize = 5;

/// Compares every kernel of every tier that this machine has with the definition.
pub(super) fn self_test(full: bool) -> Vec<SelfTest> {
    let effort = if full { Effort::Full } else { Effort::Boot };
    Host::available().into_iter().map(|tier| test(tier, effort)).collect()
}

fn test<K: Kernels + Copy>(tier: K, effort: Effort) -> SelfTest {
    let begun = Instant::now();
    let mut differences = Vec::new();
    let summary = run(tier, effort, &mut |failure| {
        if differences.len() < LISTED {
            differences.push(failure.to_string());
        }
    });
    SelfTest {
        tier: tier.name().to_owned(),
        passed: summary.cases > 0 && summary.failures == 0,
        cases: summary.cases,
        failures: summary.failures,
        seconds: begun.elapsed().as_secs_f64(),
        differences,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitnet_edge_kernels::simd::Scalar16;
    use bitnet_edge_kernels::{Error, Scalar};

    /// A tier that has a name and nothing else: the definition.
    #[derive(Clone, Copy)]
    struct Same;

    impl Kernels for Same {
        type Lanes = Scalar16;

        fn name(&self) -> &'static str {
            "same"
        }
    }

    #[test]
    fn every_tier_is_listed_with_what_it_lacks() {
        let backends = Backends::of_this_machine(None);
        assert_eq!(backends.tiers.last().map(|tier| tier.name.as_str()), Some("scalar"));
        assert_eq!((backends.chosen.as_ref(), backends.asked.as_ref()), (Some(&backends.best), None));
        let forced = Backends::of_this_machine(Some("scalar"));
        assert_eq!((forced.chosen.as_deref(), forced.why.as_str()), (Some("scalar"), "asked for"));
        let unknown = Backends::of_this_machine(Some("mmx"));
        assert!(unknown.chosen.is_none() && unknown.refused.unwrap().contains("`mmx`"));
    }

    /// A tier whose norms are wrong in the last bit.
    #[derive(Clone, Copy)]
    struct Wrong;

    impl Kernels for Wrong {
        type Lanes = Scalar16;

        fn name(&self) -> &'static str {
            "wrong"
        }

        fn rms_norm(&self, x: &[f32], w: &[f32], eps: f32, y: &mut [f32]) -> Result<(), Error> {
            Scalar.rms_norm(x, w, eps, y)?;
            for y in y {
                *y = f32::from_bits(y.to_bits() ^ 1);
            }
            Ok(())
        }
    }

    #[test]
    fn a_tier_that_is_wrong_is_found_and_a_few_of_its_differences_listed() {
        let result = test(Wrong, Effort::Boot);
        assert!(!result.passed && result.failures as usize >= LISTED, "{result:?}");
        assert_eq!(result.differences.len(), LISTED);
    }

    #[test]
    fn the_definition_is_equal_to_itself() {
        let result = test(Same, Effort::Boot);
        assert!(result.passed && result.cases > 100 && result.failures == 0, "{result:?}");
        assert_eq!((result.tier.as_str(), result.differences.len()), ("same", 0));
    }
}
