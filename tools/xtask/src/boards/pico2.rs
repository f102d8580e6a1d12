//! The Raspberry Pi Pico 2: `cargo xtask board pico2 --uf2 FILE`, one file with program and model.

use super::uf2::{self, Flash};
use super::{build, uf2_reader};
use crate::paths;
use crate::toolchain::Toolchain;
use anyhow::{Context as _, Result, ensure};
use bitnet_edge_core::Model;
use bitnet_edge_std::MappedFile;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file to make, for the drive that a Pico 2 is when BOOTSEL is held
    #[arg(long, value_name = "FILE")]
    uf2: PathBuf,
    /// A flash image (.bpk), in place of the story model
    #[arg(long, value_name = "IMAGE")]
    model: Option<PathBuf>,
}

pub(super) const FOLDER: &str = "boards/pico2";
const TARGET: &str = "thumbv8m.main-none-eabihf";
/// `memory.x` says why the last sector is not the program's.
const FLASH: Flash = Flash { start: 0x1000_0000, bytes: (4096 - 4) * 1024 };
const RAM: (u32, u32) = (0x2000_0000, 520 * 1024);

pub(crate) fn run(args: &Args) -> Result<()> {
    let model = args.model.as_ref().map_or_else(build::story, |model| Ok(model.clone()))?;
    let image = make(&args.uf2, &model)?;
    println!(
        "{}: {} blocks, {} bytes of flash, {} of them the model",
        args.uf2.display(),
        image.blocks,
        image.bytes.len(),
        fs::metadata(&model)?.len()
    );
    println!("hold BOOTSEL, plug the Pico 2 in, and copy the file to the drive RP2350");
    Ok(())
}

/// The stage `boards`: the file is made, read by other code than wrote it, and has what the boot ROM and the program need.
pub(super) fn for_tests() -> Result<()> {
    let file = build::folder()?.join("pico2.uf2");
    let story = build::story()?;
    let image = make(&file, &story)?;
    let program = image.bytes.len() - fs::metadata(&story)?.len() as usize;
    let kept = bitnet_pack::board::Board::from_name("pico2")?.program;
    ensure!(
        program <= kept,
        "the program takes {program} bytes of flash, and `bitnet-pack plan` keeps {kept}"
    );
    println!("pico2: {} blocks, {} bytes of flash, checked", image.blocks, image.bytes.len());
    Ok(())
}

/// Makes the file, beside its place first.
fn make(file: &Path, model: &Path) -> Result<uf2_reader::Image> {
    let name = model.display();
    let bytes = MappedFile::open(model).with_context(|| format!("cannot open {name}"))?;
    let checked = Model::new_checked(&bytes).with_context(|| name.to_string())?;
    checked.verify().with_context(|| name.to_string())?;
    ensure!(checked.tokenizer().is_some(), "{name} has no tokenizer, which a prompt needs");
    let elf = program(model)?;
    let contents = uf2::contents(&fs::read(&elf)?, &FLASH).with_context(|| elf.display().to_string())?;
    let written = uf2::blocks(FLASH.start, &contents);
    let image = check(&written, &bytes).context("the file that was made is wrong")?;
    let mut beside = file.as_os_str().to_owned();
    beside.push(".partial");
    fs::write(&beside, written).with_context(|| format!("cannot write {}", Path::new(&beside).display()))?;
    fs::rename(&beside, file).with_context(|| format!("cannot make {}", file.display()))?;
    Ok(image)
}

/// Builds the firmware with the model in it.
fn program(model: &Path) -> Result<PathBuf> {
    eprintln!("building pico2 for {TARGET} (the first time some minutes)");
    let mut build = Toolchain::bare_metal(&[TARGET])?.cargo("build", TARGET);
    build
        .args(["--manifest-path", &format!("{FOLDER}/Cargo.toml"), "--bin", "pico2"])
        .env("BITNET_EDGE_IMAGE", std::path::absolute(model)?);
    build::quietly(&mut build)?;
    Ok(paths::target().join("bare-metal").join(TARGET).join("release/pico2"))
}

/// Whether a file has a program that the boot ROM starts, and the model, whole and where the program may have it.
fn check(file: &[u8], model: &[u8]) -> Result<uf2_reader::Image> {
    let image = uf2_reader::read(file)?;
    ensure!(image.start == FLASH.start, "the program begins at {:#x}", image.start);
    ensure!(image.bytes.len() as u32 <= FLASH.bytes, "the program is larger than the flash");
    starts(&image.bytes)?;
    image_def(&image.bytes)?;
    let at = image.bytes.chunks_exact(64).position(|line| model.starts_with(line) && !line.is_empty());
    let at = 64 * at.context("the model is not at a multiple of 64")?;
    ensure!(image.bytes.get(at..at + model.len()) == Some(model), "the model at {at:#x} has other bytes");
    Ok(image)
}

/// The vector table comes first: a stack in RAM, and code in the program.
fn starts(program: &[u8]) -> Result<()> {
    let (stack, reset) = (word(program, 0)?, word(program, 4)?);
    ensure!(
        stack > RAM.0 && stack <= RAM.0 + RAM.1 && stack % 8 == 0,
        "the stack begins at {stack:#x}, which is not in RAM"
    );
    let code = FLASH.start..FLASH.start + program.len() as u32;
    ensure!(
        reset % 2 == 1 && code.contains(&reset),
        "the program starts at {reset:#x}, which is not its code"
    );
    Ok(())
}

/// The block that the boot ROM looks for in the first 4 KiB: its markers, one item that says what is to be started, the length
/// of the items, and a loop of blocks that is this one alone.
fn image_def(program: &[u8]) -> Result<()> {
    const START: u32 = 0xffff_ded3;
    const END: u32 = 0xab12_3579;
    /// An image type (0x42) of one word: a program for Arm cores in secure state, on an RP2350.
    const ITEM: u32 = 0x1021_0142;
    /// The last item: items before it take one word.
    const LAST: u32 = 0x0000_01ff;
    let first = program.get(..4096.min(program.len())).unwrap_or_default();
    let found: Vec<usize> =
        (0..first.len()).step_by(4).filter(|at| word(first, *at).is_ok_and(|word| word == START)).collect();
    ensure!(found.len() == 1, "the first 4 KiB have {} IMAGE_DEF blocks", found.len());
    let words = [0, 4, 8, 12, 16].map(|at| word(program, found[0] + at).unwrap_or_default());
    ensure!(words == [START, ITEM, LAST, 0, END], "IMAGE_DEF has the words {words:x?}");
    Ok(())
}

fn word(program: &[u8], at: usize) -> Result<u32> {
    let bytes = program.get(at..at + 4).context("the program is too short")?;
    Ok(u32::from_le_bytes(bytes.try_into()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &[u8] =
        b"a model of more than sixty-four bytes, of which the first ones are what is looked for first";

    fn program() -> Vec<u8> {
        let mut program = vec![0; 1024];
        let words: [(usize, u32); 7] = [
            (0, 0x2008_2000),
            (4, 0x1000_0301),
            (272, 0xffff_ded3),
            (276, 0x1021_0142),
            (280, 0x1ff),
            (288, 0xab12_3579),
            (300, 7),
        ];
        for (at, word) in words {
            program[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        program[640..640 + MODEL.len()].copy_from_slice(MODEL);
        program
    }

    fn checked(program: &[u8]) -> Result<uf2_reader::Image> {
        check(&uf2::blocks(FLASH.start, program), MODEL)
    }

    #[test]
    fn a_program_with_all_that_it_needs_is_taken() {
        let image = checked(&program()).unwrap();
        assert_eq!((image.blocks, image.bytes), (4, program()));
    }

    #[test]
    fn what_the_boot_rom_would_not_start_is_refused() {
        for at in [3, 4, 7, 272, 276, 281, 284, 288, 640, 640 + MODEL.len() - 1] {
            let mut wrong = program();
            wrong[at] ^= 0x41;
            assert!(checked(&wrong).is_err(), "byte {at}");
        }
        let mut doubled = program();
        doubled[512..516].copy_from_slice(&0xffff_ded3_u32.to_le_bytes());
        assert!(checked(&doubled).is_err());
        let mut late = vec![0; 8192];
        late[..8].copy_from_slice(&program()[..8]);
        late[4096..5120].copy_from_slice(&program());
        assert!(checked(&late).is_err());
        assert!(check(&uf2::blocks(FLASH.start + 256, &program()), MODEL).is_err());
    }
}
