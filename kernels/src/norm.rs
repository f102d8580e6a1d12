//! `RMSNorm`.

use crate::Error;
use crate::math::sqrt;
use crate::simd::{F32x16, LANES, dot};

/// `1 / sqrt(mean(x * x) + eps)`, the sum in sixteen stripes.
///
/// # Errors
/// [`Error::NonFinite`] if the sum of squares is not finite.
///
/// ```
/// use bitnet_edge_kernels::{norm, simd::Scalar16};
/// assert_eq!(norm::rms_scale::<Scalar16>(&[0.5; 8], 0.0), Ok(2.0));
/// ```
#[cfg_attr(feature = "full", inline(always))]
#[cfg_attr(not(feature = "full"), inline(never))]
pub fn rms_scale<V: F32x16>(x: &[f32], eps: f32) -> Result<f32, Error> {
    let mean = dot::<V>(x, x) / x.len() as f32;
    let scale = 1.0 / sqrt(mean + eps);
    if scale.is_finite() && mean.is_finite() { Ok(scale) } else { Err(Error::NonFinite) }
}

/// `y = (x * scale) * w` with `scale` from [`rms_scale`]; `x`, `w` and `y` have one length.
///
/// # Errors
/// [`Error::NonFinite`] as [`rms_scale`], [`Error::Operand`] if the lengths differ.
///
/// ```
/// use bitnet_edge_kernels::{norm, simd::Scalar16};
/// let mut y = [0.0; 2];
/// norm::rms_norm::<Scalar16>(&[3.0, -3.0], &[1.0, 2.0], 0.0, &mut y)?;
/// assert!((y[0] - 1.0).abs() < 1e-6 && (y[1] + 2.0).abs() < 1e-6);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
#[inline(always)]
pub fn rms_norm<V: F32x16>(x: &[f32], w: &[f32], eps: f32, y: &mut [f32]) -> Result<(), Error> {
    if x.len() != w.len() || x.len() != y.len() {
        return Err(Error::Operand("x, w and y of a norm differ in length"));
    }
    if !cfg!(feature = "full") {
        // Small firmware has room for one of the two.
        y.copy_from_slice(x);
        return rms_norm_in_place::<V>(y, w, eps);
    }
    let scale = V::splat(rms_scale::<V>(x, eps)?);
    let (x16, x_tail) = x.as_chunks::<LANES>();
    let (w16, w_tail) = w.as_chunks::<LANES>();
    let (y16, y_tail) = y.as_chunks_mut::<LANES>();
    for ((x, w), y) in x16.iter().zip(w16).zip(y16) {
        V::load(x).mul(scale).mul(V::load(w)).store(y);
    }
    V::load_part(x_tail).mul(scale).mul(V::load_part(w_tail)).store_part(y_tail);
    Ok(())
}

/// [`rms_norm`] that overwrites its input; the same bits.
///
/// # Errors
/// As [`rms_norm`].
///
/// ```
/// use bitnet_edge_kernels::{norm, simd::Scalar16};
/// let mut x = [4.0; 16];
/// norm::rms_norm_in_place::<Scalar16>(&mut x, &[1.0; 16], 0.0)?;
/// assert_eq!(x, [1.0; 16]);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
#[cfg_attr(feature = "full", inline(always))]
#[cfg_attr(not(feature = "full"), inline(never))]
pub fn rms_norm_in_place<V: F32x16>(x: &mut [f32], w: &[f32], eps: f32) -> Result<(), Error> {
    if x.len() != w.len() {
        return Err(Error::Operand("x and w of a norm differ in length"));
    }
    let scale = V::splat(rms_scale::<V>(x, eps)?);
    let (x16, x_tail) = x.as_chunks_mut::<LANES>();
    let (w16, w_tail) = w.as_chunks::<LANES>();
    for (x, w) in x16.iter_mut().zip(w16) {
        V::load(x).mul(scale).mul(V::load(w)).store(x);
    }
    V::load_part(x_tail).mul(scale).mul(V::load_part(w_tail)).store_part(x_tail);
    Ok(())
}
