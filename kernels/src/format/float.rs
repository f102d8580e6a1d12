//! f16 and bf16, converted in software.
//!
//! The same bits on every machine: rounding is half-to-even, subnormals are kept, and no intermediate value
//! is an f32 subnormal, so the result does not depend on a core's flush-to-zero mode either. Hardware
//! conversions (F16C, NEON) give the same bits and may replace these in a backend.

/// Widens an f16, given as its bits, to f32. Exact; a signalling NaN becomes quiet, as hardware does it.
///
/// ```
/// use bitnet_edge_kernels::format::f16_to_f32;
/// assert_eq!(f16_to_f32(0x3c00), 1.0);
/// assert_eq!(f16_to_f32(0x0001), 2.0_f32.powi(-24)); // the smallest subnormal
/// assert_eq!(f16_to_f32(0xfc00), f32::NEG_INFINITY);
/// ```
#[inline]
#[must_use]
pub const fn f16_to_f32(bits: u16) -> f32 {
    /// Where the f16 exponent lands once it is moved to the f32 position.
    const EXPONENT: u32 = 0x7c00 << 13;
    /// 2^-14, the smallest normal f16.
    const MIN_NORMAL: u32 = (127 - 14) << 23;

    let sign = (bits as u32 & 0x8000) << 16;
    let magnitude = (bits as u32 & 0x7fff) << 13;
    let widened = match magnitude & EXPONENT {
        // Subnormal or zero: give it the leading one that it lacks, as a normal f32, and take that off again.
        0 => (f32::from_bits(magnitude + MIN_NORMAL) - f32::from_bits(MIN_NORMAL)).to_bits(),
        // Infinity or NaN.
        EXPONENT => {
            let quiet = if magnitude > EXPONENT { 0x0040_0000 } else { 0 };
            (magnitude + ((255 - 31) << 23)) | quiet
        }
        _ => magnitude + ((127 - 15) << 23),
    };
    f32::from_bits(sign | widened)
}

/// Narrows `value` to the bits of the nearest f16, ties to even. Values past the f16 range become infinite,
/// values below it subnormal or zero; a NaN stays a NaN, quiet, with the upper bits of its payload.
///
/// ```
/// use bitnet_edge_kernels::format::f32_to_f16;
/// assert_eq!(f32_to_f16(-2.0), 0xc000);
/// assert_eq!(f32_to_f16(65519.0), 0x7bff); // 65504, the largest finite f16
/// assert_eq!(f32_to_f16(65520.0), 0x7c00);
/// assert_eq!(f32_to_f16(2.0_f32.powi(-25)), 0); // a tie between zero and the smallest subnormal
/// ```
#[inline]
#[must_use]
pub const fn f32_to_f16(value: f32) -> u16 {
    const INFINITY: u32 = 255 << 23;
    /// 2^16: from here on everything is an infinity or a NaN.
    const OVERFLOW: u32 = (127 + 16) << 23;
    /// 2^-14, the smallest normal f16.
    const MIN_NORMAL: u32 = (127 - 14) << 23;
    /// 0.5, whose unit in the last place as an f32 is 2^-24, the smallest f16 subnormal.
    const ALIGNER: u32 = (127 - 1) << 23;

    let sign = (value.to_bits() >> 16) as u16 & 0x8000;
    let magnitude = value.to_bits() & 0x7fff_ffff;
    let narrowed = if magnitude >= OVERFLOW {
        if magnitude > INFINITY { 0x7e00 | (magnitude >> 13) & 0x01ff } else { 0x7c00 }
    } else if magnitude < MIN_NORMAL {
        // The addition shifts the significand into place and rounds it half-to-even on the way.
        (f32::from_bits(magnitude) + f32::from_bits(ALIGNER)).to_bits() - ALIGNER
    } else {
        let odd = (magnitude >> 13) & 1;
        // A carry out of the significand increments the exponent, which is what rounding up needs, into
        // infinity too.
        (magnitude - ((127 - 15) << 23) + 0x0fff + odd) >> 13
    };
    sign | narrowed as u16
}

/// Widens a bf16, given as its bits, to f32. Exact, also for NaNs: a bf16 is the upper half of an f32.
///
/// ```
/// use bitnet_edge_kernels::format::bf16_to_f32;
/// assert_eq!(bf16_to_f32(0xbf80), -1.0);
/// ```
#[inline]
#[must_use]
pub const fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits((bits as u32) << 16)
}

/// Narrows `value` to the bits of the nearest bf16, ties to even; a NaN stays a NaN, quiet, with the upper
/// bits of its payload.
///
/// ```
/// use bitnet_edge_kernels::format::f32_to_bf16;
/// assert_eq!(f32_to_bf16(1.0), 0x3f80);
/// assert_eq!(f32_to_bf16(f32::MAX), 0x7f80); // rounds up to infinity
/// ```
#[inline]
#[must_use]
pub const fn f32_to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x0040;
    }
    let odd = (bits >> 16) & 1;
    // Cannot overflow: the largest value that is not a NaN is 0xff80_0000.
    ((bits + 0x7fff + odd) >> 16) as u16
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn every_f16_widens_as_half_does() {
        for bits in 0..=u16::MAX {
            let ours = f16_to_f32(bits).to_bits();
            assert_eq!(ours, half::f16::from_bits(bits).to_f32_const().to_bits(), "f16 {bits:#06x}");
        }
    }

    #[test]
    fn every_bf16_widens_as_half_does() {
        for bits in 0..=u16::MAX {
            let theirs = half::bf16::from_bits(bits).to_f32_const();
            // `half` makes a NaN quiet here, ggml does not; the rest must agree.
            let quiet = if theirs.is_nan() { 0x0040_0000 } else { 0 };
            assert_eq!(bf16_to_f32(bits).to_bits() | quiet, theirs.to_bits(), "bf16 {bits:#06x}");
        }
    }

    /// Every f32 there is, split over two threads.
    #[test]
    fn every_f32_narrows_as_half_does() {
        let check = |patterns: core::ops::RangeInclusive<u32>| {
            for bits in patterns {
                let value = f32::from_bits(bits);
                assert_eq!(
                    f32_to_f16(value),
                    half::f16::from_f32_const(value).to_bits(),
                    "f32 {bits:#010x} to f16"
                );
                assert_eq!(
                    f32_to_bf16(value),
                    half::bf16::from_f32_const(value).to_bits(),
                    "f32 {bits:#010x} to bf16"
                );
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| check(0..=0x7fff_ffff));
            check(0x8000_0000..=u32::MAX);
        });
    }
}
