//! The receipt of a board's last answer.

use anyhow::{Context, Result, bail, ensure};
use bitnet_edge_core::receipt::SCHEMA_VERSION;
use bitnet_edge_protocol::{Request, Response, decode};

use super::link::Link;
use crate::receipt::OwnedReceipt;

/// Bytes of a receipt at most: a board that is wrong does not fill this machine's memory.
const MOST_BYTES: usize = 16 << 20;

/// Asks for it, part by part.
pub(super) fn receipt(link: &mut Link) -> Result<OwnedReceipt> {
    let mut receipt = Vec::new();
    loop {
        let message = link.ask(&Request::Receipt { at: receipt.len() as u32 })?;
        let (_, Ok(Response::Receipt { at, total, bytes })) = decode(&message) else {
            bail!("{}", link.unexpected())
        };
        let end = receipt.len() + bytes.len();
        let fits = at as usize == receipt.len() && end <= total as usize && total as usize <= MOST_BYTES;
        if !fits || bytes.is_empty() {
            bail!("{}", link.unexpected());
        }
        receipt.extend_from_slice(bytes);
        if end == total as usize {
            return read(&receipt);
        }
    }
}

fn read(bytes: &[u8]) -> Result<OwnedReceipt> {
    let schema = postcard::take_from_bytes::<u32>(bytes).map(|(schema, _)| schema);
    let schema = schema.context("the board's receipt has no schema version")?;
    ensure!(
        schema == SCHEMA_VERSION,
        "the board writes receipts of schema version {schema}, and this program knows {SCHEMA_VERSION}: build the board's program \
         again with this version of bitnet-edge"
    );
    let (receipt, rest) = postcard::take_from_bytes(bytes).context("the board's receipt cannot be read")?;
    ensure!(rest.is_empty(), "the board's receipt has {} bytes too many", rest.len());
    Ok(receipt)
}
