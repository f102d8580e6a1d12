//! Links with the memory map beside this file.

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo::rustc-link-arg=-T{folder}/link.x");
    // Calls keep the name of what they call, so that the check can say which source line panics.
    println!("cargo::rustc-link-arg=--emit-relocs");
    println!("cargo::rerun-if-changed=link.x");
}
