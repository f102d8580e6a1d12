//! Tells the code whether it is compiled for a Cortex-M, and for which: the compiler's `cfg` knows only that the architecture is ARM.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(cortex_m, armv7em, hard_float)");
    let target = std::env::var("TARGET").unwrap_or_default();
    // Those with Thumb-2: M3, M4, M7, and M33 and later.
    if ["thumbv7m-", "thumbv7em-", "thumbv8m.main-"].iter().any(|prefix| target.starts_with(prefix)) {
        println!("cargo::rustc-cfg=cortex_m");
    }
    // Floats in the registers of a floating-point unit.
    if target.ends_with("-eabihf") {
        println!("cargo::rustc-cfg=hard_float");
    }
    // An architecture that is the one before with the DSP extension.
    if target.starts_with("thumbv7em-") {
        println!("cargo::rustc-cfg=armv7em");
    }
}
