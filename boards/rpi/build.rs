//! Links with the memory map of AArch64 boards.

use std::env;
use std::path::Path;

fn main() {
    let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let script = Path::new(&folder).join("../aarch64/link.x");
    println!("cargo::rustc-link-arg=-T{}", script.display());
    // The start of memory, and what the Image header and config.txt say.
    println!("cargo::rustc-link-arg=--defsym=LOAD_ADDRESS=0x80000");
    println!("cargo::rustc-link-arg=--defsym=BOARD_CORES=4");
    println!("cargo::rerun-if-changed={}", script.display());
}
