//! Which kernels a board chooses from.

use bitnet_edge_kernels::Kernels;

/// The best kernels of this processor, then the scalar definition, which the self-test falls back to.
#[cfg(not(feature = "planted-fault"))]
#[must_use]
pub fn backends() -> [impl Kernels; 2] {
    use bitnet_edge_arm::Host;
    [Host::best(), Host::Scalar(bitnet_edge_kernels::Scalar)]
}

/// Wrong kernels, then the scalar definition, which the self-test falls back to.
#[cfg(feature = "planted-fault")]
#[must_use]
pub fn backends() -> [impl Kernels; 2] {
    [planted::Planted::Fault, planted::Planted::Scalar]
}

/// Kernels with a wrong product, which the self-test must see.
#[cfg(feature = "planted-fault")]
mod planted {
    use bitnet_edge_kernels::simd::Scalar16;
    use bitnet_edge_kernels::tile::{Int8Acts, Results, TernaryScale};
    use bitnet_edge_kernels::{Error, KernelSet, Kernels, Scalar};

    #[derive(Clone, Copy)]
    pub(super) enum Planted {
        Fault,
        Scalar,
    }

    impl Kernels for Planted {
        type Lanes = Scalar16;

        fn name(&self) -> &'static str {
            match self {
                Self::Fault => "planted-fault",
                Self::Scalar => Scalar.name(),
            }
        }

        fn own(&self) -> KernelSet {
            Scalar.own()
        }

        fn matmul_t2r4_i8t<R: Results>(
            &self,
            w: &[u8],
            tokens: usize,
            acts: &Int8Acts<'_>,
            scale: TernaryScale<'_>,
            out: &mut R,
        ) -> Result<(), Error> {
            let scale = match (self, scale) {
                // One bit of the scale.
                (Self::Fault, TernaryScale::Tensor(s)) => {
                    TernaryScale::Tensor(f32::from_bits(s.to_bits() ^ 1))
                }
                (_, scale) => scale,
            };
            Scalar.matmul_t2r4_i8t(w, tokens, acts, scale, out)
        }
    }
}
