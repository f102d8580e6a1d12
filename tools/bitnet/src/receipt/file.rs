//! The file of a receipt: JSON, with the hash of the canonical form and perhaps a signature.

use anyhow::{Context, Result, bail};
use bitnet_edge_core::receipt::{Digest, SCHEMA_VERSION};
use bitnet_pack::output::Destination;
use serde::{Deserialize, Serialize};

use super::form::OwnedReceipt;
use super::keys::{Signature, SigningKey};

/// Bytes of a file that may be a receipt.
pub(crate) const MOST_BYTES: u64 = 64 << 20;

/// A receipt, and what vouches for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) receipt: OwnedReceipt,
    /// Of the canonical form: postcard.
    pub(crate) sha256: Digest,
    /// By whom, if by anyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signature: Option<Signature>,
}

impl File {
    /// The file of a receipt, signed if there is a key.
    pub(crate) fn new(receipt: OwnedReceipt, key: Option<&SigningKey>) -> Self {
        let sha256 = receipt.digest();
        Self { receipt, sha256, signature: key.map(|key| key.sign(&sha256)) }
    }

    /// The bytes of the file. What they say is read back and must be the same: a number that JSON cannot hold would be a receipt that
    /// never verifies.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).context("the receipt cannot be written as JSON")?;
        bytes.push(b'\n');
        let back: Self = serde_json::from_slice(&bytes).context("the receipt cannot be read back")?;
        if back.receipt.digest() != self.sha256 {
            bail!("the receipt is not the same when it is read back from JSON");
        }
        Ok(bytes)
    }

    /// Writes the file, whole or not at all.
    pub(crate) fn write(&self, to: &Destination) -> Result<()> {
        to.write(&self.bytes()?)
    }

    /// Reads the bytes of a file; the schema version first, for another one has other fields.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| {
            let cut = if error.is_eof() { "it is truncated" } else { "it is not JSON" };
            anyhow::anyhow!("{cut}: {error}")
        })?;
        let schema = value.get("receipt").and_then(|receipt| receipt.get("schema"));
        match schema.and_then(serde_json::Value::as_u64) {
            Some(version) if version == u64::from(SCHEMA_VERSION) => {}
            Some(version) => bail!("unknown schema version {version}: this program knows {SCHEMA_VERSION}"),
            None => bail!("it has no schema version: it is not a receipt"),
        }
        // From the text, not from the value, so that numbers are read once.
        serde_json::from_slice(bytes)
            .map_err(|error| anyhow::anyhow!("it does not have the form of a receipt: {error}"))
    }
}
