//! Arm's MPS2 board with FPGA image AN500: a Cortex-M7 at 25 MHz, in QEMU.

#![no_std]
#![no_main]

use bitnet_edge_board_cortex_m::{CmsdkUart, CmsdkWatchdog, board};
use bitnet_edge_core::PlanOptions;

const CLOCK_HZ: u32 = 25_000_000;

board! {
    title: "Arm MPS2 AN500, Cortex-M7",
    image: env!("BITNET_EDGE_IMAGE"),
    plan: PlanOptions { context: 256, batch: 4, ..PlanOptions::new(&CONFIG) },
    arena: 240 * 1024,
    budget: 200_000,
    clock_hz: CLOCK_HZ,
    uart: uart(),
    watchdog: watchdog(),
}

fn uart() -> CmsdkUart {
    // SAFETY: UART 0 is there.
    unsafe { CmsdkUart::new(0x4000_4000, CLOCK_HZ) }
}

fn watchdog() -> CmsdkWatchdog {
    // SAFETY: The watchdog is there. It waits for a quarter of a second.
    unsafe { CmsdkWatchdog::start(0x4000_8000, CLOCK_HZ / 4) }
}
