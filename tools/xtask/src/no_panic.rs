//! `cargo xtask no-panic`: links a firmware as a board would and looks into the file for a panic path.
//!
//! Source lints see what is written; only the linked file shows what the optimizer could not prove away.

use crate::command::run as run_command;
use crate::paths;
use crate::toolchain::Toolchain;
use addr2line::gimli::{Dwarf, EndianSlice, LittleEndian};
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

/// The targets that the firmware is linked for: the others of [`BARE_METAL`](crate::toolchain::BARE_METAL) are of an instruction
/// set that is there already.
const LINKED: [&str; 3] = ["thumbv7em-none-eabihf", "riscv32imac-unknown-none-elf", "aarch64-unknown-none"];

/// What the symbol table of a linked firmware says.
struct Report {
    /// Bytes of machine code.
    code: u64,
    /// The `area_*` functions of the firmware: what `main` calls.
    areas: BTreeSet<String>,
    /// Functions that are linked only because something can panic.
    panics: BTreeSet<String>,
    /// The source lines that lead there, the innermost first.
    callers: BTreeSet<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let toolchain = Toolchain::bare_metal(&LINKED)?;
    // That the check finds what it looks for is seen on one of them.
    let targets = if args.planted { &LINKED[..1] } else { &LINKED[..] };
    for &target in targets {
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
    inspect(&bytes).with_context(|| format!("cannot read the symbols of {}", elf.display()))
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
    for caller in &report.callers {
        println!("no-panic {target}: can panic: {caller}");
    }
    bail!("{target}: the linked firmware can panic ({})", join(&report.panics))
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
        Report { code: 0, areas: BTreeSet::new(), panics: BTreeSet::new(), callers: BTreeSet::new() };
    for symbol in file.symbols() {
        let name = demangled(symbol.name()?);
        if is_panic(&name) {
            report.panics.insert(name);
        } else if name.starts_with("area_") {
            report.areas.insert(name);
        }
    }
    if file.symbols().next().is_none() {
        bail!("the file is stripped");
    }
    for section in file.sections().filter(|section| section.kind() == object::SectionKind::Text) {
        report.code += section.size();
    }
    if !report.panics.is_empty() {
        report.callers = callers(&file)?;
    }
    Ok(report)
}

fn demangled(symbol: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(symbol))
}

/// Everything that leads to the panic handler, and the handler itself (`firmware_panicked`, which is never inlined).
fn is_panic(symbol: &str) -> bool {
    const PARTS: [&str; 6] =
        ["panic", "begin_unwind", "unwrap_failed", "expect_failed", "_fail", "handle_alloc_error"];
    PARTS.iter().any(|part| symbol.contains(part))
}

/// Where the functions that panic are called from: the relocations that the linker kept name what each call reaches.
/// A caller inside Rust's own library is of no help: then it is who calls that one.
fn callers(file: &object::File<'_>) -> Result<BTreeSet<String>> {
    let lines = line_tables(file).context("cannot read the line tables")?;
    let calls = calls(file)?;
    let mut reached: BTreeSet<String> =
        calls.iter().map(|call| call.to.clone()).filter(|to| is_panic(to)).collect();
    let mut callers = BTreeSet::new();
    loop {
        let known = reached.len();
        for call in calls.iter().filter(|call| !is_panic(&call.from)) {
            if !reached.contains(&call.to) {
                continue;
            }
            let frames = frames(&lines, call.address);
            if frames.iter().all(|frame| frame.contains("/library/")) && !frames.is_empty() {
                reached.insert(call.from.clone());
            } else {
                callers.insert(format!("{} in {}: {}", call.to, call.from, frames.join(" < ")));
            }
        }
        if reached.len() == known {
            return Ok(callers);
        }
    }
}

struct Call {
    address: u64,
    from: String,
    to: String,
}

fn calls(file: &object::File<'_>) -> Result<Vec<Call>> {
    let functions = file.symbol_map();
    let mut calls = Vec::new();
    for section in file.sections().filter(|section| section.kind() == object::SectionKind::Text) {
        for (address, relocation) in section.relocations() {
            let object::RelocationTarget::Symbol(index) = relocation.target() else { continue };
            let to = demangled(file.symbol_by_index(index)?.name()?);
            let from =
                functions.before(address).map(|function| demangled(function.name())).unwrap_or_default();
            calls.push(Call { address, from, to });
        }
    }
    Ok(calls)
}

type Lines<'data> = addr2line::Context<EndianSlice<'data, LittleEndian>>;

fn line_tables<'data>(file: &object::File<'data>) -> Result<Lines<'data>> {
    let dwarf = Dwarf::load(|id| {
        let data = file.section_by_name(id.name()).map(|section| section.data()).transpose()?;
        object::Result::Ok(EndianSlice::new(data.unwrap_or_default(), LittleEndian))
    })?;
    Ok(addr2line::Context::from_dwarf(dwarf)?)
}

/// The source lines of an address, from the innermost inlined function outwards.
fn frames(lines: &Lines<'_>, address: u64) -> Vec<String> {
    let mut shown = Vec::new();
    if let Ok(mut frames) = lines.find_frames(address).skip_all_loads() {
        while let Ok(Some(frame)) = frames.next() {
            let location = frame.location.and_then(|location| Some((location.file?, location.line?)));
            shown.extend(location.map(|(file, line)| format!("{file}:{line}")));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::is_panic;

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
}
