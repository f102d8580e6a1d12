//! Texts as commands take them: from a file, or from stdin.

use std::fs;
use std::io::{Read, stdin};
use std::path::Path;

use anyhow::{Context, Result};

/// The bytes of a file; those of stdin for `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    if path == Path::new("-") {
        return read_stdin();
    }
    read_file(path)
}

/// The bytes of a file, whatever its name.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// All that stdin has.
pub(crate) fn read_stdin() -> Result<Vec<u8>> {
    let mut text = Vec::new();
    stdin().lock().read_to_end(&mut text).context("cannot read stdin")?;
    Ok(text)
}
