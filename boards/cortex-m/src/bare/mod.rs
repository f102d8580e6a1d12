//! What runs on the processor itself.

mod backends;
mod cmsdk;
mod faults;
mod float;
mod macros;
mod processor;
mod serial;
mod stack;
mod systick;

/// The logger.
#[cfg(feature = "defmt")]
use defmt_semihosting as _;

pub use backends::{Backend, backends};
pub use cmsdk::{CmsdkUart, CmsdkWatchdog};
pub use cortex_m_rt;
pub use processor::exit;
pub use serial::{Serial, Uart, Watchdog};
pub use systick::Clock;

use core::fmt::{self, Display, Write};

use bitnet_edge_board::{Console, Machine, run};
use bitnet_edge_core::model::OneThread;

/// What [`board!`](crate::board) is made of.
#[doc(hidden)]
pub use bitnet_edge_core::{Line, MemoryPlan, ModelConfig, PlanOptions, assert_fits, image::Aligned};

use crate::status;

/// What [`board!`](crate::board) defines.
mod board {
    unsafe extern "Rust" {
        /// Sends bytes at any time: last words.
        pub(super) safe fn board_write(bytes: &[u8]);
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

/// From the first instruction of `main` to the end: what [`board!`](crate::board) calls.
pub fn start<U: Uart, W: Watchdog>(
    mut board: Serial<U, W>,
    model: &[u8],
    arena: &mut [Line],
    title: &dyn Display,
    options: PlanOptions,
    budget: u32,
) -> ! {
    let stack = stack::painted();
    if let Err(mode) = float::check() {
        // There is nobody to tell that the console takes no text.
        let _ = writeln!(Console::new(&mut board), "error: {mode}");
        exit(status::ERROR)
    }
    let kernels = backends();
    let budget = if cfg!(feature = "unbounded-step") { u32::MAX } else { budget };
    let machine =
        Machine { title, model, arena, kernels: &kernels, split: OneThread, options: Some(options), budget };
    match run(&mut board, machine) {
        Ok(()) => {
            let _ =
                writeln!(Console::new(&mut board), "stack: {} of {} bytes used", stack.used(), stack.bytes());
            exit(0)
        }
        Err(error) => {
            let _ = writeln!(Console::new(&mut board), "error: {error}");
            exit(status::ERROR)
        }
    }
}

/// What the panic handler of [`board!`](crate::board) does.
pub fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    bitnet_edge_board::report_panic(&mut LastWords, info);
    exit(status::PANIC)
}
