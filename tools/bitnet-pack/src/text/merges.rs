//! Which merges are legal, and in which order: the split of every token, ranks, and pairs that need listing.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use bitnet_edge_core::text::format::{NONE, SPLIT_ANY, SPLIT_LISTED};

/// The merge tables of a BPE vocabulary.
pub(crate) struct MergeTables {
    /// A byte a token: where its halves meet.
    pub(crate) splits: Vec<u8>,
    /// The rank of every token's merge; empty if it is the token's id.
    pub(crate) ranks: Vec<u32>,
    /// Token, length of the left half in bytes, rank; sorted.
    pub(crate) pairs: Vec<(u32, u32, u32)>,
    /// Merges, in order, each once.
    pub(crate) list: Vec<Merge>,
}

/// A merge: the left token, the right one, and what they make.
pub(crate) type Merge = (u32, u32, u32);

/// One token's merges: the index of the merge, the id of its left half and that half's length.
type Group = Vec<(u32, u32, usize)>;

/// Finds the smallest tables that say exactly what the list of merges says.
///
/// `tokens` has the bytes of every token, `ids` the token of every text that text can become.
pub(crate) fn merge_tables(
    merges: &[(Vec<u8>, Vec<u8>)],
    tokens: &[Vec<u8>],
    ids: &HashMap<&[u8], u32>,
) -> anyhow::Result<MergeTables> {
    let (list, groups) = group(merges, ids)?;
    let mut tables =
        MergeTables { splits: vec![0; tokens.len()], ranks: Vec::new(), pairs: Vec::new(), list };
    let mut ranks = vec![NONE; tokens.len()];
    for (&id, group) in &groups {
        let (rank, _, left_len) = group[0];
        let split = match u8::try_from(left_len) {
            Ok(split) if group.len() == 1 && split < SPLIT_LISTED => split,
            _ if is_every_split(&tokens[id as usize], group, ids) => SPLIT_ANY,
            _ => {
                let pair =
                    |&(rank, _, left_len): &(u32, u32, usize)| Ok((id, u32::try_from(left_len)?, rank));
                tables.pairs.extend(group.iter().map(pair).collect::<anyhow::Result<Vec<_>>>()?);
                SPLIT_LISTED
            }
        };
        tables.splits[id as usize] = split;
        ranks[id as usize] = rank;
    }
    tables.pairs.sort_unstable();
    let in_order = ranks.iter().filter(|&&rank| rank != NONE).is_sorted();
    if !in_order || !tables.pairs.is_empty() {
        tables.ranks = ranks;
    }
    Ok(tables)
}

/// Gathers the merges of every token, and checks that each is between tokens and makes one.
fn group(
    merges: &[(Vec<u8>, Vec<u8>)],
    ids: &HashMap<&[u8], u32>,
) -> anyhow::Result<(Vec<Merge>, HashMap<u32, Group>)> {
    let mut groups: HashMap<u32, Group> = HashMap::new();
    let mut list = Vec::new();
    for (index, (left, right)) in merges.iter().enumerate() {
        let id_of = |bytes: &[u8]| {
            let what =
                || format!("merge {index} needs {:?}, which is not a token", String::from_utf8_lossy(bytes));
            ids.get(bytes).copied().with_context(what)
        };
        let (left_id, right_id, id) = (id_of(left)?, id_of(right)?, id_of(&[&left[..], right].concat())?);
        let group = groups.entry(id).or_default();
        // The first of equal merges is the one that counts.
        if group.iter().all(|&(_, other, _)| other != left_id) {
            group.push((u32::try_from(list.len())?, left_id, left.len()));
            list.push((left_id, right_id, id));
        }
    }
    if list.len() > u32::MAX as usize / 2 {
        bail!("{} merges are more than the ranks can count", list.len());
    }
    Ok((list, groups))
}

/// Whether a token's merges are all its splits into two tokens, one after the other in the list, by the left half's
/// id: then nothing but the token has to be known to merge any two halves of it in the right order.
fn is_every_split(token: &[u8], group: &Group, ids: &HashMap<&[u8], u32>) -> bool {
    let is_token = |half: &[u8]| ids.contains_key(half);
    let splits = (1..token.len()).filter(|&at| is_token(&token[..at]) && is_token(&token[at..])).count();
    splits == group.len() && group.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0 && pair[0].1 < pair[1].1)
}
