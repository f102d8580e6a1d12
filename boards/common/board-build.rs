//! The build script of firmware with a memory map: links with its own `memory.x`, and takes in the model that `cargo xtask` made.

use std::env;

fn main() {
    let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo::rustc-link-search={folder}");
    println!("cargo::rustc-link-arg=-Tlink.x");
    println!("cargo::rerun-if-changed=memory.x");
    if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
        // Where the texts of the log are: in the ELF file, and not on the board.
        println!("cargo::rustc-link-arg=-Tdefmt.x");
    }
    println!("cargo::rerun-if-env-changed=BITNET_EDGE_IMAGE");
    let Ok(image) = env::var("BITNET_EDGE_IMAGE") else {
        let firmware = env::var("CARGO_PKG_NAME").unwrap_or_default();
        println!(
            "cargo::error=BITNET_EDGE_IMAGE names no flash image; `cargo xtask` sets it when it builds {firmware}"
        );
        return;
    };
    println!("cargo::rerun-if-changed={image}");
}
