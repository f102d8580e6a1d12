//! Packs a vocabulary, and proves that the packed tables say what the vocabulary says.

use std::collections::HashMap;

use anyhow::{Context as _, bail, ensure};
use bitnet_edge_core::text::Tokenizer;
use bitnet_edge_core::text::format::NONE;

use super::byte_level;
use super::control::end_of;
use super::merges::{MergeTables, merge_tables};
use super::section::Section;
use super::vocab::{BYTE, CONTROL, NORMAL, USER_DEFINED, Vocab, VocabModel};

const MAX_TOKENS: usize = 1 << 24;

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
///
/// Special tokens are packed as control tokens, whatever type the file gives them: see [`Vocab::mark_control`], which
/// has to be called before where there is a chat template.
pub fn pack_tokenizer(vocab: &Vocab, options: TokenizerOptions) -> anyhow::Result<Packed> {
    check(vocab)?;
    let mut vocab = vocab.clone();
    let mut notes = vocab.mark_control(None);
    let vocab = &vocab;
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
        let is_end = vocab.kind(id as usize) == CONTROL && end_of(token).is_some();
        if is_end && !ends.contains(&id) {
            notes.push(format!("the control token {id} {token:?} ends a generation, by its name"));
            ends.push(id);
        }
    }
    ends.sort_unstable();
    ends.dedup();
    ends
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
