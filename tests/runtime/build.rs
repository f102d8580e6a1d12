//! Links with the board's memory map, and takes in the model that `cargo xtask` made.

use std::env;

fn main() {
    let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo::rustc-link-search={folder}");
    println!("cargo::rustc-link-arg=-Tlink.x");
    println!("cargo::rerun-if-changed=memory.x");
    println!("cargo::rerun-if-env-changed=BITNET_EDGE_IMAGE");
    let Ok(image) = env::var("BITNET_EDGE_IMAGE") else {
        println!(
            "cargo::error=BITNET_EDGE_IMAGE names no flash image; `cargo xtask test --stage size` sets it"
        );
        return;
    };
    println!("cargo::rerun-if-changed={image}");
}
