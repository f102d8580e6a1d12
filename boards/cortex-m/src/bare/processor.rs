//! Registers and instructions.

use cortex_m::asm;
#[cfg(feature = "firmware")]
use cortex_m_semihosting::syscall;

/// Ends an emulator or a debug session with a status (semihosting's `SYS_EXIT_EXTENDED`). Where nobody listens it does not
/// return either, and a watchdog that is on resets the board.
#[cfg(feature = "firmware")]
pub fn exit(status: u32) -> ! {
    const EXIT_EXTENDED: usize = 0x20;
    const APPLICATION_EXIT: u32 = 0x2_0026;
    let block = [APPLICATION_EXIT, status];
    // SAFETY: The operation reads these two words.
    unsafe { syscall(EXIT_EXTENDED, &block) };
    halt()
}

/// Stops for ever.
pub(super) fn halt() -> ! {
    loop {
        asm::wfi();
    }
}
