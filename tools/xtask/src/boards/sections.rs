//! What a linked firmware takes of flash and RAM, and which crates its flash goes to.

use anyhow::{Context as _, Result};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionFlags, SectionKind, elf};
use std::collections::BTreeMap;

/// The section of the model, which is not the runtime's.
const MODEL: &str = ".model";

/// Bytes of a firmware.
pub(super) struct Sections {
    /// Code, constants, and the contents of variables.
    pub(super) flash: u64,
    /// Variables, without the stack.
    pub(super) ram: u64,
    /// The bytes of flash that symbols name, by crate; `constants` have no name.
    pub(super) crates: BTreeMap<String, u64>,
}

/// Reads them from an ELF file.
pub(super) fn sections(elf: &[u8]) -> Result<Sections> {
    let file = object::File::parse(elf)?;
    let mut found = Sections { flash: 0, ram: 0, crates: BTreeMap::new() };
    let mut flash = Vec::new();
    for section in file.sections().filter(|section| section.name() != Ok(MODEL)) {
        let bytes = section.size();
        let Place { flash: in_flash, ram: in_ram } = place(section.flags(), section.kind());
        if in_flash {
            found.flash += bytes;
        }
        if in_ram {
            found.ram += bytes;
        }
        // What symbols name of them is code and constants.
        if in_flash && !in_ram {
            flash.push(section.index());
        }
    }
    let mut named = 0;
    for symbol in file.symbols().filter(|symbol| symbol.section_index().is_some_and(|at| flash.contains(&at)))
    {
        let name = crate_of(symbol.name().context("a symbol has no name")?);
        *found.crates.entry(name).or_default() += symbol.size();
        named += symbol.size();
    }
    // Several names of one place count twice: then less is left than there is.
    *found.crates.entry("constants and padding".to_owned()).or_default() += found.flash.saturating_sub(named);
    Ok(found)
}

/// Where the bytes of a section are while the firmware runs.
#[derive(Debug, PartialEq)]
struct Place {
    flash: bool,
    ram: bool,
}

/// What is loaded is by the flag `SHF_ALLOC`, whatever a section's type; what has contents is in flash, what is written to in RAM.
fn place(flags: SectionFlags, kind: SectionKind) -> Place {
    let SectionFlags::Elf { sh_flags } = flags else { return Place { flash: false, ram: false } };
    let is = |flag: u32| sh_flags & u64::from(flag) != 0;
    let is_loaded = is(elf::SHF_ALLOC);
    Place { flash: is_loaded && kind != SectionKind::UninitializedData, ram: is_loaded && is(elf::SHF_WRITE) }
}

/// `core` of `<core::str::Chars as core::iter::Iterator>::next`: the crate of the type, or of the function.
fn crate_of(symbol: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(symbol));
    let name = name.trim_start_matches(['<', '&', '[', '(', '*', ' ']);
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    match name.split_at(end) {
        // Numbers, slices and their kin have their functions in the language's library.
        (_, rest) if rest.starts_with(" as core") => "core".to_owned(),
        ("anon" | "", _) => "constants and padding".to_owned(),
        (name, rest) if rest.starts_with("::") => name.to_owned(),
        _ if symbol.starts_with(".L") => "constants and padding".to_owned(),
        _ => "without a crate".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_loaded_is_counted_where_it_lies() {
        let place = |flags: u32, kind| {
            let Place { flash, ram } = place(SectionFlags::Elf { sh_flags: flags.into() }, kind);
            (flash, ram)
        };
        let (load, write) = (elf::SHF_ALLOC, elf::SHF_WRITE);
        assert_eq!(place(load | elf::SHF_EXECINSTR, SectionKind::Text), (true, false));
        assert_eq!(place(load, SectionKind::Other), (true, false));
        assert_eq!(place(load | write, SectionKind::Data), (true, true));
        assert_eq!(place(load | write, SectionKind::UninitializedData), (false, true));
        assert_eq!(place(0, SectionKind::Debug), (false, false));
        assert_eq!(place(0, SectionKind::Other), (false, false));
    }

    #[test]
    fn crates_are_known_by_their_symbols() {
        for (symbol, name) in [
            ("_ZN19bitnet_edge_kernels4math4exp117h2ece71924b786752E", "bitnet_edge_kernels"),
            ("_ZN4core3fmt5write17h2ece71924b786752E", "core"),
            ("_ZN42_$LT$u32$u20$as$u20$core..fmt..Display$GT$3fmt17h2ece71924b786752E", "core"),
            ("__aeabi_memcpy", "without a crate"),
            (".Lanon.939e68cc2a5e122393daaaceb18ac8ba.6", "constants and padding"),
        ] {
            assert_eq!(crate_of(symbol), name, "{symbol}");
        }
    }
}
