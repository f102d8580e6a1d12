//! AMX: products of whole int8 tiles, beside AVX-512. Intel servers since 2023.

use super::avx512_vnni::Avx512Vnni;
use crate::amx::Hardware;
use bitnet_edge_simd::names::*;

/// AMX: products of whole int8 tiles, for prefill. Intel servers since 2023.
///
/// Its ternary products take tiles from eight tokens on. Everything else, and fewer tokens, is what
/// [`Avx512Vnni`] does, which is part of this tier: tiles would gain nothing there. A product takes 88 KiB of stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amx(Avx512Vnni);

impl Amx {
    /// The token, if this machine has what the tier needs.
    #[must_use]
    pub fn new() -> Option<Self> {
        Self::probe().ok()
    }

    /// Whether this machine has what the tier needs.
    ///
    /// Linux gives the tile state to a process that asks for it, and this asks. A refusal is `false`, and so is a product
    /// with tiles, tried once a process, that does not have the bits of the definition.
    #[must_use]
    pub fn is_available() -> bool {
        Self::probe().is_ok()
    }

    /// The token, or what is missing.
    pub(crate) fn probe() -> Result<Self, &'static str> {
        let avx512 = Avx512Vnni::probe()?;
        crate::amx::missing().map_or(Ok(Self(avx512)), Err)
    }

    fn instructions() -> Hardware {
        // SAFETY: a token exists, so that nothing is missing.
        unsafe { Hardware::new() }
    }
}

/// The methods of a tier with tiles, whose field is the token of AVX-512 VNNI and whose `instructions` are of the tiles.
macro_rules! methods {
    ($name:literal) => {
        // Those that may be used without a token; the methods use the tier's own.
        type Lanes = Scalar16;

        fn name(&self) -> &'static str {
            $name
        }

        #[inline]
        fn matmul_t2r4_i8t<R: Results>(
            &self,
            w: &[u8],
            tokens: usize,
            acts: &Int8Acts<'_>,
            scale: TernaryScale<'_>,
            out: &mut R,
        ) -> Result<(), Error> {
            if tokens >= $crate::amx::FEWEST_TOKENS {
                let tiles = Self::instructions();
                // SAFETY: a token of the tier is proof of AVX-512 and of the instructions.
                let done = unsafe { $crate::amx::matmul_t2r4_i8t(tiles, w, tokens, acts, scale, out) };
                if let Some(done) = done {
                    return done;
                }
            }
            self.0.matmul_t2r4_i8t(w, tokens, acts, scale, out)
        }

        bitnet_edge_simd::forward_others!(avx512);
    };
}

/// Evaluates an expression with the token of AVX-512 VNNI bound to `$k`.
macro_rules! avx512 {
    ($tier:expr, $k:ident => $call:expr) => {{
        let $k = $tier.0;
        $call
    }};
}

impl Kernels for Amx {
    methods!("amx");
}

#[cfg(test)]
pub(crate) use modelled::Modelled;

/// The tier with a model of the tile registers in place of the instructions: everything but those is tested on any
/// machine with AVX-512.
#[cfg(test)]
mod modelled {
    use super::*;
    use crate::amx::Software;

    #[derive(Clone, Copy)]
    pub(crate) struct Modelled(Avx512Vnni);

    impl Modelled {
        pub(crate) fn new() -> Option<Self> {
            Avx512Vnni::new().map(Self)
        }

        fn instructions() -> Software {
            Software::new()
        }
    }

    impl Kernels for Modelled {
        methods!("amx, modelled");
    }
}
