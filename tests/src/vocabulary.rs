//! Vocabularies out of GGUF files, and what packed tokenizers make of texts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use bitnet_edge_core::text::{Decoder, EncodeOptions, Tokenizer, encode, scratch_words};
use bitnet_pack::text::{Vocab, VocabModel};

/// A value of the metadata, as far as vocabularies need it.
#[derive(Clone, Debug)]
enum Value {
    Number(f64),
    Text(String),
    List(Vec<Value>),
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count).context("the metadata end too early")?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.bytes(N)?.try_into()?)
    }

    fn count(&mut self) -> Result<usize> {
        Ok(u64::from_le_bytes(self.array()?).try_into()?)
    }

    fn text(&mut self) -> Result<String> {
        let count = self.count()?;
        Ok(String::from_utf8(self.bytes(count)?.to_vec())?)
    }

    fn kind(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn value(&mut self, kind: u32) -> Result<Value> {
        Ok(Value::Number(match kind {
            0 | 7 => self.array::<1>()?[0].into(),
            1 => i8::from_le_bytes(self.array()?).into(),
            2 => u16::from_le_bytes(self.array()?).into(),
            3 => i16::from_le_bytes(self.array()?).into(),
            4 => u32::from_le_bytes(self.array()?).into(),
            5 => i32::from_le_bytes(self.array()?).into(),
            6 => f32::from_le_bytes(self.array()?).into(),
            8 => return Ok(Value::Text(self.text()?)),
            9 => {
                let (kind, count) = (self.kind()?, self.count()?);
                return Ok(Value::List((0..count).map(|_| self.value(kind)).collect::<Result<_>>()?));
            }
            10 => u64::from_le_bytes(self.array()?) as f64,
            11 => i64::from_le_bytes(self.array()?) as f64,
            12 => f64::from_le_bytes(self.array()?),
            _ => bail!("unknown type {kind} in the metadata"),
        }))
    }
}

/// The metadata of a GGUF file.
pub struct Metadata(HashMap<String, Value>);

impl Metadata {
    /// Reads the metadata of `path`.
    pub fn read(path: &Path) -> Result<Self> {
        let file = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut reader = Reader(&file);
        reader.bytes(16)?;
        let count = reader.count()?;
        let mut entries = HashMap::new();
        for _ in 0..count {
            let (key, kind) = (reader.text()?, reader.kind()?);
            entries.insert(key, reader.value(kind)?);
        }
        Ok(Self(entries))
    }

    /// The text of a key below `tokenizer.`.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.0.get(&format!("tokenizer.{key}"))? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn number(&self, key: &str) -> Option<f64> {
        match self.0.get(&format!("tokenizer.ggml.{key}"))? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    fn list<T>(&self, key: &str, item: impl Fn(&Value) -> Option<T>) -> Vec<T> {
        match self.0.get(&format!("tokenizer.ggml.{key}")) {
            Some(Value::List(list)) => list.iter().filter_map(item).collect(),
            _ => Vec::new(),
        }
    }

    /// The vocabulary.
    pub fn vocab(&self) -> Result<Vocab> {
        let text = |value: &Value| match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        };
        let number = |value: &Value| match value {
            Value::Number(number) => Some(*number),
            _ => None,
        };
        let model = VocabModel::from_gguf_name(self.text("ggml.model").context("no tokenizer.ggml.model")?)?;
        let mut vocab =
            Vocab::new(model, self.text("ggml.pre").unwrap_or("default"), self.list("tokens", text));
        vocab.types = self.list("token_type", |value| Some(number(value)? as i32));
        vocab.scores = self.list("scores", |value| Some(number(value)? as f32));
        let merges = self.list("merges", text);
        vocab.merges = merges.iter().map(|merge| Vocab::split_merge(merge)).collect::<Result<_>>()?;
        let id = |key| self.number(key).map(|id| id as u32);
        vocab.bos = id("bos_token_id");
        vocab.eos = id("eos_token_id");
        vocab.eot = id("eot_token_id");
        vocab.eom = id("eom_token_id");
        vocab.unk = id("unknown_token_id");
        vocab.pad = id("padding_token_id");
        let flag = |key| self.number(key).map(|flag| flag != 0.0);
        vocab.add_bos = flag("add_bos_token");
        vocab.add_eos = flag("add_eos_token");
        vocab.add_space_prefix = flag("add_space_prefix");
        Ok(vocab)
    }
}

/// A file below the workspace root.
pub fn in_workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
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

/// Where `cargo xtask fetch` puts what it obtains.
pub fn fetched(path: &str) -> PathBuf {
    std::env::var_os("BITNET_EDGE_FETCHED")
        .map_or_else(|| in_workspace("target/fetched"), PathBuf::from)
        .join(path)
}
