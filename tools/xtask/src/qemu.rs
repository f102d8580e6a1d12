//! QEMU: the system's, or, on a Debian that may be changed as in CI, one installed from its archive.

use crate::command::{self, Unsupported, output, run};
use crate::paths;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The first major version that has every processor and machine of the tests (raspi4b came with 9).
const OLDEST: u32 = 9;

/// A program of QEMU, and the packages of Debian that it comes in.
pub(crate) struct Qemu {
    program: &'static str,
    packages: &'static [&'static str],
}

/// Runs Linux programs of other architectures: `qemu-aarch64`, `qemu-arm`.
pub(crate) const USER: Qemu = Qemu { program: "qemu-aarch64", packages: &["qemu-user"] };

/// Runs ARM boards: `qemu-system-aarch64`, `qemu-system-arm`.
pub(crate) const SYSTEM_ARM: Qemu = Qemu {
    program: "qemu-system-aarch64",
    // Named one by one: apt would keep the older ones of the release otherwise.
    packages: &["qemu-system-arm", "qemu-system-common", "qemu-system-data"],
};

/// Runs RISC-V boards.
pub(crate) const SYSTEM_RISCV: Qemu = Qemu {
    program: "qemu-system-riscv32",
    packages: &["qemu-system-riscv", "qemu-system-common", "qemu-system-data"],
};

impl Qemu {
    /// Makes sure that the program is there, in a version that is new enough.
    ///
    /// # Errors
    /// [`Unsupported`] where it is not, and cannot be installed without asking: what the user can type.
    pub(crate) fn ready(&self) -> Result<()> {
        if self.version().is_some_and(|version| version >= OLDEST) {
            return Ok(());
        }
        if !command::is_root_of_debian()? {
            bail!(Unsupported(self.advice()));
        }
        eprintln!("{} {OLDEST} or later is not here: installing it", self.program);
        self.install()?;
        match self.version() {
            Some(version) if version >= OLDEST => Ok(()),
            _ => bail!(Unsupported(self.advice())),
        }
    }

    fn advice(&self) -> String {
        format!(
            "{} {OLDEST} or later is missing; install it, for example with `sudo apt-get install {}` (Debian 12 has it in \
             bookworm-backports), `sudo dnf install {}` or `brew install qemu`",
            self.program,
            self.packages[0],
            self.packages[0].replace("-arm", "-aarch64")
        )
    }

    /// The major version of what is installed.
    fn version(&self) -> Option<u32> {
        let result = Command::new(self.program).arg("--version").stderr(Stdio::null()).output().ok()?;
        major(&String::from_utf8(result.stdout).ok()?)
    }

    /// From the release if it has a version that is new enough, else from its backports.
    fn install(&self) -> Result<()> {
        run(Command::new("apt-get").args(["-q", "update"]))?;
        let policy = output(Command::new("apt-cache").args(["policy", self.packages[0]]))?;
        let candidate = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
        if candidate.and_then(debian_major).is_some_and(|version| version >= OLDEST) {
            return command::apt_install(self.packages);
        }
        let release = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
        let (Some("debian"), Some(codename)) =
            (value_of(&release, "ID"), value_of(&release, "VERSION_CODENAME"))
        else {
            bail!(Unsupported(self.advice()));
        };
        let suite = format!("{codename}-backports");
        let sources = format!("Dir::Etc::SourceParts={}", sources_with(&suite)?.display());
        // The lists of the system's own sources stay as they are.
        run(Command::new("apt-get").args([
            "-q",
            "update",
            "-o",
            &sources,
            "-o",
            "APT::Get::List-Cleanup=0",
        ]))?;
        let options = ["-o", &sources, "-t", &suite];
        command::apt_install(&[&options[..], self.packages].concat())
    }
}

/// A folder of package sources: the system's, and a suite of Debian. The system's own folder is not changed.
fn sources_with(suite: &str) -> Result<PathBuf> {
    let folder = paths::target().join("apt-sources");
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten() {
        fs::copy(entry.path(), folder.join(entry.file_name()))?;
    }
    let keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let signed = if Path::new(keys).is_file() { format!("[signed-by={keys}] ") } else { String::new() };
    let line = format!("deb {signed}http://deb.debian.org/debian {suite} main\n");
    // Behind the system's in the order of names, under one that no package uses.
    fs::write(folder.join("zz-bitnet-edge-backports.list"), line)?;
    std::path::absolute(&folder).context("the target folder has no absolute path")
}

/// `10` of `qemu-aarch64 version 10.0.2 (Debian …)`.
fn major(version: &str) -> Option<u32> {
    let (_, version) = version.split_once(" version ")?;
    version.split('.').next()?.parse().ok()
}

/// `10` of Debian's `1:10.0.2+ds-2`: what is in front of the colon is an epoch.
fn debian_major(version: &str) -> Option<u32> {
    let version = version.split_once(':').map_or(version, |(_, version)| version);
    version.split('.').next()?.parse().ok()
}

/// A value of `/etc/os-release`.
fn value_of<'a>(release: &'a str, key: &str) -> Option<&'a str> {
    let line = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.map(|value| value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(major("qemu-aarch64 version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright"), Some(10));
        assert_eq!(major("qemu-aarch64: not found"), None);
        assert_eq!(debian_major("1:7.2+dfsg-7+deb12u18+b3"), Some(7));
        assert_eq!(debian_major("10.1.0"), Some(10));
        assert_eq!(debian_major("(none)"), None);
        let release = "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(value_of(release, "ID"), Some("debian"));
        assert_eq!(value_of(release, "VERSION_ID"), Some("12"));
        assert_eq!(value_of(release, "VERSION"), None);
    }
}
