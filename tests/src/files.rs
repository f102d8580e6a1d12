//! Where the tests find their data.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// The root of the workspace.
#[must_use]
pub fn root() -> &'static Path {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().unwrap_or(crate_folder)
}

/// What `cargo xtask fetch` obtained: the folder `BITNET_EDGE_FETCHED`, else `target/fetched`.
#[must_use]
pub fn fetched() -> PathBuf {
    env::var_os("BITNET_EDGE_FETCHED").map_or_else(|| root().join("target/fetched"), PathBuf::from)
}

/// Reads a file, at a path from the root of the workspace or an absolute one.
///
/// # Panics
/// If that fails; the message names the file.
#[must_use]
pub fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = root().join(path);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Reads a JSON file, as [`read`].
///
/// # Panics
/// If that fails; the message names the file.
#[must_use]
pub fn read_json<T: DeserializeOwned>(path: impl AsRef<Path>) -> T {
    let path = path.as_ref();
    serde_json::from_slice(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
