//! What runs on the processor itself.

mod backends;
mod faults;
mod processor;
mod stack;

#[cfg(feature = "firmware")]
mod cmsdk;
#[cfg(feature = "firmware")]
mod float;
#[cfg(feature = "firmware")]
mod macros;
#[cfg(feature = "firmware")]
mod serial;
#[cfg(feature = "firmware")]
mod start;
#[cfg(feature = "firmware")]
mod systick;

/// The logger.
#[cfg(feature = "defmt")]
use defmt_semihosting as _;

pub use backends::{Backend, backends};
#[cfg(feature = "firmware")]
pub use cmsdk::{CmsdkUart, CmsdkWatchdog};
pub use cortex_m_rt;
#[cfg(feature = "firmware")]
pub use processor::exit;
#[cfg(feature = "firmware")]
pub use serial::{Serial, Uart, Watchdog};
pub use stack::{run as run_on_own_stack, run_on as run_on_stack};
#[cfg(feature = "firmware")]
pub use start::start;
#[cfg(feature = "firmware")]
pub use systick::Clock;

use core::fmt::{self, Write};

/// What [`board!`](crate::board) is made of.
#[cfg(feature = "firmware")]
#[doc(hidden)]
pub use bitnet_edge_core::{Line, MemoryPlan, ModelConfig, PlanOptions, assert_fits, image::Aligned};

use crate::status;

/// What every board defines; [`board!`](crate::board) does.
mod board {
    unsafe extern "Rust" {
        /// Sends bytes at any time: last words.
        pub(super) safe fn board_write(bytes: &[u8]);
        /// Ends the firmware with a status.
        pub(super) safe fn board_exit(status: u32) -> !;
    }
}

/// Text to the board's console, for last words.
#[derive(Clone, Copy, Debug)]
pub struct LastWords;

impl Write for LastWords {
    fn write_str(&mut self, text: &str) -> fmt::Result {
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
    board::board_exit(status::PANIC)
}
