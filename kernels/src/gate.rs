//! Gated activations of the feed-forward layer.

use crate::Error;
use crate::math::exp;
use crate::simd::{F32x16, LANES};

/// The activation of the gate.
///
/// ```
/// use bitnet_edge_kernels::{gate::{Activation, gate}, simd::Scalar16};
/// let mut values = [-2.0, 3.0];
/// gate::<Scalar16>(Activation::Relu2, &mut values, &[1.0, 1.0])?;
/// assert_eq!(values, [0.0, 9.0]);
/// gate::<Scalar16>(Activation::Silu, &mut values, &[1.0, 1.0])?;
/// assert!(values[1] > 8.99 && values[1] < 9.0);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activation {
    /// `g / (1 + exp(-g))`, as in Llama.
    Silu,
    /// `relu(g)^2`, as in `BitNet` b1.58 2B4T.
    Relu2,
}

/// `g = act(g) * u`, element by element.
///
/// # Errors
/// [`Error::Operand`] if the lengths differ.
///
/// ```
/// use bitnet_edge_kernels::{gate::{self, Activation}, simd::Scalar16};
/// let mut g = [3.0, -1.0];
/// gate::gate::<Scalar16>(Activation::Relu2, &mut g, &[2.0, 5.0])?;
/// assert_eq!(g, [18.0, 0.0]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
#[inline(always)]
pub fn gate<V: F32x16>(act: Activation, g: &mut [f32], u: &[f32]) -> Result<(), Error> {
    if g.len() != u.len() {
        return Err(Error::Operand("gate and up differ in length"));
    }
    let (u16, u_tail) = u.as_chunks::<LANES>();
    let (g16, g_tail) = g.as_chunks_mut::<LANES>();
    for (g, u) in g16.iter_mut().zip(u16) {
        activate(act, V::load(g)).mul(V::load(u)).store(g);
    }
    activate(act, V::load_part(g_tail)).mul(V::load_part(u_tail)).store_part(g_tail);
    Ok(())
}

#[inline(always)]
fn activate<V: F32x16>(act: Activation, g: V) -> V {
    match act {
        Activation::Silu => g.div(V::splat(1.0).add(exp(V::splat(0.0).sub(g)))),
        Activation::Relu2 => {
            let r = g.relu();
            r.mul(r)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Scalar16;

    #[test]
    fn a_nan_is_never_lost() {
        for act in [Activation::Silu, Activation::Relu2] {
            for nan in [f32::NAN, -f32::NAN] {
                let mut g = [1.0, nan, 2.0];
                gate::<Scalar16>(act, &mut g, &[1.0; 3]).unwrap();
                assert!(g[1].is_nan() && g[0].is_finite() && g[2].is_finite(), "{act:?}");
            }
        }
    }
}
