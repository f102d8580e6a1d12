//! Vocabularies out of GGUF files, and what packed tokenizers make of texts.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bitnet_edge_core::text::{Decoder, EncodeOptions, Tokenizer, encode, scratch_words};
use bitnet_pack::gguf::Gguf;
use bitnet_pack::text::Vocab;

/// The vocabulary of the GGUF file at `path`, and its chat template.
pub fn read_vocab(path: &Path) -> Result<(Vocab, Option<String>)> {
    let file = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let gguf = Gguf::parse(&file)?;
    let template = gguf.get::<&str>("tokenizer.chat_template")?.map(str::to_owned);
    Ok((Vocab::from_gguf(&gguf)?.context("the file has no vocabulary")?, template))
}

/// A file below the workspace root.
pub fn in_workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Where `cargo xtask fetch` puts what it obtains.
pub fn fetched(path: &str) -> PathBuf {
    std::env::var_os("BITNET_EDGE_FETCHED")
        .map_or_else(|| in_workspace("target/fetched"), PathBuf::from)
        .join(path)
}

/// The tokens of `text`, without marks at its ends.
pub fn tokens(tokenizer: &Tokenizer<'_>, text: &[u8]) -> Result<Vec<u32>> {
    let mut scratch = vec![0; scratch_words(text.len())];
    let mut ids = vec![0; 3 * text.len() + 3];
    let count = encode(tokenizer, text, &mut scratch, &mut ids, EncodeOptions::default())?;
    ids.truncate(count);
    Ok(ids)
}

/// The text of `ids`.
pub fn text(tokenizer: &Tokenizer<'_>, ids: &[u32]) -> Vec<u8> {
    let mut decoder = Decoder::at_start();
    ids.iter().flat_map(|&id| decoder.bytes(tokenizer, id)).copied().collect()
}
