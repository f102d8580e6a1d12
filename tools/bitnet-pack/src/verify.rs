//! Every check that there is for a flash image.

use bitnet_edge_core::{Error, Model};

/// Checks every byte of an image: checksums, bounds, tables. Gives the image digest.
///
/// # Errors
/// What is wrong, as an [`Error`] of an image.
pub fn image(bytes: &[u8]) -> Result<[u8; 32], Error> {
    let model = Model::new_checked(bytes)?;
    model.verify()?;
    Ok(model.image().digest())
}
