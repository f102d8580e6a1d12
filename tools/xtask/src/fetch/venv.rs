//! A Python environment of our own under the fetched folder, for what comes from PyPI.

use crate::command::{self, Missing, run};
use crate::paths;
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub(crate) struct Venv {
    folder: PathBuf,
}

impl Venv {
    /// The environment; made if it is not there.
    pub(crate) fn open() -> Result<Self> {
        let venv = Self { folder: paths::fetched().join("venv") };
        if venv.pip("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
            return Ok(venv);
        }
        let missing = |what: &str, package: &str| Missing {
            what: what.to_owned(),
            command: format!("apt-get install {package}    (or your system's package of the same name)"),
        };
        if command::find("python3").is_none() {
            bail!(missing("python3", "python3 python3-venv"));
        }
        if run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv.folder)).is_err() {
            bail!(missing("a working `python3 -m venv`", "python3-venv"));
        }
        Ok(venv)
    }

    /// pip, not by its own name: its script names the folder that the environment was made in, which can have moved.
    pub(crate) fn pip(&self, subcommand: &str) -> Command {
        let mut command = self.command("python");
        command.args(["-m", "pip", "--disable-pip-version-check", subcommand]);
        command
    }

    /// A program of the environment.
    pub(crate) fn command(&self, program: &str) -> Command {
        Command::new(self.folder.join("bin").join(program))
    }

    /// Installs packages given as `name==version`.
    pub(crate) fn install(&self, requirements: &[&str]) -> Result<()> {
        run(self.pip("install").arg("-q").args(requirements))
    }
}
