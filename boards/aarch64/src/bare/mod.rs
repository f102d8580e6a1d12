//! What runs on the processor itself.

mod cores_up;
mod exceptions;
mod macros;
pub mod processor;
pub mod stack;
mod uart;

/// Further cores.
pub mod cores {
    pub use super::cores_up::{CREW, Event, by_affinity, entry, start};
}

pub use uart::{Pl011, Serial, Uart};

core::arch::global_asm!(
    include_str!("boot.s"),
    stacks = const stack::STACKS,
    exceptions = const stack::EXCEPTIONS,
    guard = const stack::GUARD,
);

/// What [`board!`](crate::board) defines.
mod board {
    unsafe extern "Rust" {
        /// Core 0 with the address of the device tree.
        pub(super) safe fn board_main(device_tree: usize) -> !;
        /// Sends bytes at any time, from any core: last words.
        pub(super) safe fn board_write(bytes: &[u8]);
        /// The end of the firmware.
        pub(super) safe fn board_exit(status: u32) -> !;
    }
}

/// Where boot.s goes on, on core 0.
#[unsafe(no_mangle)]
extern "C" fn bare_main(device_tree: usize) -> ! {
    board::board_main(device_tree)
}

/// Text to the board's console, for last words.
#[derive(Clone, Copy, Debug)]
pub struct LastWords;

impl core::fmt::Write for LastWords {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for (at, line) in text.split('\n').enumerate() {
            if at > 0 {
                board::board_write(b"\r\n");
            }
            board::board_write(line.as_bytes());
        }
        Ok(())
    }
}

/// What the panic handler of [`board!`](crate::board) does.
pub fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    bitnet_edge_board::report_panic(&mut LastWords, info);
    board::board_exit(EXIT_PANIC)
}

/// The status of a firmware that panicked.
pub const EXIT_PANIC: u32 = 101;
/// The status of a firmware that an exception ended.
pub const EXIT_EXCEPTION: u32 = 102;
