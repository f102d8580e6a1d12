//! Every check that there is for a flash image.

use bitnet_edge_core::{Error, Model};

use crate::progress::{Progress, Unit};

/// Bytes between two signs of life.
const STEP: u64 = 4096;

/// Checks every byte of an image: checksums, bounds, tables. Gives the image digest.
///
/// # Errors
/// What is wrong, as an [`Error`] of an image.
pub fn image(bytes: &[u8]) -> Result<[u8; 32], Error> {
    let model = Model::new_checked(bytes)?;
    // Every byte is read twice: for its checksum, and for what it means.
    let progress = Progress::new("verify", Unit::Bytes, 2 * bytes.len() as u64);
    model.verify_between(&mut || progress.add(STEP))?;
    Ok(model.image().digest())
}
