//! The backends of the architecture that this is compiled for.

use crate::select::{Tier, Tiers};

/// The backend of this machine: any tier of its architecture, or the scalar definition, behind one type.
#[cfg(target_arch = "x86_64")]
pub use bitnet_edge_x86::Host;

/// The backend of this machine: any tier of its architecture, or the scalar definition, behind one type.
#[cfg(target_arch = "aarch64")]
pub use bitnet_edge_arm::Host;

/// The backend of this machine: the scalar definition, for this architecture has no other.
#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
pub use bitnet_edge_kernels::Scalar as Host;

#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
impl Tiers for Host {
    const TIERS: &'static [Tier<Self>] = Self::TIERS;
}

#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
impl Tiers for Host {
    const TIERS: &'static [Tier<Self>] = &[("scalar", || Ok(Self))];
}
