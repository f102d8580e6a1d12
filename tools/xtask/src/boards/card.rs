//! `cargo xtask board rpi --sd FOLDER`: what belongs on an SD card.

use super::{Board, build, rpi};
use anyhow::{Context as _, Result, bail, ensure};
use bitnet_edge_board::plan_for;
use bitnet_edge_core::{Error, Model};
use bitnet_edge_std::MappedFile;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder to make; its files go to the card's first partition (FAT)
    #[arg(long, value_name = "FOLDER")]
    sd: PathBuf,
    /// A flash image (.bpk), in place of the story model
    #[arg(long, value_name = "IMAGE")]
    model: Option<PathBuf>,
    /// Memory of the board in MiB: 512 is a Zero 2 W, 1024 a Pi 3, 1024 to 8192 a Pi 4
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(512..=8192))]
    ram: u64,
}

/// Files of the card.
pub(super) const KERNEL: &str = "kernel8.img";
pub(super) const MODEL: &str = "model.bpk";
const CONFIG: (&str, &str) = ("config.txt", include_str!("rpi-config.txt"));
const README: (&str, &str) = ("README.txt", include_str!("rpi-readme.txt"));

const MIB: u64 = 1 << 20;
/// What the GPU takes of the first GiB where config.txt says nothing of it (64 on a Zero 2 W).
const GPU: u64 = 76 * MIB;

pub(crate) fn run(args: &Args) -> Result<()> {
    let context = make(&args.sd, args.model.as_deref(), args.ram * MIB)?;
    println!(
        "{}: config.txt, {KERNEL}, {MODEL}, README.txt, which says what else the card needs",
        args.sd.display()
    );
    println!("with {} MiB of memory the context has {context} tokens", args.ram);
    Ok(())
}

/// The card that the tests run, made anew.
pub(super) fn for_tests() -> Result<PathBuf> {
    let folder = build::folder()?.join("card");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    make(&folder, None, 1024 * MIB)?;
    check(&folder, &build::story()?)?;
    Ok(folder)
}

/// Makes the folder, beside its place first. The tokens of the context that a board with so much memory has.
fn make(folder: &Path, model: Option<&Path>, ram: u64) -> Result<u32> {
    // Without a slash at the end, behind which the folder beside it would be one within it.
    let folder = &folder.components().collect::<PathBuf>();
    ensure!(!folder.exists(), "{} is there already: name a folder that is not", folder.display());
    let model = model.map_or_else(build::story, |model| Ok(model.to_path_buf()))?;
    // Before the program is built: a file that can never do is refused at once.
    fits(&model, 0, ram)?;
    let program = build::firmware(Board::named("rpi3")?, &[])?;
    let context = fits(&model, fs::metadata(&program)?.len(), ram)?;
    let mut beside = folder.as_os_str().to_owned();
    beside.push(".partial");
    let beside = PathBuf::from(beside);
    ensure!(!beside.exists(), "{} is in the way: remove it, or name another folder", beside.display());
    fs::create_dir_all(&beside).with_context(|| format!("cannot make {}", beside.display()))?;
    fs::copy(&program, beside.join(KERNEL)).with_context(|| format!("cannot copy {}", program.display()))?;
    fs::copy(&model, beside.join(MODEL)).with_context(|| format!("cannot copy {}", model.display()))?;
    for (name, text) in [CONFIG, README] {
        fs::write(beside.join(name), text)?;
    }
    fs::rename(&beside, folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(context)
}

/// Checks every byte of the image, and that a program of so many bytes, the image and an arena fit the board.
fn fits(model: &Path, program: u64, ram: u64) -> Result<u32> {
    let name = model.display();
    let bytes = MappedFile::open(model).with_context(|| format!("cannot open {name}"))?;
    let image = Model::new_checked(&bytes).with_context(|| name.to_string())?;
    image.verify().with_context(|| name.to_string())?;
    ensure!(image.tokenizer().is_some(), "{name} has no tokenizer, which a prompt needs");
    let len = bytes.len() as u64;
    let have = arena_bytes(program, len, ram);
    match have.map(|have| plan_for(&image.config(), have as usize)) {
        Some(Ok(plan)) => Ok(plan.options().context),
        Some(Err(Error::ArenaTooSmall { need, have })) => bail!(
            "{name} does not fit: behind its {len} bytes a Raspberry Pi with {} MiB has {have} bytes left, and it needs {need} \
             for the shortest context; --ram names a board with more",
            ram / MIB
        ),
        Some(Err(error)) => Err(error).with_context(|| name.to_string()),
        None => bail!(
            "{name} does not fit: it has {len} bytes, and the firmware loads it into the first GiB, of which a Raspberry Pi \
             with {} MiB has {} bytes for program and model",
            ram / MIB,
            first(ram).end
        ),
    }
}

/// The first GiB, without the GPU's part.
fn first(ram: u64) -> Range<u64> {
    0..ram.min(1024 * MIB) - GPU
}

/// The largest piece of memory beside program and model, if these fit. Memory above the first GiB is that of a Pi 4, whose
/// largest piece ends at the devices; what is from 4 GiB on comes in pieces of at most 2 GiB.
fn arena_bytes(program: u64, model: u64, ram: u64) -> Option<u64> {
    const DEVICES: u64 = 0xfc00_0000;
    let behind = (rpi::LOAD_ADDRESS + program + model).next_multiple_of(4096);
    let rest = first(ram).end.checked_sub(behind)?;
    let above = ram.min(DEVICES).saturating_sub(1024 * MIB);
    Some(rest.max(above))
}

/// Whether a folder has what the firmware needs to start the program with this model.
fn check(folder: &Path, model: &Path) -> Result<()> {
    rpi::check(&fs::read(folder.join(KERNEL))?)?;
    ensure!(fs::read(folder.join(MODEL))? == fs::read(model)?, "the card has another model");
    let config = fs::read_to_string(folder.join(CONFIG.0))?;
    for line in lines() {
        ensure!(config.lines().any(|there| there == line), "config.txt does not have the line {line:?}");
    }
    ensure!(folder.join(README.0).is_file(), "the card has no README.txt");
    Ok(())
}

/// What config.txt must say.
fn lines() -> [String; 6] {
    [
        "arm_64bit=1".to_owned(),
        format!("kernel={KERNEL}"),
        format!("kernel_address={:#x}", rpi::LOAD_ADDRESS),
        format!("initramfs {MODEL} followkernel"),
        "enable_uart=1".to_owned(),
        "init_uart_clock=48000000".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../core/testdata/tiny.bpk");
    const PROGRAM: u64 = 5 * MIB;

    #[test]
    fn config_txt_says_what_the_program_is_made_for() {
        for line in lines() {
            assert_eq!(CONFIG.1.lines().filter(|there| *there == line).count(), 1, "{line}");
        }
    }

    #[test]
    fn a_model_that_does_not_fit_is_refused_with_its_numbers() {
        let model = Path::new(STORY);
        assert_eq!(fits(model, PROGRAM, 512 * MIB).unwrap(), 64);
        let image = fs::metadata(model).unwrap().len().next_multiple_of(4096);
        let little =
            fits(model, 436 * MIB - rpi::LOAD_ADDRESS - image - 4096, 512 * MIB).unwrap_err().to_string();
        assert!(little.contains("with 512 MiB has") && little.contains("it needs"), "{little}");
        let none = fits(model, 436 * MIB, 512 * MIB).unwrap_err().to_string();
        assert!(none.contains("for program and model"), "{none}");
        // The arena of a board with more memory lies above.
        fits(model, 947 * MIB, 2048 * MIB).unwrap();
    }

    #[test]
    fn the_arena_takes_the_largest_piece() {
        let gib = 1024 * MIB;
        assert_eq!(arena_bytes(PROGRAM, 100 * MIB, gib), Some((1024 - 76 - 105) * MIB - rpi::LOAD_ADDRESS));
        assert_eq!(arena_bytes(PROGRAM, 100 * MIB, 2 * gib), Some(gib));
        assert_eq!(arena_bytes(PROGRAM, 100 * MIB, 4 * gib), Some(0xfc00_0000 - gib));
        assert_eq!(arena_bytes(PROGRAM, 100 * MIB, 8 * gib), Some(0xfc00_0000 - gib));
        assert_eq!(arena_bytes(PROGRAM, 944 * MIB, 8 * gib), None);
    }

    #[test]
    fn a_file_that_is_no_image_is_refused_by_name() {
        let error = fits(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")), PROGRAM, 512 * MIB);
        assert!(error.unwrap_err().to_string().contains("Cargo.toml"));
    }
}
