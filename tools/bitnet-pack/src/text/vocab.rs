//! A vocabulary as a model file has it.

use anyhow::Context as _;

use crate::gguf::{FromValue, Gguf, List};

/// How the tokens of a vocabulary are written and merged (`tokenizer.ggml.model`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VocabModel {
    /// `gpt2`: byte-level BPE with a list of merges.
    Bpe,
    /// `llama`: `SentencePiece`, with a score for every token.
    Spm,
}

impl VocabModel {
    /// The model that `tokenizer.ggml.model` names.
    pub fn from_gguf_name(name: &str) -> anyhow::Result<Self> {
        match name {
            "gpt2" => Ok(Self::Bpe),
            "llama" => Ok(Self::Spm),
            "bert" | "t5" | "rwkv" | "gemma4" | "plamo2" => anyhow::bail!(
                "the tokenizer model {name:?} is not supported: it is another algorithm than \"gpt2\" (BPE) and \"llama\" \
                 (SentencePiece), which are"
            ),
            _ => anyhow::bail!(
                "unknown tokenizer model {name:?}: supported are \"gpt2\" (BPE) and \"llama\" (SentencePiece)"
            ),
        }
    }
}

/// A vocabulary, in the terms of the GGUF keys `tokenizer.ggml.*`.
#[derive(Clone, Debug)]
pub struct Vocab {
    /// `model`.
    pub model: VocabModel,
    /// `pre`: the pre-tokenizer's name.
    pub pre: String,
    /// `tokens`, as they are written there: byte-level BPE with its alphabet, `SentencePiece` with U+2581 for spaces.
    pub tokens: Vec<String>,
    /// `token_type`: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. Empty: all are normal.
    pub types: Vec<i32>,
    /// `scores`, for `SentencePiece`.
    pub scores: Vec<f32>,
    /// `merges`, for BPE: the two halves, which a space separates in the file.
    pub merges: Vec<(String, String)>,
    /// `bos_token_id`.
    pub bos: Option<u32>,
    /// `eos_token_id`.
    pub eos: Option<u32>,
    /// `eot_token_id`.
    pub eot: Option<u32>,
    /// `eom_token_id`.
    pub eom: Option<u32>,
    /// `unknown_token_id`.
    pub unk: Option<u32>,
    /// `padding_token_id`.
    pub pad: Option<u32>,
    /// `add_bos_token`; absent: as the model usually has it.
    pub add_bos: Option<bool>,
    /// `add_eos_token`; absent: no.
    pub add_eos: Option<bool>,
    /// `add_space_prefix`; absent: yes for `SentencePiece`, no for BPE.
    pub add_space_prefix: Option<bool>,
}

impl Vocab {
    /// A vocabulary of these tokens, without special ones.
    pub fn new(model: VocabModel, pre: &str, tokens: Vec<String>) -> Self {
        Self {
            model,
            pre: pre.to_owned(),
            tokens,
            types: Vec::new(),
            scores: Vec::new(),
            merges: Vec::new(),
            bos: None,
            eos: None,
            eot: None,
            eom: None,
            unk: None,
            pad: None,
            add_bos: None,
            add_eos: None,
            add_space_prefix: None,
        }
    }

    /// Reads the vocabulary of a model file; `None` if the file has none.
    pub fn from_gguf(gguf: &Gguf<'_>) -> anyhow::Result<Option<Self>> {
        let Some(model) = gguf.get::<&str>("tokenizer.ggml.model")? else { return Ok(None) };
        let model = VocabModel::from_gguf_name(model)?;
        let pre = gguf.get("tokenizer.ggml.pre")?.unwrap_or("default");
        let tokens = list::<&str>(gguf, "tokens")?.into_iter().map(str::to_owned).collect();
        let mut vocab = Self::new(model, pre, tokens);
        vocab.types = list(gguf, "token_type")?;
        vocab.scores = list(gguf, "scores")?;
        let merges = list::<&str>(gguf, "merges")?;
        vocab.merges = merges.into_iter().map(Self::split_merge).collect::<anyhow::Result<_>>()?;
        let id = |key: &str| gguf.get::<u32>(&format!("tokenizer.ggml.{key}_token_id"));
        vocab.bos = id("bos")?;
        vocab.eos = id("eos")?;
        vocab.eot = id("eot")?;
        vocab.eom = id("eom")?;
        vocab.unk = id("unknown")?;
        vocab.pad = id("padding")?;
        vocab.add_bos = gguf.get("tokenizer.ggml.add_bos_token")?;
        vocab.add_eos = gguf.get("tokenizer.ggml.add_eos_token")?;
        vocab.add_space_prefix = gguf.get("tokenizer.ggml.add_space_prefix")?;
        Ok(Some(vocab))
    }

    /// Splits an entry of `merges` at its space. The halves of byte-level BPE have no space of their own; the first
    /// byte is skipped, as other readers do.
    pub fn split_merge(entry: &str) -> anyhow::Result<(String, String)> {
        let split = entry.char_indices().skip(1).find(|&(_, character)| character == ' ');
        match split.and_then(|(at, _)| Some((entry.get(..at)?, entry.get(at + 1..)?))) {
            Some((left, right)) if !right.is_empty() => Ok((left.to_owned(), right.to_owned())),
            _ => anyhow::bail!("the merge {entry:?} is not two tokens with a space between them"),
        }
    }

    /// The type of a token, 1 (normal) where the file has none.
    pub(crate) fn kind(&self, id: usize) -> i32 {
        self.types.get(id).copied().unwrap_or(NORMAL)
    }
}

fn list<'a, T: FromValue<'a>>(gguf: &Gguf<'a>, key: &str) -> anyhow::Result<Vec<T>> {
    let key = format!("tokenizer.ggml.{key}");
    let list = gguf.get::<List<'a, T>>(&key).context("the vocabulary cannot be read")?;
    Ok(list.map(|list| list.iter().collect()).unwrap_or_default())
}

pub(crate) const NORMAL: i32 = 1;
pub(crate) const CONTROL: i32 = 3;
pub(crate) const USER_DEFINED: i32 = 4;
pub(crate) const UNUSED: i32 = 5;
pub(crate) const BYTE: i32 = 6;
