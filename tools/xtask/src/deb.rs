//! `cargo xtask deb`: a Debian package of the programs, by Debian's own `dpkg-deb`.

use crate::arm;
use crate::command::{self, Missing, cargo, output, run as run_command};
use crate::paths;
use crate::toolchain::linux::{AARCH64, Compiler};
use anyhow::{Context as _, Result, bail};
use object::{Architecture, Object as _, ObjectSection as _};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Package for this target instead of the machine's own: aarch64-unknown-linux-gnu
    #[arg(long, value_name = "TARGET", value_parser = [AARCH64.target])]
    target: Option<String>,
}

const NAME: &str = "bitnet-edge";
const PROGRAMS: [&str; 2] = ["bitnet", "bitnet-pack"];

/// Files of the repository that come along, and what they are called below `usr/share/doc/bitnet-edge`.
const DOCUMENTS: [(&str, &str); 6] = [
    ("README.md", "README.md"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("THIRD_PARTY.md", "THIRD_PARTY.md"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("models/tinystories-micro/MODEL_CARD.md", "tinystories-micro.md"),
];

/// The profile of what is handed out.
const RELEASE: &str = "release";

/// Where completions lie below `usr/share`, and what stands around the program's name, by shell.
const COMPLETIONS: [(&str, &str, &str, &str); 3] = [
    ("bash", "bash-completion/completions", "", ""),
    ("zsh", "zsh/vendor-completions", "_", ""),
    ("fish", "fish/vendor_completions.d", "", ".fish"),
];

pub(crate) fn run(args: &Args) -> Result<()> {
    let package =
        if args.target.is_some() { for_arm(&AARCH64.compiler()?, RELEASE)? } else { for_this_machine()? };
    println!("{0}\nnext: sudo dpkg -i {0}", package.display());
    Ok(())
}

fn for_this_machine() -> Result<PathBuf> {
    build(cargo("build"), RELEASE)?;
    let (architecture, machine) = match std::env::consts::ARCH {
        "x86_64" => ("amd64", Architecture::X86_64),
        "aarch64" => ("arm64", Architecture::Aarch64),
        other => bail!("packages are made for amd64 and arm64, not for {other}"),
    };
    let folder = paths::target().join("release");
    package(
        &paths::target().join("debian"),
        &folder,
        &|| Command::new(folder.join("bitnet")),
        (architecture, machine),
    )
}

/// The package for 64-bit ARM, of programs that are compiled with a profile of the workspace. That of another than what is handed
/// out lies in a folder of its own.
pub(crate) fn for_arm(compiler: &Compiler, profile: &str) -> Result<PathBuf> {
    build(compiler.cargo("build"), profile)?;
    let programs = Compiler::folder().join(AARCH64.target).join(profile);
    let mut folder = paths::target().join("debian");
    if profile != RELEASE {
        folder.push(profile);
    }
    // What it says of itself is the same on every machine: the program says it, or this machine's where nothing runs it.
    let emulated = command::find("qemu-aarch64").is_some();
    if !emulated {
        run_command(cargo("build").args(["--bin", "bitnet"]))?;
    }
    let bitnet = || {
        if !emulated {
            return Command::new(paths::target().join("debug/bitnet"));
        }
        let mut bitnet = arm::emulator("cortex-a53");
        bitnet.arg(programs.join("bitnet"));
        bitnet
    };
    package(&folder, &programs, &bitnet, (AARCH64.architecture, Architecture::Aarch64))
}

fn build(mut cargo: Command, profile: &str) -> Result<()> {
    let programs = PROGRAMS.iter().flat_map(|program| ["--bin", program]);
    cargo.args(["--profile", profile, "--config", &format!("profile.{profile}.strip = true")]);
    run_command(cargo.args(programs))
}

/// Lays the files out as they will be installed, and has `dpkg-deb` make a package of them. `bitnet` runs the program here.
fn package(
    folder: &Path,
    programs: &Path,
    bitnet: &dyn Fn() -> Command,
    (architecture, machine): (&str, Architecture),
) -> Result<PathBuf> {
    if command::find("dpkg-deb").is_none() {
        bail!(Missing { what: "dpkg-deb".to_owned(), command: "sudo apt-get install dpkg".to_owned() });
    }
    let version = env!("CARGO_PKG_VERSION");
    let root = folder.join(format!("{NAME}_{version}-1_{architecture}"));
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    let mut needs = Vec::new();
    for program in PROGRAMS {
        let from = programs.join(program);
        needs.push(needed_glibc(&from, machine)?);
        place(&from, &root.join("usr/bin").join(program), 0o755)?;
    }
    let documents = root.join("usr/share/doc").join(NAME);
    for (from, to) in DOCUMENTS {
        place(&paths::root().join(from), &documents.join(to), 0o644)?;
    }
    write(&documents.join("copyright"), COPYRIGHT)?;
    manual(bitnet, &root.join("usr/share/man/man1"))?;
    completions(bitnet, &root.join("usr/share"))?;
    let glibc = needs.into_iter().max().context("no programs")?;
    write(&root.join("DEBIAN/control"), &control(version, architecture, glibc, kibibytes(&root)?))?;
    open_folders(&root)?;
    let package = root.with_added_extension("deb");
    // Whoever looks meanwhile finds the one before, whole.
    let part = package.with_added_extension("part");
    run_command(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).args([&root, &part]))?;
    fs::rename(&part, &package)?;
    Ok(package)
}

/// The pages of the programs and of each of their commands.
fn manual(bitnet: &dyn Fn() -> Command, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    run_command(bitnet().arg("man").arg("--output").arg(folder))?;
    let pages = fs::read_dir(folder)?.map(|page| Ok(page?.path())).collect::<Result<Vec<_>>>()?;
    for page in &pages {
        fs::set_permissions(page, fs::Permissions::from_mode(0o644))?;
    }
    // Without names and times: the same pages are the same files.
    run_command(Command::new("gzip").args(["-9", "--no-name"]).args(&pages))
}

fn completions(bitnet: &dyn Fn() -> Command, share: &Path) -> Result<()> {
    for (shell, folder, before, behind) in COMPLETIONS {
        for program in PROGRAMS {
            let script = output(bitnet().args(["completions", shell, "--program", program]))?;
            write(&share.join(folder).join(format!("{before}{program}{behind}")), &script)?;
        }
    }
    Ok(())
}

/// Makes a folder and those in it what they are in every package, whatever the umask: others may enter and read them.
fn open_folders(folder: &Path) -> Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_folders(&entry.path())?;
        }
    }
    Ok(())
}

fn place(from: &Path, to: &Path, mode: u32) -> Result<()> {
    fs::create_dir_all(to.parent().context("a file without a folder")?)?;
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(path.parent().context("a file without a folder")?)?;
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))?;
    Ok(())
}

/// The version of the C library that a program needs: the largest of its symbols' versions.
fn needed_glibc(program: &Path, machine: Architecture) -> Result<(u32, u32)> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let file = object::File::parse(&*bytes).with_context(|| format!("cannot read {}", program.display()))?;
    if file.architecture() != machine {
        bail!("{} is a program for {:?}, not for {machine:?}", program.display(), file.architecture());
    }
    let names =
        file.section_by_name(".dynstr").context("a program without dynamic symbols")?.data()?.to_vec();
    let versions = names.split(|&byte| byte == 0).filter_map(|name| {
        let (major, minor) = std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_")?.split_once('.')?;
        Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
    });
    versions.max().with_context(|| format!("{} names no version of the C library", program.display()))
}

/// What the files take when installed.
fn kibibytes(root: &Path) -> Result<u64> {
    let sizes = output(Command::new("du").args(["-sk", "--apparent-size"]).arg(root))?;
    let number = sizes.split_whitespace().next().and_then(|number| number.parse().ok());
    number.with_context(|| format!("du printed {sizes:?}"))
}

fn control(version: &str, architecture: &str, (major, minor): (u32, u32), kibibytes: u64) -> String {
    format!(
        "Package: {NAME}\nVersion: {version}-1\nArchitecture: {architecture}\nSection: science\nPriority: optional\n\
         Maintainer: The bitnet-edge contributors\nInstalled-Size: {kibibytes}\nDepends: libc6 (>= {major}.{minor}), libgcc-s1\n\
         Homepage: {}\nDescription: runs BitNet b1.58 and other GGUF language models\n {}\n",
        env!("CARGO_PKG_REPOSITORY"),
        DESCRIPTION.join("\n ")
    )
}

const DESCRIPTION: [&str; 5] = [
    "A program that runs ternary and other block-quantized language models on the",
    "CPU: bitnet. It picks the kernels for the processor when it starts, and gives",
    "the same logits, bit for bit, with all of them. It carries a small story model.",
    "bitnet-pack converts models to flash images, which are executed in place,",
    "inspects and verifies them.",
];

const COPYRIGHT: &str = "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: bitnet-edge

Files: *
Copyright: The bitnet-edge contributors
License: Expat or Apache-2.0
Comment: The texts are LICENSE-MIT and LICENSE-APACHE beside this file. THIRD_PARTY.md
 lists data of others; tinystories-micro.md describes the model in bitnet.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_files_have_what_dpkg_asks_for() {
        let control = control("1.2.3", "arm64", (2, 34), 4096);
        for line in [
            "Package: bitnet-edge",
            "Version: 1.2.3-1",
            "Architecture: arm64",
            "Installed-Size: 4096",
            "Depends: libc6 (>= 2.34), libgcc-s1",
            " inspects and verifies them.",
        ] {
            assert!(control.lines().any(|found| found == line), "{control}");
        }
        assert!(control.ends_with('\n') && !control.contains("\n\n"), "{control}");
    }

    #[test]
    fn modes_are_those_of_a_package_whatever_the_umask() {
        let root = std::env::temp_dir().join(format!("bitnet-edge-deb-{}", std::process::id()));
        let [file, folder] = [root.join("usr/share/text"), root.join("usr/share")];
        write(&file, "text").unwrap();
        for folder in [&folder, &root.join("usr"), &root] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
        }
        open_folders(&root).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let modes = [&root, &root.join("usr"), &folder, &file].map(|path| mode(path));
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(modes, [0o755, 0o755, 0o755, 0o644]);
    }

    #[test]
    fn versions_compare_as_numbers() {
        let this = std::env::current_exe().unwrap();
        let machine = object::File::parse(&*fs::read(&this).unwrap()).unwrap().architecture();
        assert!(needed_glibc(&this, machine).unwrap() >= (2, 2));
        assert!(needed_glibc(&this, Architecture::Avr).unwrap_err().to_string().contains("Avr"));
    }
}
