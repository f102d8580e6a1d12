//! A firmware whose `main` reaches all of core, kernels and device protocol that a board uses.
//!
//! It is linked as a board would link it and never run: `cargo xtask no-panic` reads its symbol table. One `area_*`
//! function an area; each takes its input from memory of which the optimizer knows nothing, so that no branch is
//! decided at compile time, and leaves its result in a `static`, so that nothing is thrown away.

#![no_std]
#![no_main]

mod generate;
mod image;
mod kernels;
mod opaque;
mod protocol;
mod text;

use core::panic::PanicInfo;

/// The entry point: every area, for ever.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text._start")]
pub extern "C" fn _start() -> ! {
    loop {
        kernels::area_formats();
        kernels::area_ternary();
        kernels::area_conformance();
        image::area_image();
        text::area_encode();
        text::area_chat();
        text::area_decode();
        generate::area_generate();
        generate::area_sampler();
        generate::area_choice();
        generate::area_session();
        generate::area_errors();
        protocol::area_protocol();
        #[cfg(feature = "planted-unwrap")]
        area_planted();
    }
}

/// What the check must find: an `unwrap` that the optimizer cannot prove away.
#[cfg(feature = "planted-unwrap")]
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn area_planted() {
    opaque::keep(*opaque::bytes().first().unwrap());
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    firmware_panicked()
}

/// Linked only if something can panic. A loop that is its own function cannot be inlined into its callers, so that its
/// name is in the symbol table even where the whole panic machinery was optimized into them.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn firmware_panicked() -> ! {
    loop {
        opaque::keep(0_u8);
    }
}
