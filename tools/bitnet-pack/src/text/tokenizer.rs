//! Packs a vocabulary into a tokenizer section: `docs/tokenizer-format.md` is the specification.

use std::collections::HashMap;

use anyhow::{Context as _, bail, ensure};
use bitnet_edge_core::text::Tokenizer;

use super::byte_level;
use super::merges::{MergeTables, merge_tables};
use super::vocab::{BYTE, CONTROL, NORMAL, USER_DEFINED, Vocab, VocabModel};

const NONE: u32 = u32::MAX;
const MAX_TOKENS: usize = 1 << 24;
const LONG: u8 = 0xff;
/// Names of control tokens that end a generation wherever they occur.
const END_NAMES: [&str; 9] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eom_id|>",
    "<EOT>",
    "</s>",
];

/// What is decided on import.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenizerOptions {
    /// Record that texts are put in lower case before they are encoded.
    pub lowercase: bool,
}

/// A packed section.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The bytes of the section.
    pub bytes: Vec<u8>,
    /// What was assumed, one sentence each, to be printed and recorded.
    pub notes: Vec<String>,
}

/// Packs a vocabulary, and proves that the tables say what the vocabulary says.
pub fn pack_tokenizer(vocab: &Vocab, options: TokenizerOptions) -> anyhow::Result<Packed> {
    check(vocab)?;
    let mut notes = Vec::new();
    let tokens = token_bytes(vocab, &mut notes)?;
    let sorted = sorted(vocab, &tokens, &mut notes);
    ensure!(!sorted.is_empty(), "the vocabulary has no token that text can become");
    let ids: HashMap<&[u8], u32> = sorted.iter().map(|&id| (&tokens[id as usize][..], id)).collect();
    let merges = match vocab.model {
        VocabModel::Bpe => {
            let merges = vocab.merges.iter().map(merge_bytes).collect::<anyhow::Result<Vec<_>>>()?;
            Some(merge_tables(&merges, &tokens, &ids)?)
        }
        VocabModel::Spm => None,
    };
    let ranks = match &merges {
        Some(merges) => merges.ranks.clone(),
        None => score_ranks(vocab, &sorted)?,
    };
    let ends = ends(vocab, &mut notes);
    let bytes =
        Section { vocab, options, tokens: &tokens, sorted: &sorted, merges: merges.as_ref(), ranks, ends }
            .write(&mut notes)?;
    prove(&bytes, &tokens, &sorted, merges.as_ref())?;
    Ok(Packed { bytes, notes })
}

fn check(vocab: &Vocab) -> anyhow::Result<()> {
    let count = vocab.tokens.len();
    ensure!((1..=MAX_TOKENS).contains(&count), "{count} tokens: between 1 and {MAX_TOKENS} can be packed");
    ensure!(
        vocab.types.is_empty() || vocab.types.len() == count,
        "{} token types for {count} tokens",
        vocab.types.len()
    );
    if let Some(id) = (0..count).find(|&id| !(NORMAL..=BYTE).contains(&vocab.kind(id))) {
        bail!("token {id} ({:?}) has the unknown type {}", vocab.tokens[id], vocab.kind(id));
    }
    let specials = [("bos", vocab.bos), ("eos", vocab.eos), ("eot", vocab.eot), ("eom", vocab.eom)];
    for (name, id) in specials.into_iter().chain([("unknown", vocab.unk), ("padding", vocab.pad)]) {
        if let Some(id) = id.filter(|&id| id as usize >= count) {
            bail!("the {name} token is {id}, but there are only {count} tokens");
        }
    }
    Ok(())
}

/// The bytes that every token stands for.
fn token_bytes(vocab: &Vocab, notes: &mut Vec<String>) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut unmapped = 0;
    let mut bytes = Vec::with_capacity(vocab.tokens.len());
    for (id, token) in vocab.tokens.iter().enumerate() {
        bytes.push(match (vocab.model, vocab.kind(id)) {
            (_, BYTE) => {
                let byte = byte_level::byte_token(token);
                vec![
                    byte.with_context(|| format!("token {id} is a byte token, but {token:?} names no byte"))?,
                ]
            }
            (VocabModel::Bpe, NORMAL) => byte_level::decode(token).unwrap_or_else(|| {
                unmapped += 1;
                token.as_bytes().to_vec()
            }),
            (VocabModel::Spm, NORMAL | USER_DEFINED) => token.replace('\u{2581}', " ").into_bytes(),
            _ => token.as_bytes().to_vec(),
        });
    }
    if unmapped > 0 {
        notes.push(format!(
            "{unmapped} tokens are not written in the byte-level alphabet: they are never produced from text"
        ));
    }
    Ok(bytes)
}

/// The tokens that text can become, sorted by their bytes. Of equal ones the last counts.
fn sorted(vocab: &Vocab, tokens: &[Vec<u8>], notes: &mut Vec<String>) -> Vec<u32> {
    let can_be_text = |id: &usize| {
        vocab.kind(*id) == NORMAL
            && !tokens[*id].is_empty()
            && (vocab.model == VocabModel::Spm || byte_level::decode(&vocab.tokens[*id]).is_some())
    };
    let mut last: HashMap<&[u8], usize> = HashMap::new();
    let mut doubles = 0;
    for id in (0..tokens.len()).filter(can_be_text) {
        doubles += usize::from(last.insert(&tokens[id], id).is_some());
    }
    if doubles > 0 {
        notes.push(format!(
            "{doubles} tokens have the text of a later token: they are never produced from text"
        ));
    }
    let mut sorted: Vec<_> = last.into_iter().collect();
    sorted.sort_unstable();
    sorted.into_iter().filter_map(|(_, id)| u32::try_from(id).ok()).collect()
}

fn merge_bytes((left, right): &(String, String)) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let decode = |half: &String| {
        byte_level::decode(half).with_context(|| {
            format!("the half {half:?} of a merge is not written in the byte-level alphabet")
        })
    };
    Ok((decode(left)?, decode(right)?))
}

/// The ranks that order merges as the scores of `SentencePiece` do: the highest score first, equal ones equal.
/// Empty if the ids are in that order already.
fn score_ranks(vocab: &Vocab, sorted: &[u32]) -> anyhow::Result<Vec<u32>> {
    let count = vocab.tokens.len();
    ensure!(vocab.scores.len() == count, "{} scores for {count} tokens", vocab.scores.len());
    ensure!(vocab.scores.iter().all(|score| !score.is_nan()), "a token has a score that is not a number");
    let score = |id: u32| vocab.scores[id as usize];
    let mut by_id = sorted.to_vec();
    by_id.sort_unstable();
    if by_id.is_sorted_by(|&a, &b| score(a) > score(b)) {
        return Ok(Vec::new());
    }
    by_id.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
    let mut ranks = vec![NONE; count];
    let mut rank = 0;
    let mut previous = None;
    for id in by_id {
        // Compared as numbers, not as bits: −0 and +0 are equal.
        rank += u32::from(previous.is_some_and(|previous: f32| previous != score(id)));
        previous = Some(score(id));
        ranks[id as usize] = rank;
    }
    Ok(ranks)
}

/// The tokens that end a generation: those that the file names, and control tokens with a well-known name.
fn ends(vocab: &Vocab, notes: &mut Vec<String>) -> Vec<u32> {
    let mut ends: Vec<u32> = [vocab.eos, vocab.eot, vocab.eom].into_iter().flatten().collect();
    for (id, token) in (0_u32..).zip(&vocab.tokens) {
        let is_end = vocab.kind(id as usize) == CONTROL && END_NAMES.contains(&token.as_str());
        if is_end && !ends.contains(&id) {
            notes.push(format!("the control token {id} {token:?} ends a generation, by its name"));
            ends.push(id);
        }
    }
    ends.sort_unstable();
    ends.dedup();
    ends
}

struct Section<'a> {
    vocab: &'a Vocab,
    options: TokenizerOptions,
    tokens: &'a [Vec<u8>],
    sorted: &'a [u32],
    merges: Option<&'a MergeTables>,
    ranks: Vec<u32>,
    ends: Vec<u32>,
}

impl Section<'_> {
    fn write(&self, notes: &mut Vec<String>) -> anyhow::Result<Vec<u8>> {
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
        let is_llama3 = pre_tokenizer(vocab).is_ok_and(|pre| pre == 3);
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
        let names = ["<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>"];
        let is_turn_end = |id: &u32| names.contains(&self.vocab.tokens[*id as usize].as_str());
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

fn pre_tokenizer(vocab: &Vocab) -> anyhow::Result<u8> {
    if vocab.model == VocabModel::Spm {
        return Ok(0);
    }
    Ok(match vocab.pre.as_str() {
        "gpt-2" => 1,
        "smollm" => 2,
        "llama-bpe" | "llama3" | "llama-v3" => 3,
        "qwen2" => 4,
        other => bail!(
            "unknown pre-tokenizer {other:?}: supported are \"gpt-2\", \"smollm\", \"llama-bpe\" and \"qwen2\". \
             Without the right one the model reads other words than it was trained on"
        ),
    })
}

/// Reads the section as a device does, and compares it with the vocabulary.
fn prove(
    bytes: &[u8],
    tokens: &[Vec<u8>],
    sorted: &[u32],
    merges: Option<&MergeTables>,
) -> anyhow::Result<()> {
    let read = Tokenizer::new_checked(bytes).context("the packed tokenizer cannot be read back")?;
    read.verify().context("the packed tokenizer cannot be read back")?;
    for (id, token) in (0_u32..).zip(tokens) {
        ensure!(read.token_bytes(id) == token, "token {id} was packed wrongly");
    }
    for &id in sorted {
        ensure!(read.find(&tokens[id as usize]) == Some(id), "token {id} is not found by its text");
    }
    // Every merge makes its token, and each is ordered behind the one before it. That there are no others follows
    // from how the splits were chosen.
    let mut previous = None;
    for &(left, right, id) in merges.map_or(&[][..], |merges| &merges.list) {
        let Some((_, rank)) = read.merge(left, right).filter(|&(made, _)| made == id) else {
            bail!("the merge of {left} and {right} to {id} was packed wrongly");
        };
        let order = Some((rank, left));
        ensure!(previous < order, "the merge of {left} and {right} to {id} has the wrong rank");
        previous = order;
    }
    Ok(())
}
