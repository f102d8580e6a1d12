//! Texts as commands take them: from a file, or from stdin.

use std::fs;
use std::io::{Read, stdin};
use std::path::Path;

use anyhow::{Context, Result};

/// The bytes of a file; those of stdin for `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut text = Vec::new();
        stdin().lock().read_to_end(&mut text).context("cannot read stdin")?;
        return Ok(text);
    }
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
