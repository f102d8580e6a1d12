//! What a panic or a fault says: kept over a reset, and shown to whoever opens the serial port next.

use core::panic::PanicInfo;

use bitnet_edge_board::{Board, Console, LastWords, report_panic};
use cortex_m_rt::{ExceptionFrame, exception};
use rp235x_hal as hal;

const BYTES: usize = 512;

/// The boot code leaves this section alone.
#[unsafe(link_section = ".uninit.LAST_WORDS")]
static LAST_WORDS: LastWords<BYTES> = LastWords::new();

/// Shows them, once.
pub fn show<B: Board>(console: &mut Console<'_, B>) {
    if let Some(words) = LAST_WORDS.take(&mut [0; BYTES]) {
        console.write(words);
        console.write("*** and was started anew\n");
    }
}

fn start_anew() -> ! {
    cortex_m::interrupt::disable();
    hal::reboot::reboot(hal::reboot::RebootKind::Normal, hal::reboot::RebootArch::Normal)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    report_panic(&mut LAST_WORDS.write(), info);
    start_anew()
}

/// A bug. Not a stack that is full: this handler is on the same stack, whose limit the processor checks, and the core locks up
/// until the watchdog resets the chip.
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    report_panic(&mut LAST_WORDS.write(), &format_args!("hard fault at {:#010x}", frame.pc()));
    start_anew()
}
