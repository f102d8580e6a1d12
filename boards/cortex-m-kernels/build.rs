//! Links for the machine that `BITNET_EDGE_MACHINE` names.

use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-env-changed=BITNET_EDGE_MACHINE");
    println!("cargo::rerun-if-changed=machines");
    let machine = env::var("BITNET_EDGE_MACHINE")
        .map_err(|_| "BITNET_EDGE_MACHINE names no machine; `cargo xtask instructions` sets it")?;
    let out = env::var("OUT_DIR")?;
    fs::copy(format!("machines/{machine}.x"), Path::new(&out).join("memory.x"))
        .map_err(|error| format!("machines/{machine}.x: {error}"))?;
    println!("cargo::rustc-link-search={out}");
    println!("cargo::rustc-link-arg=-Tlink.x");
    Ok(())
}
