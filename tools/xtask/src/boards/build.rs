//! Firmware, as a loader takes it.

use super::{Board, Carries, Loads, rpi};
use crate::command::{cargo, line, output};
use crate::paths;
use crate::toolchain::Toolchain;
use anyhow::{Context as _, Result, bail, ensure};
use object::{Object as _, ObjectSegment as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The story model as the repository has it.
const STORY: &str = "models/tinystories-micro/tinystories-micro-i2_s.gguf";

/// A byte of flash that nothing was written to.
const ERASED: u8 = 0xff;

/// Where flash images and firmware lie.
pub(super) fn folder() -> Result<PathBuf> {
    let folder = paths::target().join("boards");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The flash image of a GGUF file, as `bitnet-pack convert` makes it.
pub(super) fn image(gguf: &Path, name: &str, options: &[&str]) -> Result<PathBuf> {
    let image = folder()?.join(name);
    let mut convert = cargo("run");
    convert
        .args(["--quiet", "-p", "bitnet-pack", "--", "convert"])
        .args(options)
        .arg("-o")
        .arg(&image)
        .arg(gguf);
    quietly(&mut convert)?;
    Ok(image)
}

/// The story model as a flash image.
pub(super) fn story() -> Result<PathBuf> {
    image(&paths::root().join(STORY), "story.bpk", &["--lowercase"])
}

/// Builds the firmware of a board, and writes what its loader takes.
pub(super) fn firmware(board: &Board, features: &[&str]) -> Result<PathBuf> {
    program(board, board.program, features)
}

/// Builds one of the programs in a board's crate.
pub(super) fn program(board: &Board, name: &str, features: &[&str]) -> Result<PathBuf> {
    let story = story()?;
    eprintln!("building {name} for {} (the first time about a minute)", board.target);
    let mut build = Toolchain::bare_metal(&[board.target])?.cargo_with("build", board.target, board.flags);
    build
        .args(["--manifest-path", &format!("{}/Cargo.toml", board.folder), "--bin", name])
        .env("BITNET_EDGE_IMAGE", &story)
        // Of a log (feature `defmt`), all but what is for looking into a fault.
        .env("DEFMT_LOG", "info");
    if !features.is_empty() {
        build.arg("--features").arg(features.join(","));
    }
    quietly(&mut build)?;
    let elf = paths::target().join("bare-metal").join(board.target).join("release").join(name);
    let suffix = features.iter().map(|feature| format!("-{feature}")).collect::<String>();
    let image = folder()?.join(format!("{name}{suffix}.img"));
    let bytes = fs::read(&elf).with_context(|| format!("cannot read {}", elf.display()))?;
    if board.loads == Loads::Elf {
        fs::write(&image, bytes).with_context(|| format!("cannot write {}", image.display()))?;
        return Ok(image);
    }
    let mut flat = flat(&bytes).with_context(|| format!("cannot read the segments of {}", elf.display()))?;
    if board.model == Carries::Loader {
        rpi::as_long_as_its_memory(&mut flat).with_context(|| elf.display().to_string())?;
    }
    if let Loads::Flash(bytes) = board.loads {
        ensure!(flat.len() as u64 <= bytes, "{} bytes are more than the flash has", flat.len());
        let program = flat.len().saturating_sub(fs::metadata(&story)?.len() as usize);
        let kept = bitnet_pack::board::Board::from_name(board.name)?.program;
        ensure!(
            program <= kept,
            "the program takes {program} bytes of flash, and `bitnet-pack plan` keeps {kept}"
        );
        flat.resize(bytes as usize, ERASED);
    }
    fs::write(&image, flat).with_context(|| format!("cannot write {}", image.display()))?;
    Ok(image)
}

/// Runs a command whose output matters only if it fails.
pub(super) fn quietly(command: &mut Command) -> Result<()> {
    let result = command.output().with_context(|| format!("cannot start `{}`", line(command)))?;
    if !result.status.success() {
        eprint!("{}", String::from_utf8_lossy(&result.stderr));
        bail!("`{}` failed: {}", line(command), result.status);
    }
    Ok(())
}

/// What an ELF file puts into memory, from the lowest address to the highest that has contents.
fn flat(elf: &[u8]) -> Result<Vec<u8>> {
    let file = object::File::parse(elf)?;
    let segments: Vec<(u64, &[u8])> = file
        .segments()
        .map(|segment| Ok((segment.address(), segment.data()?)))
        .filter(|segment: &Result<_>| segment.as_ref().map_or(true, |(_, data)| !data.is_empty()))
        .collect::<Result<_>>()?;
    let start = segments.iter().map(|(address, _)| *address).min().context("no segment has contents")?;
    let end = segments.iter().map(|(address, data)| address + data.len() as u64).max().unwrap_or(start);
    ensure!(end - start < 1 << 30, "the segments are more than a GiB apart");
    let mut memory = vec![0; (end - start) as usize];
    for (address, data) in segments {
        let at = (address - start) as usize;
        memory[at..at + data.len()].copy_from_slice(data);
    }
    Ok(memory)
}

/// The text and the digest that the host's program gives for a prompt.
pub(super) fn on_the_host(
    model: Option<&Path>,
    prompt: &str,
    tokens: Option<u32>,
    options: &[&str],
) -> Result<String> {
    let mut run = cargo("run");
    run.args(["--quiet", "--bin", "bitnet", "--", "run", "--digest", prompt]).args(options);
    if let Some(model) = model {
        run.arg("--model").arg(model);
    }
    if let Some(tokens) = tokens {
        run.args(["-n", &tokens.to_string()]);
    }
    let result = run.output().with_context(|| format!("cannot start `{}`", line(&run)))?;
    let told = String::from_utf8_lossy(&result.stderr);
    ensure!(result.status.success(), "`{}` failed: {}\n{told}", line(&run), result.status);
    let digest = told.lines().find_map(|line| line.strip_prefix("logit digest "));
    Ok(digest.with_context(|| format!("`{}` printed no digest:\n{told}", line(&run)))?.to_owned())
}

/// What kind of emulator this is, for messages.
pub(super) fn version(program: &str) -> Result<String> {
    let text = output(Command::new(program).arg("--version"))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
