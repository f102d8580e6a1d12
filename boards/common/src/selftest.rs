//! The kernels against their definition, before the first token.

use core::fmt::Write;

use bitnet_edge_kernels::Kernels;
use bitnet_edge_kernels::conformance::{self, Effort, Failure, Summary};

use crate::Error;

/// The first of `kernels` that computes what the definition says, bit for bit, in a few cases of every kernel. What is
/// passed over is said, with the kernel's name. The last one should be the definition itself.
///
/// # Errors
/// [`Error::SelfTest`] if none does.
///
/// ```
/// use bitnet_edge_kernels::{Kernels, Scalar};
/// let mut said = String::new();
/// let chosen = bitnet_edge_board::choose(&[Scalar], &mut said)?;
/// assert_eq!(chosen.name(), "scalar");
/// assert!(said.starts_with("self-test: backend scalar is the definition, bit for bit, in "));
/// # Ok::<(), bitnet_edge_board::Error>(())
/// ```
pub fn choose<K: Kernels>(kernels: &[K], out: &mut dyn Write) -> Result<K, Error> {
    for (at, &candidate) in kernels.iter().enumerate() {
        let (summary, wrong) = compare(candidate);
        let name = candidate.name();
        if summary.passed() {
            let cases = summary.cases;
            // Nothing can be done about a console that takes no text.
            let _ =
                writeln!(out, "self-test: backend {name} is the definition, bit for bit, in {cases} cases");
            return Ok(candidate);
        }
        let _ =
            writeln!(out, "\n*** SELF-TEST FAILED: backend {name} is wrong in {} cases", summary.failures);
        if let Some(failure) = wrong {
            let _ = writeln!(out, "*** kernel {failure}");
        }
        if let Some(next) = kernels.get(at.saturating_add(1)) {
            let next = next.name();
            let _ = writeln!(out, "*** falling back to backend {next}: right, and slower\n");
        }
    }
    Err(Error::SelfTest)
}

/// Compares kernels with their definition: the counts, and the first case that is wrong.
pub(crate) fn compare<K: Kernels>(kernels: K) -> (Summary, Option<Failure>) {
    let mut wrong = None;
    let summary = conformance::run(kernels, Effort::Boot, &mut |failure| {
        wrong.get_or_insert(*failure);
    });
    (summary, wrong)
}
