//! The canonical form: postcard.

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::form::{Digest, Form};
use super::record::Receipt;

/// Keeps the bytes from one place on, as many as there is room for, and counts all.
struct Window<'b> {
    from: usize,
    bytes: &'b mut [u8],
    written: usize,
    total: usize,
}

impl Flavor for Window<'_> {
    type Output = (usize, usize);

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        if self.total >= self.from
            && let Some(place) = self.bytes.get_mut(self.written)
        {
            *place = byte;
            self.written = self.written.saturating_add(1);
        }
        self.total = self.total.saturating_add(1);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Self::Output> {
        Ok((self.written, self.total))
    }
}

struct Hash(Sha256);

impl Flavor for Hash {
    type Output = Digest;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.update(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Self::Output> {
        Ok(Digest(self.0.finalize().into()))
    }
}

impl<F: Form> Receipt<F>
where
    Self: Serialize,
{
    /// Writes the bytes of the canonical form from `from` on, as many as there is room for: how many those are, and how many there are in
    /// all. A board sends its receipt so, and needs no memory for it.
    ///
    /// ```
    /// # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/receipt.rs")); }
    /// # use run::*;
    /// # let model = image();
    /// # let receipt = receipt(&model, 3)?;
    /// let (mut whole, mut end) = ([0; 2048], [0; 10]);
    /// let (_, total) = receipt.encode(0, &mut whole);
    /// assert_eq!(receipt.encode(total - 10, &mut end), (10, total));
    /// assert_eq!(end, whole[total - 10..total]);
    /// assert_eq!(receipt.encode(total, &mut end), (0, total));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn encode(&self, from: usize, bytes: &mut [u8]) -> (usize, usize) {
        let window = Window { from, bytes, written: 0, total: 0 };
        // Nothing here fails: a window takes all, and every sequence knows its length.
        postcard::serialize_with_flavor(self, window).unwrap_or_default()
    }

    /// SHA-256 of the canonical form.
    ///
    /// ```
    /// # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/receipt.rs")); }
    /// # use run::*;
    /// # let model = image();
    /// # let receipt = receipt(&model, 3)?;
    /// let mut edited = receipt.clone();
    /// edited.phases.load_us += 1;
    /// assert_ne!(edited.digest(), receipt.digest());
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn digest(&self) -> Digest {
        postcard::serialize_with_flavor(self, Hash(Sha256::new())).unwrap_or(Digest([0; 32]))
    }
}
