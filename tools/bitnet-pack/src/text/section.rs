//! Writes a tokenizer section: `docs/tokenizer-format.md` is the specification.

use anyhow::{Context as _, ensure};
use bitnet_edge_core::text::format::{LONG, NONE};

use super::control::{EndOf, end_of};
use super::merges::MergeTables;
use super::tokenizer::TokenizerOptions;
use super::vocab::{BYTE, CONTROL, NORMAL, USER_DEFINED, Vocab, VocabModel};

/// What a tokenizer section is written from.
pub(crate) struct Section<'a> {
    pub(crate) vocab: &'a Vocab,
    pub(crate) options: TokenizerOptions,
    pub(crate) tokens: &'a [Vec<u8>],
    pub(crate) sorted: &'a [u32],
    pub(crate) merges: Option<&'a MergeTables>,
    pub(crate) ranks: Vec<u32>,
    pub(crate) ends: Vec<u32>,
}

impl Section<'_> {
    /// The bytes of the section.
    pub(crate) fn write(&self, notes: &mut Vec<String>) -> anyhow::Result<Vec<u8>> {
        let long: Vec<(u32, u32)> = (0_u32..)
            .zip(self.tokens)
            .filter(|(_, token)| token.len() >= usize::from(LONG))
            .map(|(id, token)| Ok((id, u32::try_from(token.len())?)))
            .collect::<anyhow::Result<_>>()?;
        let mut user: Vec<u32> = self.of_kind(|kind| kind == USER_DEFINED);
        user.retain(|&id| !self.tokens[id as usize].is_empty());
        user.sort_by_key(|&id| &self.tokens[id as usize]);
        let kinds = self.of_kind(|kind| kind != NORMAL);
        let pairs = self.merges.map_or(&[][..], |merges| &merges.pairs);
        let longest = self.sorted.iter().map(|&id| self.tokens[id as usize].len()).max().unwrap_or(0);
        let byte_tokens = self.byte_tokens()?;

        let mut out = Vec::new();
        out.extend(*b"BTOK");
        out.extend(1_u16.to_le_bytes());
        out.extend([if self.merges.is_some() { 1 } else { 2 }, pre_tokenizer(self.vocab)?]);
        let mut words = vec![self.flags(!byte_tokens.is_empty(), notes)];
        let total: usize = self.tokens.iter().map(Vec::len).sum();
        let counts = [self.tokens.len(), total, self.sorted.len(), long.len(), pairs.len(), self.ends.len()];
        for count in counts.into_iter().chain([user.len(), kinds.len(), longest]) {
            words.push(u32::try_from(count).context("the vocabulary is too large to pack")?);
        }
        let vocab = self.vocab;
        let eot = vocab.eot.or_else(|| self.turn_end(notes));
        words.extend([vocab.bos, vocab.eos, eot, vocab.unk, vocab.pad].map(|id| id.unwrap_or(NONE)));
        words.extend(self.starts()?);
        words.extend(self.first()?);
        words.extend(long.iter().flat_map(|&(id, len)| [id, len]));
        words.extend(pairs.iter().flat_map(|&(id, left_len, rank)| [id, left_len, rank]));
        words.extend(&self.ranks);
        words.extend(byte_tokens);
        words.extend(&self.ends);
        words.extend(user);
        words.extend(kinds.iter().map(|&id| id | (self.vocab.kind(id as usize) as u32) << 24));
        out.extend(words.into_iter().flat_map(u32::to_le_bytes));

        let id_bytes = if self.tokens.len() <= 1 << 16 { 2 } else { 3 };
        for id in self.sorted {
            out.extend(&id.to_le_bytes()[..id_bytes]);
        }
        out.extend(self.tokens.iter().map(|token| u8::try_from(token.len()).unwrap_or(LONG)));
        out.extend(self.merges.iter().flat_map(|merges| &merges.splits));
        out.extend(self.tokens.iter().flatten());
        Ok(out)
    }

    fn of_kind(&self, wanted: impl Fn(i32) -> bool) -> Vec<u32> {
        (0_u32..).take(self.tokens.len()).filter(|&id| wanted(self.vocab.kind(id as usize))).collect()
    }

    fn flags(&self, byte_tokens: bool, notes: &mut Vec<String>) -> u32 {
        let vocab = self.vocab;
        let is_spm = vocab.model == VocabModel::Spm;
        let is_llama3 =
            pre_tokenizer(vocab).is_ok_and(|pre| pre == 3) && !NOT_AS_LLAMA3.contains(&vocab.pre.as_str());
        let mut assume = |name: &str, value: Option<bool>, default| {
            value.unwrap_or_else(|| {
                if default {
                    notes.push(format!(
                        "{name} is not in the file: assumed to be true, as this tokenizer usually has it"
                    ));
                }
                default
            })
        };
        let flags = [
            assume("add_bos_token", vocab.add_bos, is_spm || is_llama3) && vocab.bos.is_some(),
            assume("add_eos_token", vocab.add_eos, false) && vocab.eos.is_some(),
            is_spm && assume("add_space_prefix", vocab.add_space_prefix, true),
            is_llama3,
            self.options.lowercase,
            !self.ranks.is_empty(),
            self.merges.is_some(),
            byte_tokens,
        ];
        flags.iter().rev().fold(0, |flags, &flag| flags << 1 | u32::from(flag))
    }

    /// The token that ends a turn, if the file does not say: a control token with a well-known name.
    fn turn_end(&self, notes: &mut Vec<String>) -> Option<u32> {
        let is_turn_end = |id: &u32| end_of(&self.vocab.tokens[*id as usize]) == Some(EndOf::Turn);
        let id = self.of_kind(|kind| kind == CONTROL).into_iter().find(is_turn_end)?;
        notes.push(format!(
            "the control token {id} {:?} ends a turn, by its name",
            self.vocab.tokens[id as usize]
        ));
        Some(id)
    }

    fn starts(&self) -> anyhow::Result<Vec<u32>> {
        let mut start = 0_usize;
        let mut starts = Vec::new();
        for block in self.tokens.chunks(16) {
            starts.push(u32::try_from(start).context("the vocabulary has more than 4 GiB of text")?);
            start += block.iter().map(Vec::len).sum::<usize>();
        }
        Ok(starts)
    }

    /// For every byte the number of sorted tokens that begin with a lower one; then the number of sorted tokens.
    fn first(&self) -> anyhow::Result<Vec<u32>> {
        let below =
            |byte: usize| self.sorted.partition_point(|&id| usize::from(self.tokens[id as usize][0]) < byte);
        (0..=256).map(|byte| Ok(u32::try_from(below(byte))?)).collect()
    }

    /// The fallback token of every byte, for `SentencePiece`; empty if there is none.
    fn byte_tokens(&self) -> anyhow::Result<Vec<u32>> {
        let ids = self.of_kind(|kind| kind == BYTE);
        if self.vocab.model == VocabModel::Bpe || ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut table = vec![NONE; 256];
        for id in ids {
            let slot = &mut table[usize::from(self.tokens[id as usize][0])];
            ensure!(*slot == NONE, "the tokens {} and {id} stand for the same byte", *slot);
            *slot = id;
        }
        Ok(table)
    }
}

/// Whether vocabularies with this `tokenizer.ggml.pre` can be packed.
#[must_use]
pub fn knows_pre_tokenizer(name: &str) -> bool {
    pre_tokenizer(&Vocab::new(VocabModel::Bpe, name, Vec::new())).is_ok()
}

/// The pre-tokenizers of `docs/tokenizer-format.md` from 1 on, each with the names (`tokenizer.ggml.pre`) that have its expressions.
const PRE_TOKENIZERS: [&[&str]; 8] = [
    &[
        "gpt-2",
        "phi-2",
        "mpt",
        "olmo",
        "jais",
        "trillion",
        "granite-docling",
        "exaone4",
        "gigachat",
        "a.x-4.0",
        "mellum",
        "jina-es",
        "jina-de",
        "jina-v2-es",
        "jina-v2-de",
        "modern-bert",
    ],
    &["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"],
    &[
        "llama-bpe",
        "llama3",
        "llama-v3",
        "falcon3",
        "falcon-h1",
        "pixtral",
        "midm-2.0",
        "lfm2",
        "jina-v5-nano",
        "dbrx",
        "smaug-bpe",
    ],
    &[
        "qwen2",
        "deepseek-r1-qwen",
        "kormo",
        "f2llmv2",
        "megrez",
        "stablelm2",
        "hunyuan",
        "solar-open",
        "grok-2",
    ],
    &["qwen35"],
    &["falcon"],
    &["deepseek-llm"],
    &["deepseek-coder"],
];

/// Of Llama 3's expression, but without its ways: a word that is a token need not be one, and a text has no beginning.
const NOT_AS_LLAMA3: [&str; 2] = ["dbrx", "smaug-bpe"];

fn pre_tokenizer(vocab: &Vocab) -> anyhow::Result<u8> {
    if vocab.model == VocabModel::Spm {
        return Ok(0);
    }
    let known = (1..).zip(PRE_TOKENIZERS).find(|(_, names)| names.contains(&vocab.pre.as_str()));
    let (id, _) = known.with_context(|| {
        let names = PRE_TOKENIZERS.map(|names| format!("\"{}\"", names[0])).join(", ");
        format!(
            "unknown pre-tokenizer {:?}: supported are {names}, and others that are equal to these. Without the right one \
             the model reads other words than it was trained on",
            vocab.pre
        )
    })?;
    Ok(id)
}
