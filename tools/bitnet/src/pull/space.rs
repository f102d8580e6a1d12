//! Room on the disk that the cache is on.

use std::path::Path;

use anyhow::{Result, ensure};

use super::list::megabytes;

/// Refuses to begin what cannot end: so many bytes in a folder.
pub(super) fn check(folder: &Path, bytes: u64) -> Result<()> {
    let Some(free) = free(folder) else { return Ok(()) };
    ensure!(
        bytes <= free,
        "there is not enough room: {} are to come, and {} are free in {}; HF_HOME or HF_HUB_CACHE names a cache on another disk",
        megabytes(bytes),
        megabytes(free),
        folder.display()
    );
    Ok(())
}

/// The bytes that may be written below a folder, where the system tells.
#[cfg(unix)]
fn free(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    // What has no blocks knows no limit.
    (disk.f_blocks > 0).then(|| disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free(_: &Path) -> Option<u64> {
    None
}
