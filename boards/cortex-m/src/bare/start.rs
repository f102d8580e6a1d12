//! A firmware, from the first instruction of its program to its end.

use core::fmt::{Display, Write as _};

use bitnet_edge_board::{Console, Machine, run};
use bitnet_edge_core::model::OneThread;
use bitnet_edge_core::{Line, PlanOptions};

use super::backends::backends;
use super::processor::exit;
use super::serial::{Serial, Uart, Watchdog};
use super::{float, stack};
use crate::status;

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
    if cfg!(feature = "overflow") {
        exit(stack::overflow(0))
    }
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
