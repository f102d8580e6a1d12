//! `bitnet receipt`, and the receipts of the commands that run a model.

mod build;
mod check;
mod file;
mod form;
mod keys;
mod replay;
mod strict;
mod verify;

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bitnet_pack::output::Destination;
use clap::{Args, Subcommand};

pub(crate) use build::Facts;
use build::Program;
pub(crate) use form::OwnedReceipt;
pub(crate) use strict::check as strict;

use file::File;
pub(crate) use keys::SigningKey;
use verify::VerifyArgs;

pub(crate) const EXAMPLES: &str = "\
Examples:
  bitnet run --receipt run.json \"once upon a time\"
  bitnet receipt verify run.json --replay story
  bitnet receipt verify run.json --replay story --backend scalar
  bitnet receipt keygen me.key
  bitnet run --receipt run.json --sign me.key \"once upon a time\"
  bitnet receipt verify run.json --key me.key.pub
  bitnet device --qemu mps2-an500 --firmware FILE --receipt board.json \"once upon a time\"

Exit code 10: the receipt does not verify. docs/receipts.md says what a receipt proves, and what it does not.";

#[derive(Debug, Subcommand)]
pub(crate) enum ReceiptCommand {
    /// Check a receipt: form, hash, signature, counts; with --replay, run it again and compare
    #[command(after_help = EXAMPLES)]
    Verify(Box<VerifyArgs>),
    /// Make a key that signs receipts, and beside it, as FILE.pub, the public key that tells whether it did
    #[command(after_help = "Examples:\n  bitnet receipt keygen me.key")]
    Keygen(KeygenArgs),
}

#[derive(Debug, Args)]
pub(crate) struct KeygenArgs {
    /// Where the key goes; nothing is written over
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(crate) fn run(command: &ReceiptCommand) -> Result<()> {
    match command {
        ReceiptCommand::Verify(args) => verify::verify(args),
        ReceiptCommand::Keygen(args) => {
            let key = SigningKey::generate()?;
            let public = key.write(&args.file)?;
            let (file, open) = (args.file.display(), public.display());
            writeln!(stdout(), "{file}: keep it secret\n{open}: the public key {}", key.public())
                .context("cannot write to stdout")
        }
    }
}

/// Where the receipt of a run goes, and who signs it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Proof")]
pub(crate) struct ReceiptArgs {
    /// Write a receipt of the run: what ran, on what, and digests of all that came of it (JSON)
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Sign the receipt with this ed25519 key: PKCS #8 in PEM, or 64 hexadecimal digits
    #[arg(long, value_name = "KEY", requires = "receipt")]
    sign: Option<PathBuf>,
}

/// A receipt that will be written.
pub(crate) struct Pending {
    to: Destination,
    key: Option<SigningKey>,
    program: Program,
}

impl ReceiptArgs {
    /// Whether there will be one: it has the logit digest.
    pub(crate) const fn is_asked_for(&self) -> bool {
        self.receipt.is_some()
    }

    /// Checks what can be checked before anything runs: place and key. The model and the file of the prompt must not be replaced.
    pub(crate) fn begin(&self, model: &Path, prompt: Option<&Path>) -> Result<Option<Pending>> {
        let Some(path) = &self.receipt else { return Ok(None) };
        let key = self.sign.as_deref().map(SigningKey::read).transpose().context("--sign")?;
        let pending = Pending::new(Destination::new(path, model).context("--receipt")?, key);
        for (file, what) in [(self.sign.as_deref(), "key"), (prompt, "prompt")] {
            ensure!(
                !file.is_some_and(|file| pending.to.is(file)),
                "--receipt: cannot write {}: it is the {what}, which is read; name another file",
                path.display()
            );
        }
        Ok(Some(pending))
    }
}

impl Pending {
    /// One that will be written there.
    pub(crate) fn new(to: Destination, key: Option<SigningKey>) -> Self {
        Self { to, key, program: Program::begin() }
    }

    /// Where it will be.
    pub(crate) fn name(&self) -> &Path {
        self.to.name()
    }

    /// Writes that of a run on this machine.
    pub(crate) fn write(self, facts: &Facts<'_>) -> Result<()> {
        File::new(facts.receipt(self.program)?, self.key.as_ref()).write(&self.to)
    }

    /// Writes that of a run elsewhere.
    pub(crate) fn write_as_it_is(self, receipt: OwnedReceipt) -> Result<()> {
        File::new(receipt, self.key.as_ref()).write(&self.to)
    }
}
