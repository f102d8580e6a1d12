//! Links with the memory map of AArch64 boards, and takes in the model that `cargo xtask` made.

use std::env;
use std::path::Path;

fn main() {
    let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let script = Path::new(&folder).join("../aarch64/link.x");
    println!("cargo::rustc-link-arg=-T{}", script.display());
    // The start of memory, and what the Image header says.
    println!("cargo::rustc-link-arg=--defsym=LOAD_ADDRESS=0x40080000");
    println!("cargo::rerun-if-changed={}", script.display());
    println!("cargo::rerun-if-env-changed=BITNET_EDGE_IMAGE");
    let Ok(image) = env::var("BITNET_EDGE_IMAGE") else {
        println!(
            "cargo::error=BITNET_EDGE_IMAGE names no flash image; `cargo xtask simulate virt-aarch64` sets it"
        );
        return;
    };
    println!("cargo::rerun-if-changed={image}");
}
