//! All tiers behind one type.

use bitnet_edge_kernels::Scalar;

#[cfg(target_arch = "x86_64")]
use crate::{Amx, Avx2, Avx512Vnni, AvxVnni, Sse41};
use bitnet_edge_simd::names::*;

/// A tier of this machine, or the scalar definition.
///
/// A value is proof that the machine has what its tier needs. Every method is one jump to the tier's.
///
/// ```
/// use bitnet_edge_kernels::Kernels;
/// use bitnet_edge_x86::Host;
/// for backend in Host::TIERS.iter().filter_map(|(_, probe)| probe().ok()) {
///     println!("{}", backend.name()); // the one to prefer comes first
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Host {
    /// The definition: every machine has it.
    Scalar(Scalar),
    /// `sse4.1`
    #[cfg(target_arch = "x86_64")]
    Sse41(Sse41),
    /// `avx2`
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// `avx-vnni`
    #[cfg(target_arch = "x86_64")]
    AvxVnni(AvxVnni),
    /// `avx512-vnni`
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(Avx512Vnni),
    /// `amx`
    #[cfg(target_arch = "x86_64")]
    Amx(Amx),
}

/// Evaluates an expression with the tier's token bound to `$k`.
macro_rules! dispatch {
    ($host:expr, $k:ident => $call:expr) => {
        match $host {
            Host::Scalar($k) => $call,
            #[cfg(target_arch = "x86_64")]
            Host::Sse41($k) => $call,
            #[cfg(target_arch = "x86_64")]
            Host::Avx2($k) => $call,
            #[cfg(target_arch = "x86_64")]
            Host::AvxVnni($k) => $call,
            #[cfg(target_arch = "x86_64")]
            Host::Avx512Vnni($k) => $call,
            #[cfg(target_arch = "x86_64")]
            Host::Amx($k) => $call,
        }
    };
}

/// A tier by name: its token, or what this machine lacks.
type Tier = (&'static str, fn() -> Result<Host, &'static str>);

impl Host {
    /// Every tier, the one to prefer first; the last is the scalar definition.
    #[cfg(target_arch = "x86_64")]
    pub const TIERS: &'static [Tier] = &[
        ("amx", || Amx::probe().map(Self::Amx)),
        ("avx512-vnni", || Avx512Vnni::probe().map(Self::Avx512Vnni)),
        ("avx-vnni", || AvxVnni::probe().map(Self::AvxVnni)),
        ("avx2", || Avx2::probe().map(Self::Avx2)),
        ("sse4.1", || Sse41::probe().map(Self::Sse41)),
        ("scalar", || Ok(Self::Scalar(Scalar))),
    ];

    /// Every tier: on other architectures the scalar definition alone.
    #[cfg(not(target_arch = "x86_64"))]
    pub const TIERS: &'static [Tier] = &[("scalar", || Ok(Self::Scalar(Scalar)))];
}

impl Kernels for Host {
    type Lanes = Scalar16;

    bitnet_edge_simd::forward! { dispatch: fn name() -> &'static str; }
    bitnet_edge_simd::forward_t2r4!(dispatch);
    bitnet_edge_simd::forward_others!(dispatch);
}
