//! Says which architecture the processor has, and where the linker finds what all memory maps include.

use std::env;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(armv8m)");
    if env::var("TARGET").is_ok_and(|target| target.starts_with("thumbv8m.main")) {
        println!("cargo::rustc-cfg=armv8m");
    }
    let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo::rustc-link-search={folder}");
    println!("cargo::rerun-if-changed=build.rs");
}
