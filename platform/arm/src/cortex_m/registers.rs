//! What the processor's own registers say of it.

/// `ID_ISAR3` (Armv7-M ARM B4.1, Armv8-M ARM D1.2): bits 7 to 4 are 1 with few of the DSP instructions and 3 with all.
const ID_ISAR3: *const u32 = 0xe000_ed6c as *const u32;

/// `MVFR1` (Armv8-M ARM D1.2): bits 11 to 8 are 1 with Helium for integers and 2 for floats as well.
const MVFR1: *const u32 = 0xe000_ef44 as *const u32;

/// Whether the processor has the DSP extension, `SMLAD` among it: Cortex-M4 and M7 do, M33 and later may.
pub(super) fn has_dsp() -> bool {
    // SAFETY: every processor of this architecture has the register, and privileged code, as a firmware is, may read it.
    cfg!(armv7em) || unsafe { ID_ISAR3.read_volatile() } >> 4 & 0xf >= 3
}

/// Whether the processor has Helium. No Armv7-M has.
pub(super) fn has_mve() -> bool {
    // SAFETY: as above.
    cfg!(not(armv7em)) && unsafe { MVFR1.read_volatile() } >> 8 & 0xf >= 1
}
