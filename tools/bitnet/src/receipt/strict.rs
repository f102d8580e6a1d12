//! `--strict`: nothing runs that is a fallback, or that was not proved right on this machine.

use anyhow::{Result, bail};
use bitnet_edge_core::receipt::{SelfTest, expected_work};
use bitnet_edge_core::{KvType, MemoryPlan, Model};
use bitnet_edge_kernels::conformance::{self, Effort};
use bitnet_edge_kernels::{Kernel, KernelSet, Kernels};
use bitnet_pack::report::Failure;

/// Exit code of a run that is refused by `--strict`.
pub(crate) const REFUSED: u8 = 9;

/// Compares the kernels with their definition, and the kernels that a model needs with those that the backend has.
pub(crate) fn check<K: Kernels>(kernels: K, model: &Model<'_>, plan: &MemoryPlan) -> Result<SelfTest> {
    let options = plan.options();
    let missing = fallbacks(model, options.context, options.kv, kernels.own())?;
    let refused = |error: anyhow::Error| Failure::error(REFUSED, error.context("--strict"));
    if !missing.is_empty() {
        let (name, missing) = (kernels.name(), missing.join(", "));
        return Err(refused(anyhow::anyhow!("the backend {name} has no kernels of its own for {missing}")));
    }
    prove(kernels).map_err(refused)
}

/// The kernels that a model needs, of those that a backend has not of its own.
fn fallbacks(model: &Model<'_>, context: u32, kv: KvType, own: KernelSet) -> Result<Vec<&'static str>> {
    let work = expected_work(model, context, kv, 1, 1)?;
    let needed = Kernel::ALL.into_iter().zip(work).filter(|(_, work)| *work > 0);
    Ok(needed.filter(|(kernel, _)| !own.has(*kernel)).map(|(kernel, _)| kernel.name()).collect())
}

fn prove<K: Kernels>(kernels: K) -> Result<SelfTest> {
    let mut first = None;
    let summary = conformance::run(kernels, Effort::Boot, &mut |failure| {
        first.get_or_insert_with(|| failure.to_string());
    });
    if let Some(first) = first {
        let (name, wrong, cases) = (kernels.name(), summary.failures, summary.cases);
        bail!(
            "the backend {name} is not proved: it is wrong in {wrong} of {cases} cases, the first is {first}"
        );
    }
    Ok(SelfTest { cases: summary.cases, failures: summary.failures })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitnet_edge_core::PlanOptions;
    use bitnet_edge_kernels::Scalar;
    use bitnet_edge_kernels::gate::Activation;
    use bitnet_edge_kernels::simd::Scalar16;

    static IMAGE: &[u8] = bitnet_edge_core::include_image!("../../../../core/testdata/tiny.bpk");

    /// A tier that lacks a kernel, or has a wrong one.
    #[derive(Clone, Copy)]
    struct Tier(KernelSet);

    impl Kernels for Tier {
        type Lanes = Scalar16;

        fn name(&self) -> &'static str {
            "some"
        }

        fn own(&self) -> KernelSet {
            self.0
        }

        fn gate(&self, act: Activation, g: &mut [f32], u: &[f32]) -> Result<(), bitnet_edge_kernels::Error> {
            Scalar.gate(act, g, u)?;
            g.iter_mut().for_each(|g| *g = f32::from_bits(g.to_bits() ^ 1));
            Ok(())
        }
    }

    #[test]
    fn what_is_not_there_or_not_right_is_refused() {
        let model = Model::new_checked(IMAGE).unwrap();
        let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config())).unwrap();
        let refused = |own| check(Tier(own), &model, &plan).unwrap_err();
        let none = format!("{:#}", refused(KernelSet::NONE));
        assert!(
            none.contains("has no kernels of its own for quantize_token, ") && none.contains("rope"),
            "{none}"
        );
        assert!(!none.contains("q4k4"), "the model does not need it: {none}");
        let wrong = format!("{:#}", refused(KernelSet::ALL));
        assert!(wrong.contains("is not proved: it is wrong in") && wrong.contains("gate"), "{wrong}");
        assert!(check(Scalar, &model, &plan).is_ok_and(|test| test.cases > 100 && test.failures == 0));
    }
}
