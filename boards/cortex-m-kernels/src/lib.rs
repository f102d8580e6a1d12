//! What both programs need: a way to say something, an end with a status, and the tiers of the processor.

#![no_std]

use core::fmt::{Arguments, Write as _};
use core::panic::PanicInfo;

use bitnet_edge_arm::{Dsp, Mve, Table};
use bitnet_edge_kernels::{Kernels, Scalar};
use bitnet_edge_simd::words;
use cortex_m_rt::ExceptionFrame;
use cortex_m_semihosting::{debug, hio};

/// A line on the console.
pub fn say(line: Arguments<'_>) {
    if let Ok(mut console) = hio::hstdout() {
        let _ = writeln!(console, "{line}");
    }
}

/// The end, which is a good one or not.
pub fn exit(good: bool) -> ! {
    debug::exit(if good { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    loop {
        cortex_m::asm::wfi();
    }
}

#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    say(format_args!("{info}"));
    exit(false)
}

#[cortex_m_rt::exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    say(format_args!("a fault: {frame:?}"));
    exit(false)
}

/// Something to do with every tier.
pub trait Each {
    /// Does it with one. `variant` tells apart those of the same name.
    fn tier(&mut self, variant: &'static str, kernels: impl Kernels);
}

/// The tiers that this processor has, and the definition.
pub fn each_tier(each: &mut impl Each) {
    each.tier("scalar", Scalar);
    // What a core of another architecture has: the compiler's code, not ours.
    each.tier("table-portable", words::Table);
    each.tier("table-without-dsp", Table::without_dsp());
    if let Some(dsp) = Dsp::new() {
        each.tier("dsp", dsp);
        each.tier("table", Table::new());
    }
    if let Some(mve) = Mve::new() {
        each.tier("mve", mve);
    }
}
