//! A compiler and a linker for Linux on ARM.

use super::{
    DEBIAN_CARGO, DEBIAN_RUSTC, MINIMUM, debian_cargo, debian_version, lib_folder, need_debian_clippy,
    sysroot_of,
};
use crate::command::{self, Missing, output, run};
use crate::paths;
use anyhow::{Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A Linux that is compiled for from here.
pub(crate) struct Linux {
    pub(crate) target: &'static str,
    /// What Debian calls the architecture.
    pub(crate) architecture: &'static str,
    linker: &'static str,
    /// Debian's packages of the linker and the C library.
    packages: [&'static str; 2],
}

/// Boards and servers with a 64-bit ARM processor.
pub(crate) const AARCH64: Linux = Linux {
    target: "aarch64-unknown-linux-gnu",
    architecture: "arm64",
    linker: "aarch64-linux-gnu-gcc",
    packages: ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
};

/// What compiles for a [`Linux`].
pub(crate) struct Compiler {
    linux: &'static Linux,
    debian: bool,
}

impl Linux {
    /// Finds a compiler and a linker, or sets them up.
    ///
    /// # Errors
    /// [`Missing`] where they cannot be installed without asking: what the user can type.
    pub(crate) fn compiler(&'static self) -> Result<Compiler> {
        let active = sysroot_of(Command::new("rustc").current_dir(paths::root()))?;
        let debian = !self.has_std(&active);
        let linker = command::find(self.linker).is_some();
        if !linker || (debian && !self.debian_has_std()) {
            self.install(debian, linker)?;
        }
        Ok(Compiler { linux: self, debian })
    }

    /// Whether a sysroot has the standard library for the target.
    fn has_std(&self, sysroot: &Path) -> bool {
        let files = fs::read_dir(lib_folder(sysroot, self.target)).into_iter().flatten().flatten();
        files.map(|file| file.file_name()).any(|name| name.to_string_lossy().starts_with("libstd-"))
    }

    fn debian_has_std(&self) -> bool {
        debian_version().is_some_and(|version| version >= MINIMUM)
            && Path::new(DEBIAN_CARGO).is_file()
            && sysroot_of(&mut Command::new(DEBIAN_RUSTC)).is_ok_and(|sysroot| self.has_std(&sysroot))
    }

    /// Only root on a Debian whose archive has a compiler new enough can be helped; everyone else is told the ordinary way.
    fn install(&self, debian: bool, linker: bool) -> Result<()> {
        let library = format!("libstd-rust-web-dev:{}", self.architecture);
        if command::is_root_of_debian()? {
            run(Command::new("dpkg").args(["--add-architecture", self.architecture]))?;
            run(Command::new("apt-get").args(["-q", "update"]))?;
            if !debian {
                return command::apt_install(&self.packages);
            }
            let policy = output(Command::new("apt-cache").args(["policy", &library]))?;
            let candidate = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
            if candidate.and_then(super::major_minor).is_some_and(|version| version >= MINIMUM) {
                eprintln!("the active toolchain cannot compile for {}: installing Debian's", self.target);
                let packages = ["rustc-web", "cargo-web", &library, self.packages[0], self.packages[1]];
                return command::apt_install(&packages);
            }
        }
        let rustup = format!("rustup target add {}", self.target);
        let apt = format!("sudo apt-get install {}", self.packages.join(" "));
        let commands = [(debian, rustup), (!linker, apt)];
        let commands: Vec<_> =
            commands.into_iter().filter_map(|(needed, line)| needed.then_some(line)).collect();
        bail!(Missing {
            what: format!("what compiles for {}", self.target),
            command: commands.join("\n    ")
        })
    }
}

impl Compiler {
    /// `cargo clippy` for the target.
    pub(crate) fn clippy(&self) -> Result<Command> {
        if self.debian {
            need_debian_clippy()?;
        }
        Ok(self.cargo("clippy"))
    }

    /// `cargo SUBCOMMAND` for the target, in a target folder of its own.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = if self.debian { debian_cargo(subcommand) } else { command::cargo(subcommand) };
        let linker = format!("CARGO_TARGET_{}_LINKER", self.linux.target.to_uppercase().replace('-', "_"));
        command.env(linker, self.linux.linker);
        command.args(["--target", self.linux.target, "--target-dir"]).arg(Self::folder());
        command
    }

    /// Where it builds.
    pub(crate) fn folder() -> std::path::PathBuf {
        paths::target().join("linux-arm")
    }
}
