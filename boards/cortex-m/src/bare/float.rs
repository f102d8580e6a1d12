//! The floating-point mode that every result here assumes: round to nearest even, subnormals kept.

use core::fmt;

use cortex_m::peripheral::FPU;
use cortex_m::register::fpscr;

/// AHP, DN, FZ, `RMode` and FZ16. The other bits are flags, and on ARMv8.1-M the size of a vector's tail.
const MODE: u32 = 0x07c8_0000;

/// A register with another mode.
#[derive(Clone, Copy, Debug)]
pub(super) struct WrongMode {
    register: &'static str,
    bits: u32,
}

impl fmt::Display for WrongMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { register, bits } = self;
        write!(f, "{register} is {bits:#010x}: floats must round to nearest even and keep subnormals")
    }
}

/// Looks at the mode of this code, and at the one that handlers of exceptions start with.
pub(super) fn check() -> Result<(), WrongMode> {
    // SAFETY: reads a register that reading does not change.
    let handlers = unsafe { (*FPU::PTR).fpdscr.read() };
    for (register, bits) in [("FPSCR", fpscr::read().bits()), ("FPDSCR", handlers)] {
        if bits & MODE != 0 {
            return Err(WrongMode { register, bits });
        }
    }
    Ok(())
}
