//! Files that are whole or not there.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;

/// A place that a file can be written to.
#[derive(Debug)]
pub struct Destination {
    /// As the user named it.
    name: PathBuf,
    /// Behind symbolic links, which stay.
    path: PathBuf,
}

impl Destination {
    /// Checks what can be checked before any work is done. `source` must not be what is written over.
    pub fn new(name: &Path, source: &Path) -> Result<Self> {
        let shown = name.display();
        let path = fs::canonicalize(name).unwrap_or_else(|_| name.to_owned());
        if let Ok(there) = fs::metadata(&path) {
            if there.is_dir() {
                bail!("cannot write {shown}: it is a directory; name a file in it");
            }
            if !there.is_file() {
                bail!("cannot write {shown}: it is not a regular file, which an image could replace");
            }
            if fs::canonicalize(source).is_ok_and(|source| source == path) {
                bail!("cannot write {shown}: it is the model to convert; name another file with --output");
            }
        }
        let folder = folder(&path);
        if !folder.is_dir() {
            bail!("cannot write {shown}: the folder {} does not exist", folder.display());
        }
        Ok(Self { name: name.to_owned(), path })
    }

    /// The name that the user gave.
    #[must_use]
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// Writes a file beside its place and renames it: an interrupted or failed write changes nothing.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        let write = || -> std::io::Result<()> {
            let mut file = temporary(folder(&self.path))?;
            file.as_file_mut().write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(&self.path).map_err(|e| e.error)?;
            Ok(())
        };
        write().with_context(|| {
            format!("cannot write {} ({} bytes), nothing is changed", self.name.display(), bytes.len())
        })
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file that is removed unless it is renamed, and that is then as readable as any other.
fn temporary(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".bitnet-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Less what the user's mask takes away.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}
