//! What a panic or a fault says: kept over a reset, and shown to whoever opens the serial port next.

use core::fmt::Write as _;
use core::panic::PanicInfo;

use bitnet_edge_board::{Board, Console, LastWords};
use bitnet_edge_board_cortex_m::panicked;
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

#[unsafe(no_mangle)]
fn board_write(bytes: &[u8]) {
    // What is written is text, a line or less at once; the console that shows it returns its carriages itself.
    let text = core::str::from_utf8(bytes).unwrap_or_default();
    // It takes all text, and leaves out what does not fit.
    let _ = LAST_WORDS.append().write_str(text.trim_end_matches('\r'));
}

#[unsafe(no_mangle)]
fn board_exit(_: u32) -> ! {
    cortex_m::interrupt::disable();
    hal::reboot::reboot(hal::reboot::RebootKind::Normal, hal::reboot::RebootArch::Normal)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    panicked(info)
}
