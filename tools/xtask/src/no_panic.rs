//! `cargo xtask no-panic`: links a firmware as a board would and looks into the file for a panic path.
//!
//! Source lints see what is written; only the linked file shows what the optimizer could not prove away.

use crate::command::run as run_command;
use crate::paths;
use crate::toolchain::{BARE_METAL, Toolchain};
use anyhow::{Context as _, Result, bail};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use std::collections::BTreeSet;
use std::fs;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Plant an `unwrap` that can fail and check that it is found
    #[arg(long)]
    pub(crate) planted: bool,
}

/// What the symbol table of a linked firmware says.
struct Report {
    /// Bytes of machine code.
    code: u64,
    /// The `area_*` functions of the firmware: what `main` calls.
    areas: BTreeSet<String>,
    /// Functions that are linked only because something can panic.
    panics: BTreeSet<String>,
    /// Source files that a panic message names.
    sources: BTreeSet<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let toolchain = Toolchain::bare_metal()?;
    for target in BARE_METAL {
        let report = link(&toolchain, target, args.planted)?;
        if args.planted {
            planted_is_found(&report, target)?;
        } else {
            nothing_is_found(&report, target)?;
        }
    }
    Ok(())
}

fn link(toolchain: &Toolchain, target: &str, planted: bool) -> Result<Report> {
    let mut build = toolchain.cargo("build", target);
    build.args(["--manifest-path", "tests/firmware/Cargo.toml"]);
    if planted {
        build.args(["--features", "planted-unwrap"]);
    }
    run_command(&mut build)?;
    let elf = paths::target().join("bare-metal").join(target).join("release/firmware");
    let bytes = fs::read(&elf).with_context(|| format!("cannot read {}", elf.display()))?;
    inspect(&bytes).with_context(|| format!("{} is not an ELF file with symbols", elf.display()))
}

fn nothing_is_found(report: &Report, target: &str) -> Result<()> {
    if report.areas.is_empty() {
        bail!("{target}: the linked firmware has no area_* function, so there was nothing to check");
    }
    if report.panics.is_empty() {
        println!(
            "no-panic {target}: {} areas, {} bytes of code, no panic path",
            report.areas.len(),
            report.code
        );
        return Ok(());
    }
    let symbols = join(&report.panics);
    let sources = join(&report.sources);
    bail!(
        "{target}: the linked firmware can panic: {symbols}; source files named in panic messages: {sources}"
    )
}

fn planted_is_found(report: &Report, target: &str) -> Result<()> {
    if report.panics.is_empty() {
        bail!("{target}: the planted unwrap was not found: the check is blind");
    }
    println!("no-panic {target}: the planted unwrap was found ({})", join(&report.panics));
    Ok(())
}

fn join(set: &BTreeSet<String>) -> String {
    set.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn inspect(elf: &[u8]) -> Result<Report> {
    let file = object::File::parse(elf)?;
    let mut report =
        Report { code: 0, areas: BTreeSet::new(), panics: BTreeSet::new(), sources: BTreeSet::new() };
    for symbol in file.symbols() {
        let name = format!("{:#}", rustc_demangle::demangle(symbol.name()?));
        if is_panic(&name) {
            report.panics.insert(name);
        } else if name.starts_with("area_") {
            report.areas.insert(name);
        }
    }
    if file.symbols().next().is_none() {
        bail!("the file is stripped");
    }
    for section in file.sections() {
        if section.kind() == object::SectionKind::Text {
            report.code += section.size();
        }
        if matches!(section.kind(), object::SectionKind::ReadOnlyData | object::SectionKind::ReadOnlyString) {
            report.sources.extend(source_files(section.data()?));
        }
    }
    Ok(report)
}

/// Everything that leads to the panic handler, and the handler itself (`firmware_panicked`, which is never inlined).
fn is_panic(symbol: &str) -> bool {
    const PARTS: [&str; 6] =
        ["panic", "begin_unwind", "unwrap_failed", "expect_failed", "_fail", "handle_alloc_error"];
    PARTS.iter().any(|part| symbol.contains(part))
}

/// Paths of Rust files in read-only data: the locations of panic messages.
fn source_files(data: &[u8]) -> Vec<String> {
    let text = |byte: &u8| !(byte.is_ascii_alphanumeric() || b"/._-".contains(byte));
    let words = data.split(text).filter_map(|word| std::str::from_utf8(word).ok());
    words.filter(|word| word.contains(".rs")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::{is_panic, source_files};

    #[test]
    fn panic_symbols_are_known_by_name() {
        for name in [
            "core::panicking::panic_fmt",
            "core::slice::index::slice_index_fail",
            "core::result::unwrap_failed",
            "core::option::expect_failed",
            "core::slice::copy_from_slice_impl::len_mismatch_fail",
            "__rustc::rust_begin_unwind",
            "firmware_panicked",
        ] {
            assert!(is_panic(name), "{name}");
        }
        for name in [
            "area_kernels",
            "memcpy",
            "core::fmt::Formatter::pad",
            "bitnet_edge_core::image::Image::new_checked",
        ] {
            assert!(!is_panic(name), "{name}");
        }
    }

    #[test]
    fn panic_locations_are_read_from_data() {
        assert_eq!(source_files(b"\0\x01core/src/image.rs\0called `x`"), ["core/src/image.rs"]);
    }
}
