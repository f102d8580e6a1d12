//! The vocabulary of a GGUF file.

use anyhow::{Context, Result};

use crate::gguf::{Gguf, List};
use crate::text::{Vocab, VocabModel};

/// Reads `tokenizer.ggml.*`; `None` if the file has no vocabulary.
pub fn read(gguf: &Gguf<'_>) -> Result<Option<Vocab>> {
    let Some(model) = gguf.get::<&str>("tokenizer.ggml.model")? else { return Ok(None) };
    let tokens: List<'_, &str> = gguf.require("tokenizer.ggml.tokens")?;
    let pre = gguf.get::<&str>("tokenizer.ggml.pre")?.unwrap_or("default");
    let tokens = tokens.iter().map(str::to_owned).collect();
    let mut vocab = Vocab::new(VocabModel::from_gguf_name(model)?, pre, tokens);
    if let Some(types) = gguf.get::<List<'_, i32>>("tokenizer.ggml.token_type")? {
        vocab.types = types.iter().collect();
    }
    if let Some(scores) = gguf.get::<List<'_, f32>>("tokenizer.ggml.scores")? {
        vocab.scores = scores.iter().collect();
    }
    if let Some(merges) = gguf.get::<List<'_, &str>>("tokenizer.ggml.merges")? {
        vocab.merges =
            merges.iter().map(Vocab::split_merge).collect::<Result<_>>().context("tokenizer.ggml.merges")?;
    }
    let id = |name: &str| gguf.get::<u32>(&format!("tokenizer.ggml.{name}"));
    vocab.bos = id("bos_token_id")?;
    vocab.eos = id("eos_token_id")?;
    vocab.eot = id("eot_token_id")?;
    vocab.eom = id("eom_token_id")?;
    vocab.unk = id("unknown_token_id")?;
    vocab.pad = id("padding_token_id")?;
    let flag = |name: &str| gguf.get::<bool>(&format!("tokenizer.ggml.{name}"));
    vocab.add_bos = flag("add_bos_token")?;
    vocab.add_eos = flag("add_eos_token")?;
    vocab.add_space_prefix = flag("add_space_prefix")?;
    Ok(Some(vocab))
}
