//! Files that are in the cache already: whether they are still what was downloaded.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use bitnet_pack::convert::hex;
use bitnet_pack::progress::{Progress, Unit};
use sha2::{Digest, Sha256};

use super::address::Address;
use super::cache::renew;
use super::hub::is_sha256;

/// Refuses a file that has not the size or the digest that is listed of it, or was changed since the cache has it. Bytes are read only if
/// something was written to the file after its name was: then it must have the digest that it is kept under.
pub(super) fn check(name: &Path, bytes: Option<u64>, address: &Address) -> Result<()> {
    let there = fs::metadata(name)?.len();
    if let Some(bytes) = bytes {
        ensure!(there == bytes, "it has {there} bytes, and the one that was listed has {bytes}");
    }
    let blob = fs::canonicalize(name)?;
    let expected = blob.file_name().and_then(|name| name.to_str()).filter(|name| is_sha256(name));
    if let Some(digest) = expected {
        address.check_listed(digest)?;
    }
    let Some(expected) = expected.filter(|_| is_newer_than_its_name(name)) else { return Ok(()) };
    let found = digest(&blob)?;
    ensure!(
        found.eq_ignore_ascii_case(expected),
        "it was changed after it was downloaded: its SHA-256 is {found} and should be {expected}"
    );
    // A cache that cannot be written is one whose file is read again.
    let _ = renew(name);
    Ok(())
}

/// Whether something was written to a file after the link was made that names it.
pub(super) fn is_newer_than_its_name(name: &Path) -> bool {
    let times = (
        fs::metadata(name).and_then(|file| file.modified()),
        fs::symlink_metadata(name).and_then(|link| link.modified()),
    );
    matches!(times, (Ok(file), Ok(link)) if file > link)
}

/// The SHA-256 of a file.
pub(super) fn digest(path: &Path) -> Result<String> {
    let cannot = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(cannot)?;
    let progress = Progress::new("check", Unit::Bytes, file.metadata().with_context(cannot)?.len());
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let n = file.read(&mut buffer).with_context(cannot)?;
        if n == 0 {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(buffer.get(..n).unwrap_or_default());
        progress.add(n as u64);
    }
}
