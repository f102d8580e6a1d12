//! One table of cases that every backend runs against the definition, for exact equality.
//!
//! [`run`] calls each method of a [`Kernels`] implementation, and each method of its [`Lanes`](Kernels::Lanes), with
//! generated operands and compares the outputs with those of [`Scalar`], bit for bit. NaNs count as equal whatever their
//! payload: nothing that the runtime keeps depends on it. There is no tolerance anywhere.
//!
//! The operands are chosen to bring out what backends get wrong: [`Pattern`] lists them. Sizes cross every boundary that a
//! layout or a vector has. Calls with operands that do not fit, which must give an error, are among the cases.
//!
//! [`Effort::Boot`] runs the cases whose operands are small, for a board that wants to know whether its kernels are right
//! before it uses them. It needs 10 KiB of stack.
//! [`Effort::Full`] runs all cases and needs 96 KiB. Unoptimized builds need more.
//!
//! ```
//! use bitnet_edge_kernels::{Scalar, conformance::{self, Effort}};
//! let summary = conformance::run(Scalar, Effort::Boot, &mut |failure| eprintln!("{failure}"));
//! assert!(summary.passed());
//! ```

mod attention;
mod check;
mod floats;
mod lanes;
mod linear;
mod operands;
mod quantizers;
#[cfg(test)]
mod wrong;

pub use check::{Difference, Failure, Summary};
pub use linear::straddles;
pub use operands::Pattern;

use crate::Kernels;
#[cfg(doc)]
use crate::Scalar;
use crate::simd::F32x16;
use check::Check;

/// How much is run.
///
/// ```
/// use bitnet_edge_kernels::{Scalar, conformance::{Effort, run}};
/// let [boot, full] = [Effort::Boot, Effort::Full].map(|effort| run(Scalar, effort, &mut |_| ()));
/// assert!(boot.cases < full.cases);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Small cases: 10 KiB of stack.
    Boot,
    /// All cases: 96 KiB of stack.
    Full,
}

/// Compares every kernel of `kernels`, and its lanes, with the definition. `report` is called for each difference.
///
/// ```
/// use bitnet_edge_kernels::{Scalar, conformance::{Effort, run}};
/// let summary = run(Scalar, Effort::Full, &mut |failure| eprintln!("{failure}"));
/// assert_eq!((summary.failures, summary.skipped), (0, 0));
/// assert!(summary.cases > 3000);
/// ```
pub fn run<K: Kernels>(kernels: K, effort: Effort, report: &mut dyn FnMut(&Failure)) -> Summary {
    run_between(kernels, effort, report, &mut || {})
}

/// As [`run`], with a call of `between` before each case, where firmware feeds its watchdog.
///
/// ```
/// use bitnet_edge_kernels::{Scalar, conformance::{Effort, run_between}};
/// let mut fed = 0; // how often the watchdog was
/// let summary = run_between(Scalar, Effort::Boot, &mut |_| (), &mut || fed += 1);
/// assert_eq!(fed, summary.cases + summary.skipped);
/// ```
pub fn run_between<K: Kernels>(
    kernels: K,
    effort: Effort,
    report: &mut dyn FnMut(&Failure),
    between: &mut dyn FnMut(),
) -> Summary {
    let mut check = Check::new(effort, report, between);
    lanes::check::<K::Lanes>(&mut check);
    // Each call has its operands in its own frame, so that the stack holds those of one at a time.
    match effort {
        Effort::Boot => {
            quantizers::check::<K, 300>(kernels, &mut check);
            linear::check::<K, 1856, 1152, 128, 64, 116, 448>(kernels, &mut check);
            floats::check::<K, 160>(kernels, &mut check);
            attention::check::<K, f32, 544, 256, 288>(kernels, &mut check);
            attention::check::<K, u16, 544, 256, 288>(kernels, &mut check);
            attention::check_store::<K, f32>(kernels, &mut check);
            attention::check_store::<K, u16>(kernels, &mut check);
            attention::check_i8::<K, 1056>(kernels, &mut check);
            attention::check_combine::<K, 256>(kernels, &mut check);
        }
        Effort::Full => {
            quantizers::check::<K, 640>(kernels, &mut check);
            linear::check::<K, 24_576, 12_288, 1536, 160, 1028, 2496>(kernels, &mut check);
            floats::check::<K, 640>(kernels, &mut check);
            attention::check::<K, f32, 16_512, 1100, 1100>(kernels, &mut check);
            attention::check::<K, u16, 16_512, 1100, 1100>(kernels, &mut check);
            attention::check_store::<K, f32>(kernels, &mut check);
            attention::check_store::<K, u16>(kernels, &mut check);
            attention::check_i8::<K, 16_512>(kernels, &mut check);
            attention::check_combine::<K, 2432>(kernels, &mut check);
        }
    }
    check.summary()
}

/// Compares the lanes alone with [`Scalar16`](crate::simd::Scalar16).
///
/// ```
/// use bitnet_edge_kernels::{conformance::{Effort, run_lanes}, simd::Scalar16};
/// assert!(run_lanes::<Scalar16>(Effort::Boot, &mut |_| ()).passed());
/// ```
pub fn run_lanes<V: F32x16>(effort: Effort, report: &mut dyn FnMut(&Failure)) -> Summary {
    let between = &mut || {};
    let mut check = Check::new(effort, report, between);
    lanes::check::<V>(&mut check);
    check.summary()
}

/// The first `len` elements, or `None` if the memory of the effort is too small for the case.
fn first<T>(memory: &mut [T], len: usize) -> Option<&mut [T]> {
    memory.get_mut(..len)
}
