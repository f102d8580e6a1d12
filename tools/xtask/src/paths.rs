//! Where things lie.

use std::env;
use std::path::{Path, PathBuf};

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).unwrap_or(crate_folder)
}

/// Cargo's target folder; tasks that need other flags or another compiler build in a folder inside it.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// What `cargo xtask fetch` obtains. The tests look in the same place: `BITNET_EDGE_FETCHED`, else `target/fetched`.
pub(crate) fn fetched() -> PathBuf {
    let folder =
        env::var_os("BITNET_EDGE_FETCHED").map_or_else(|| root().join("target/fetched"), PathBuf::from);
    std::path::absolute(&folder).unwrap_or(folder)
}

/// What is kept between clones: `XDG_CACHE_HOME`, else `~/.cache`; without a home it is the target folder.
pub(crate) fn cache() -> PathBuf {
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .map_or_else(target, |dir| dir.join("bitnet-edge"))
}
