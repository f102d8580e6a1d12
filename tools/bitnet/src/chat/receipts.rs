//! Receipts of a conversation: one for each answer.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use bitnet_pack::output::Destination;
use clap::Args;

use crate::receipt::{Pending, SigningKey};

#[derive(Debug, Args)]
#[command(next_help_heading = "Proof")]
pub(crate) struct ReceiptsArgs {
    /// Write a receipt of each answer to this folder, which is new or empty: each goes over the whole conversation anew, and takes that much longer
    #[arg(long, value_name = "FOLDER")]
    receipts: Option<PathBuf>,
    /// Sign the receipts with this ed25519 key: PKCS #8 in PEM, or 64 hexadecimal digits
    #[arg(long, value_name = "KEY", requires = "receipts")]
    sign: Option<PathBuf>,
}

/// Where the receipts go, and how many there are.
pub(super) struct Receipts {
    folder: PathBuf,
    key: Option<SigningKey>,
    written: u32,
}

impl ReceiptsArgs {
    /// Makes the folder.
    pub(super) fn begin(&self) -> Result<Option<Receipts>> {
        let Some(folder) = &self.receipts else { return Ok(None) };
        let shown = folder.display();
        let key = self.sign.as_deref().map(SigningKey::read).transpose().context("--sign")?;
        fs::create_dir_all(folder).with_context(|| format!("--receipts: cannot make the folder {shown}"))?;
        let mut files = fs::read_dir(folder).with_context(|| format!("--receipts: cannot read {shown}"))?;
        ensure!(
            files.next().is_none(),
            "--receipts: {shown} is not empty; name a new folder, so that nothing is written over"
        );
        Ok(Some(Receipts { folder: folder.clone(), key, written: 0 }))
    }
}

impl Receipts {
    /// Added to the seed of the conversation, so that the same question is not answered with the same draws.
    pub(super) const fn draw(&self) -> u64 {
        self.written as u64
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Result<Pending> {
        let number = self.written.saturating_add(1);
        let file = self.folder.join(format!("answer-{number:03}.json"));
        let to = Destination::new_file(&file)?;
        self.written = number;
        Ok(Pending::new(to, self.key.clone()))
    }

    /// The one that was begun is not written: there was no answer.
    pub(super) const fn take_back(&mut self) {
        self.written = self.written.saturating_sub(1);
    }
}
