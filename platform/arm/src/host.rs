//! All tiers behind one type.

use bitnet_edge_kernels::Scalar;
use bitnet_edge_simd::names::*;

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
use crate::{Dotprod, I8mm, Neon};

/// A tier of this machine, or the scalar definition.
///
/// A value is proof that the machine has what its tier needs. Every method is one jump to the tier's.
///
/// ```
/// use bitnet_edge_arm::Host;
/// use bitnet_edge_kernels::Kernels;
/// for backend in Host::TIERS.iter().filter_map(|(_, tier)| tier().ok()) {
///     println!("{}", backend.name()); // the one to prefer comes first
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Host {
    /// The definition: every machine has it.
    Scalar(Scalar),
    /// `neon`
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    Neon(Neon),
    /// `dotprod`
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    Dotprod(Dotprod),
    /// `i8mm`
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    I8mm(I8mm),
}

/// Evaluates an expression with the tier's token bound to `$k`.
macro_rules! dispatch {
    ($host:expr, $k:ident => $call:expr) => {
        match $host {
            Host::Scalar($k) => $call,
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Host::Neon($k) => $call,
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Host::Dotprod($k) => $call,
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Host::I8mm($k) => $call,
        }
    };
}

/// A tier by name: its token, or what this machine lacks.
type Tier = (&'static str, fn() -> Result<Host, &'static str>);

impl Host {
    /// Every tier, the one to prefer first; the last is the scalar definition.
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    pub const TIERS: &'static [Tier] = &[
        ("i8mm", || I8mm::probe().map(Self::I8mm)),
        ("dotprod", || Dotprod::probe().map(Self::Dotprod)),
        ("neon", || Neon::probe().map(Self::Neon)),
        ("scalar", || Ok(Self::Scalar(Scalar))),
    ];

    /// Every tier: on other architectures the scalar definition alone.
    #[cfg(not(all(target_arch = "aarch64", target_feature = "neon")))]
    pub const TIERS: &'static [Tier] = &[("scalar", || Ok(Self::Scalar(Scalar)))];

    /// The best tier of this machine. Without the feature `std` the answer is known at compile time.
    ///
    /// ```
    /// use bitnet_edge_arm::Host;
    /// use bitnet_edge_kernels::Kernels;
    /// assert!(Host::TIERS.iter().any(|(name, _)| *name == Host::best().name()));
    /// ```
    #[inline]
    #[must_use]
    pub fn best() -> Self {
        Self::TIERS.iter().find_map(|(_, tier)| tier().ok()).unwrap_or(Self::Scalar(Scalar))
    }
}

impl Kernels for Host {
    type Lanes = Scalar16;

    bitnet_edge_simd::forward! { dispatch: fn name() -> &'static str; }
    bitnet_edge_simd::forward_t2r4!(dispatch);
    bitnet_edge_simd::forward_others!(dispatch);
}
