//! Where an image comes from, as a record inside it.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Options;
use crate::gguf::Gguf;

/// The provenance section: postcard, fields in this order (`docs/image-format.md`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// `general.name` of the source.
    pub name: String,
    /// `general.architecture` of the source.
    pub architecture: String,
    /// `general.license` of the source, or empty.
    pub licence: String,
    /// Name of the source file.
    pub source_name: String,
    /// Bytes of the source file.
    pub source_bytes: u64,
    /// SHA-256 of the source file, in hex.
    pub source_sha256: String,
    /// The tool that made the image.
    pub tool: String,
    /// Its version.
    pub tool_version: String,
    /// Assumptions and losses.
    pub notes: Vec<String>,
}

impl Provenance {
    pub(super) fn new(
        gguf: &Gguf<'_>,
        options: &Options,
        source_sha256: &str,
        architecture: &str,
        notes: &[String],
    ) -> Result<Self> {
        let text = |key: &str| Ok::<_, anyhow::Error>(gguf.get::<&str>(key)?.unwrap_or_default().to_owned());
        Ok(Self {
            name: text("general.name")?,
            architecture: architecture.to_owned(),
            licence: text("general.license")?,
            source_name: options.source_name.clone(),
            source_bytes: gguf.file_bytes() as u64,
            source_sha256: source_sha256.to_owned(),
            tool: env!("CARGO_PKG_NAME").to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            notes: notes.to_vec(),
        })
    }

    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        postcard::to_allocvec(self).context("the provenance record cannot be written")
    }

    /// Reads the section.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        postcard::from_bytes(bytes).context("the provenance record cannot be read")
    }
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
