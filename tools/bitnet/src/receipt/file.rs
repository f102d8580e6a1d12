//! The file of a receipt: JSON, with the hash of the canonical form and perhaps a signature.

use anyhow::{Context, Result, bail};
use bitnet_edge_core::receipt::{Digest, SCHEMA_VERSION};
use bitnet_pack::output::Destination;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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

    /// Reads the bytes of a file; the schema version first, for another one has other fields. All fields must be there, also those
    /// that have a default elsewhere.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| {
            let cut = if error.is_eof() { "it is truncated" } else { "it is not JSON" };
            anyhow::anyhow!("{cut}: {error}")
        })?;
        let schema = value.get("receipt").and_then(|receipt| receipt.get("schema"));
        match schema.and_then(Value::as_u64) {
            Some(version) if version == u64::from(SCHEMA_VERSION) => {}
            Some(version) => bail!("unknown schema version {version}: this program knows {SCHEMA_VERSION}"),
            None => bail!("it has no schema version: it is not a receipt"),
        }
        // From the text, not from the value, so that numbers are read once.
        let file: Self = serde_json::from_slice(bytes)
            .map_err(|error| anyhow::anyhow!("it does not have the form of a receipt: {error}"))?;
        let whole = serde_json::to_value(&file).context("the receipt cannot be written as JSON")?;
        if let Some(missing) = missing(&whole, &value, "") {
            bail!("it does not have the form of a receipt: {missing} is missing");
        }
        Ok(file)
    }
}

/// What is there and is not in the text: it was filled in by the reader, and the writer may have meant something else.
fn missing(whole: &Value, text: &Value, at: &str) -> Option<String> {
    match (whole, text) {
        (Value::Object(whole), Value::Object(text)) => whole.iter().find_map(|(key, value)| {
            let at = format!("{at}/{key}");
            match text.get(key) {
                Some(there) => missing(value, there, &at),
                None => Some(at),
            }
        }),
        (Value::Array(whole), Value::Array(text)) => {
            let mut pairs = whole.iter().zip(text).enumerate();
            pairs.find_map(|(i, (value, there))| match value {
                Value::Object(_) | Value::Array(_) => missing(value, there, &format!("{at}/{i}")),
                _ => None,
            })
        }
        _ => None,
    }
}
