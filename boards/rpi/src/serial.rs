//! The serial line: the PL011, on the pins GPIO 14 (out) and 15 (in).
//!
//! Of the two UARTs the PL011 is used, whose speed comes from a clock of its own; the mini-UART's follows the GPU's clock, which
//! the firmware changes. On a board with Bluetooth the firmware connects the PL011 to that, so it is led to the pins here:
//! no overlay is needed.

use bitnet_edge_board_aarch64::{Pl011, processor};

use crate::mailbox::Mailbox;
use crate::pi::Pi;

/// Hertz of its clock, as config.txt has it as well.
const CLOCK: u32 = 48_000_000;
const BAUD: u32 = 115_200;

const GPIO: usize = 0x20_0000;
/// Functions of a pin, three bits each.
const INPUT: u32 = 0;
const ALT0: u32 = 4;
const ALT3: u32 = 7;

/// As it is.
pub(crate) const fn uart(pi: Pi) -> Pl011 {
    // SAFETY: Every Raspberry Pi of these has its PL011 there, and the map has it as a device.
    unsafe { Pl011::new(pi.peripherals() + 0x20_1000) }
}

/// At 115200 baud, 8 bits, no parity, one stop bit, on the pins.
pub(crate) fn set_up(pi: Pi, mailbox: &Mailbox) -> Pl011 {
    let clock = mailbox.set_uart_clock(CLOCK).unwrap_or(CLOCK);
    let mut uart = uart(pi);
    uart.set_up(clock, BAUD);
    // Off the Bluetooth chip (GPIO 32 and 33), which would be a second source of the input.
    let select3 = pi.register(GPIO + 0x0c);
    for shift in [6, 9] {
        if select3.read() >> shift & 7 == ALT3 {
            select3.change(7 << shift, INPUT << shift);
        }
    }
    pi.register(GPIO + 0x04).change(0x3f << 12, ALT0 << 12 | ALT0 << 15);
    pull_up(pi);
    uart
}

/// Pulls the pins up, so that nothing is heard from an input that nobody drives.
fn pull_up(pi: Pi) {
    const PINS: u32 = 1 << 14 | 1 << 15;
    match pi {
        Pi::Three => {
            let (pull, pins) = (pi.register(GPIO + 0x94), pi.register(GPIO + 0x98));
            // BCM2835 ARM Peripherals, 6.1: what, then where, each held for 150 cycles.
            pull.write(2);
            wait_us(5);
            pins.write(PINS);
            wait_us(5);
            pull.write(0);
            pins.write(0);
        }
        // BCM2711 ARM Peripherals, 5.2: two bits a pin.
        Pi::Four => pi.register(GPIO + 0xe4).change(0xf << 28, 0x5 << 28),
    }
}

fn wait_us(us: u64) {
    let start = processor::now_us();
    while processor::now_us() - start <= us {}
}
