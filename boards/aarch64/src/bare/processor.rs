//! Registers and instructions.

use core::arch::asm;
use core::fmt;

/// Microseconds of the virtual counter.
#[must_use]
pub fn now_us() -> u64 {
    let (ticks, hertz) = (counter(), frequency().max(1));
    (ticks / hertz) * 1_000_000 + (ticks % hertz) * 1_000_000 / hertz
}

/// Ticks of the virtual counter, behind every instruction before it.
#[must_use]
pub fn counter() -> u64 {
    let ticks;
    // SAFETY: reads a counter.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack)) };
    ticks
}

/// Ticks of the counter in a second.
#[must_use]
pub fn frequency() -> u64 {
    let hertz;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) hertz, options(nomem, nostack)) };
    hertz
}

/// The core's affinity: `MPIDR_EL1` without its flags.
#[must_use]
pub fn affinity() -> u64 {
    let mpidr: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, mpidr_el1", out(reg) mpidr, options(nomem, nostack)) };
    mpidr & 0xff_00ff_ffff
}

/// The name of this core.
#[derive(Clone, Copy, Debug)]
pub struct Name(u64);

impl Name {
    /// That of the calling core.
    #[must_use]
    pub fn here() -> Self {
        let midr;
        // SAFETY: reads a register.
        unsafe { asm!("mrs {}, midr_el1", out(reg) midr, options(nomem, nostack)) };
        Self(midr)
    }
}

impl Name {
    /// Who designed it, and which of their processors it is (`MIDR_EL1`).
    #[must_use]
    pub const fn implementer_and_part(self) -> (u32, u32) {
        ((self.0 >> 24 & 0xff) as u32, (self.0 >> 4 & 0xfff) as u32)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (implementer, part) = self.implementer_and_part();
        let name = match (implementer, part) {
            (0x41, 0xd03) => "Cortex-A53",
            (0x41, 0xd04) => "Cortex-A35",
            (0x41, 0xd05) => "Cortex-A55",
            (0x41, 0xd07) => "Cortex-A57",
            (0x41, 0xd08) => "Cortex-A72",
            (0x41, 0xd09) => "Cortex-A73",
            (0x41, 0xd0b) => "Cortex-A76",
            (0x41, 0xd0c) => "Neoverse N1",
            (0x41, 0xd40) => "Neoverse V1",
            (0x41, 0xd42) => "Cortex-A78AE",
            (0x41, 0xd49) => "Neoverse N2",
            (0x00, 0x051) => "QEMU max",
            _ => return write!(f, "a processor of implementer {implementer:#x}, part {part:#x}"),
        };
        f.write_str(name)
    }
}

/// Writes what this core's caches have of these bytes to memory, and drops it: for a reader that sees no cache, or behind a
/// writer that goes past them. The bytes should fill whole lines of 64, for what shares a line with them is dropped as well.
pub fn clean_and_drop<T: ?Sized>(bytes: &T) {
    let start = (&raw const *bytes).cast::<u8>() as usize;
    let end = start + size_of_val(bytes);
    // SAFETY: orders memory accesses.
    unsafe { asm!("dsb sy", options(nostack)) };
    for line in (start & !63..end).step_by(64) {
        // SAFETY: The line is of memory that the reference keeps mapped; cleaning changes no value.
        unsafe { asm!("dc civac, {}", in(reg) line, options(nostack)) };
    }
    // SAFETY: orders memory accesses.
    unsafe { asm!("dsb sy", options(nostack)) };
}

/// Makes changes of the translation tables seen.
pub(crate) fn see_tables() {
    // SAFETY: orders memory accesses.
    unsafe { asm!("dsb ish", "isb", options(nostack)) };
}

/// Sleeps until an event: that of another core's [`wake`], or an interrupt.
pub fn wait_for_event() {
    // SAFETY: waits; memory is as it was.
    unsafe { asm!("wfe", options(nostack)) };
}

/// From now on this core gets an event every 65,536 ticks of the counter, a few milliseconds: one that waits for another core
/// can look at the clock.
pub fn stream_of_events() {
    // EVNTEN, and EVNTI = 15: when that bit of the counter becomes one.
    const EVERY_65536_TICKS: u64 = 1 << 2 | 15 << 4;
    let mut control: u64;
    // SAFETY: reads the timer's control register, and writes it with the stream on; no trap or interrupt comes of it.
    unsafe {
        asm!("mrs {}, cntkctl_el1", out(reg) control, options(nomem, nostack));
        control |= EVERY_65536_TICKS;
        asm!("msr cntkctl_el1, {}", "isb", in(reg) control, options(nomem, nostack));
    }
}

/// Makes what was written seen, then wakes cores that wait for an event.
pub fn wake() {
    // SAFETY: orders memory accesses and sends an event.
    unsafe { asm!("dsb ish", "sev", options(nostack)) };
}

/// Stops this core for ever.
pub fn halt() -> ! {
    loop {
        wait_for_event();
    }
}

/// Ends an emulator or a debug session with a status (semihosting's `SYS_EXIT_EXTENDED`). Where nobody listens, it is an
/// exception.
pub fn semihosting_exit(status: u32) -> ! {
    const EXIT_EXTENDED: u64 = 0x20;
    const APPLICATION_EXIT: u64 = 0x2_0026;
    let block = [APPLICATION_EXIT, u64::from(status)];
    // SAFETY: The semihosting call reads the block and does not return.
    unsafe { asm!("hlt #0xf000", in("x0") EXIT_EXTENDED, in("x1") block.as_ptr(), options(nostack)) };
    halt()
}
