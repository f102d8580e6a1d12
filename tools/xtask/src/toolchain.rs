//! A compiler that has `core` for the bare-metal targets.
//!
//! The ordinary one is rustup's. On a machine that reaches package registries only, as CI does, Debian's compiler serves: it
//! comes with the sources of the standard library, from which `core` is built once and kept in the user's cache.

pub(crate) mod linux;

use crate::command::{self, Missing, output, run};
use crate::paths;
use anyhow::{Context as _, Result, bail};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The targets without an operating system that core and kernels are built for in every test run. The last one also stands for
/// Linux on 32-bit ARM, whose standard library Debian's compiler does not have.
pub(crate) const BARE_METAL: [&str; 5] = [
    "thumbv7em-none-eabihf",
    "thumbv8m.main-none-eabihf",
    "riscv32imac-unknown-none-elf",
    "aarch64-unknown-none",
    "armv7a-none-eabihf",
];

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_CLIPPY: &str = "/usr/bin/cargo-clippy";
const DEBIAN_SOURCES: &str = "/usr/lib/rustlib/src/rust/library/core";
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-19"];
/// The first version that compiles this workspace (`rust-version` in Cargo.toml).
const MINIMUM: (u32, u32) = (1, 95);

/// Which compiler builds for the bare-metal targets.
pub(crate) enum Toolchain {
    /// The one that runs this program.
    Active,
    /// Debian's, with `core` for the targets in this sysroot.
    Debian { sysroot: PathBuf },
}

impl Toolchain {
    /// Finds a toolchain for some of [`BARE_METAL`], or sets one up.
    pub(crate) fn bare_metal(targets: &[&'static str]) -> Result<Self> {
        let has_core = |sysroot: &Path| without_core(sysroot, targets).is_empty();
        if has_core(&sysroot_of(Command::new("rustc").current_dir(paths::root()))?) {
            return Ok(Self::Active);
        }
        if debian_version().is_some_and(|version| version >= MINIMUM) {
            let own = sysroot_of(&mut Command::new(DEBIAN_RUSTC))?;
            if has_core(&own) {
                return Ok(Self::Debian { sysroot: own });
            }
        }
        if !debian_is_complete() {
            install_debian_packages(targets)?;
        }
        let sysroot = paths::cache().join(format!("sysroot-{}", release(DEBIAN_RUSTC)?));
        if !has_core(&sysroot) {
            build_sysroot(&sysroot, targets)?;
        }
        Ok(Self::Debian { sysroot })
    }

    /// The compiler's version, such as `1.96.0`.
    pub(crate) fn version(&self) -> Result<String> {
        match self {
            Self::Active => release("rustc"),
            Self::Debian { .. } => release(DEBIAN_RUSTC),
        }
    }

    /// `cargo clippy` for one of the targets.
    pub(crate) fn clippy(&self, target: &str) -> Result<Command> {
        if matches!(self, Self::Debian { .. }) {
            need_debian_clippy()?;
        }
        Ok(self.cargo("clippy", target))
    }

    /// `cargo SUBCOMMAND --release` for one of the targets, in a target folder of its own.
    pub(crate) fn cargo(&self, subcommand: &str, target: &str) -> Command {
        self.cargo_with(subcommand, target, &[])
    }

    /// The same with flags for the compiler, in place of those of the environment.
    pub(crate) fn cargo_with(&self, subcommand: &str, target: &str, flags: &[&str]) -> Command {
        let mut all = OsString::from(flags.join("\x1f"));
        let mut command = match self {
            Self::Active => command::cargo(subcommand),
            Self::Debian { sysroot } => {
                let mut command = debian_cargo(subcommand);
                let linker =
                    format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace(['-', '.'], "_"));
                if !all.is_empty() {
                    all.push("\x1f");
                }
                all.push("--sysroot\x1f");
                all.push(sysroot);
                command.env(linker, "ld.lld-19");
                command
            }
        };
        if !all.is_empty() {
            command.env("CARGO_ENCODED_RUSTFLAGS", all);
        }
        command
            .args(["--release", "--target", target, "--target-dir"])
            .arg(paths::target().join("bare-metal"));
        command
    }
}

/// Debian's cargo with Debian's compiler, whatever rustup has put into the environment.
fn debian_cargo(subcommand: &str) -> Command {
    // Cargo would take rustup's Clippy, which lies in its own folder, with another compiler.
    let program = if subcommand == "clippy" { DEBIAN_CLIPPY } else { DEBIAN_CARGO };
    let mut command = Command::new(program);
    command.current_dir(paths::root()).arg(subcommand).env("CARGO", DEBIAN_CARGO).env("RUSTC", DEBIAN_RUSTC);
    command.env_remove("RUSTFLAGS");
    command
}

/// Clippy of the compiler that builds for other targets, installed if that is Debian's and it is missing.
///
/// # Errors
/// [`Missing`], with the command.
fn need_debian_clippy() -> Result<()> {
    const PACKAGE: &str = "rust-web-clippy";
    if Path::new(DEBIAN_CLIPPY).is_file() {
        return Ok(());
    }
    if !command::is_root_of_debian()? {
        bail!(Missing { what: "Clippy".to_owned(), command: format!("sudo apt-get install {PACKAGE}") });
    }
    run(Command::new("apt-get").args(["-q", "update"]))?;
    command::apt_install(&[PACKAGE])
}

fn sysroot_of(rustc: &mut Command) -> Result<PathBuf> {
    Ok(PathBuf::from(output(rustc.args(["--print", "sysroot"]))?.trim_end()))
}

/// Those of the targets that a sysroot has no `core` for.
fn without_core(sysroot: &Path, targets: &[&'static str]) -> Vec<&'static str> {
    let has = |target: &str| {
        let files = fs::read_dir(lib_folder(sysroot, target)).into_iter().flatten().flatten();
        files.map(|file| file.file_name()).any(|name| name.to_string_lossy().starts_with("libcore-"))
    };
    targets.iter().copied().filter(|target| !has(target)).collect()
}

fn lib_folder(sysroot: &Path, target: &str) -> PathBuf {
    sysroot.join("lib/rustlib").join(target).join("lib")
}

/// `1.96.0` of `rustc 1.96.0 (…)`.
fn release(rustc: &str) -> Result<String> {
    let version = output(Command::new(rustc).arg("--version"))?;
    version
        .split(' ')
        .nth(1)
        .map(str::to_owned)
        .with_context(|| format!("{rustc} --version printed {version:?}"))
}

fn debian_version() -> Option<(u32, u32)> {
    if !Path::new(DEBIAN_RUSTC).is_file() {
        return None;
    }
    major_minor(&release(DEBIAN_RUSTC).ok()?)
}

fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn debian_is_complete() -> bool {
    debian_version().is_some_and(|version| version >= MINIMUM)
        && Path::new(DEBIAN_CARGO).is_file()
        && Path::new(DEBIAN_SOURCES).is_dir()
        && command::find("ld.lld-19").is_some()
}

/// Only root on a Debian whose archive has a compiler new enough can be helped; everyone else is told the ordinary way.
fn install_debian_packages(targets: &[&str]) -> Result<()> {
    let rustup = || Missing {
        what: format!("the standard library for {}", targets.join(" and ")),
        command: format!("rustup target add {}", targets.join(" ")),
    };
    if !command::is_root_of_debian()? {
        bail!(rustup());
    }
    run(Command::new("apt-get").args(["-q", "update"]))?;
    let policy = output(Command::new("apt-cache").args(["policy", DEBIAN_PACKAGES[0]]))?;
    let candidate =
        policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: ")).and_then(major_minor);
    if candidate.is_none_or(|version| version < MINIMUM) {
        bail!(rustup());
    }
    eprintln!("the active toolchain has no core for {}: installing Debian's compiler", targets.join(", "));
    command::apt_install(&DEBIAN_PACKAGES)
}

/// Builds `core` and `alloc` from Debian's sources for those of the targets that the sysroot lacks.
///
/// `RUSTC_BOOTSTRAP` is for this step only: it stands in for the prebuilt library that rustup would download.
fn build_sysroot(sysroot: &Path, targets: &[&'static str]) -> Result<()> {
    let targets = without_core(sysroot, targets);
    eprintln!("building core for {} (once; about 45 s each)", targets.join(", "));
    let stub = paths::target().join("sysroot-stub");
    fs::create_dir_all(stub.join("src"))?;
    fs::write(stub.join("src/lib.rs"), "#![no_std]\n")?;
    fs::write(stub.join("Cargo.toml"), STUB_MANIFEST)?;
    let mut build = debian_cargo("build");
    build
        .current_dir(&stub)
        .args([
            "--release",
            "-Zbuild-std=core,alloc",
            "-Zbuild-std-features=compiler-builtins-mem",
            "--target-dir",
        ])
        .arg(stub.join("target"))
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", "-Cembed-bitcode=yes");
    for target in &targets {
        build.args(["--target", target]);
    }
    run(&mut build)?;
    for target in targets {
        install_libraries(
            &stub.join("target").join(target).join("release/deps"),
            &lib_folder(sysroot, target),
        )?;
    }
    fs::remove_dir_all(&stub).context("cannot remove the build folder of core")
}

const STUB_MANIFEST: &str = r#"[package]
name = "sysroot-stub"
version = "0.0.0"
edition = "2024"

[workspace]

[profile.release]
panic = "abort"

# One function an object file, as in the official builds: the linker then takes only what is called.
[profile.release.package.compiler_builtins]
codegen-units = 10000
"#;

/// Copies the libraries beside their final place, then renames: an interrupted copy is never taken for a whole one.
fn install_libraries(built: &Path, lib: &Path) -> Result<()> {
    let partial = lib.with_extension("partial");
    fs::create_dir_all(&partial)?;
    for file in fs::read_dir(built).with_context(|| format!("cannot read {}", built.display()))? {
        let file = file?;
        let name = file.file_name();
        if is_library(&name.to_string_lossy()) {
            fs::copy(file.path(), partial.join(name))?;
        }
    }
    if lib.exists() {
        fs::remove_dir_all(lib)?;
    }
    fs::rename(&partial, lib).with_context(|| format!("cannot install {}", lib.display()))
}

fn is_library(name: &str) -> bool {
    const CRATES: [&str; 4] =
        ["libcore-", "liballoc-", "libcompiler_builtins-", "librustc_std_workspace_core-"];
    CRATES.iter().any(|stem| name.starts_with(stem)) && (name.ends_with(".rlib") || name.ends_with(".rmeta"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_and_not_there_is_missing() {
        let sysroot = std::env::temp_dir().join(format!("bitnet-edge-sysroot-{}", std::process::id()));
        let [first, second, ..] = BARE_METAL;
        fs::create_dir_all(lib_folder(&sysroot, first)).unwrap();
        fs::write(lib_folder(&sysroot, first).join("libcore-12.rlib"), "").unwrap();
        let missing = [&[first][..], &[second], &[first, second]].map(|all| without_core(&sysroot, all));
        fs::remove_dir_all(&sysroot).unwrap();
        assert_eq!(missing, [vec![], vec![second], vec![second]]);
    }
}
