//! Arm's MPS3 board with FPGA image AN547: a Cortex-M55 at 32 MHz, in QEMU.

#![no_std]
#![no_main]

use bitnet_edge_board_cortex_m::{CmsdkUart, CmsdkWatchdog, board};
use bitnet_edge_core::PlanOptions;

/// The processor's clock, that of the UARTs, and the slow clock that the watchdog has.
const CLOCK_HZ: u32 = 32_000_000;
const UART_HZ: u32 = 25_000_000;
const SLOW_HZ: u32 = 32_000;

board! {
    title: "Arm MPS3 AN547, Cortex-M55",
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
    unsafe { CmsdkUart::new(0x5930_3000, UART_HZ) }
}

fn watchdog() -> CmsdkWatchdog {
    // SAFETY: The watchdog of the slow clock is there.
    unsafe { CmsdkWatchdog::start(0x5802_e000, SLOW_HZ / 4) }
}
