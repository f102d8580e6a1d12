//! Merging the symbols of one word into tokens, best merge first.
//!
//! A symbol is a run of bytes of the word, named by the index of its first byte. Three words of scratch memory a byte
//! hold all there is to know: what each symbol is, the rank at which it merges with its right neighbour, and a
//! tournament tree over these ranks, whose root is the best merge. A merge changes two ranks and removes one, each
//! with one path to the root, so that n bytes take O(n log n) whatever they are.

use super::format::NONE;
use super::unicode::utf8_len;
use super::{Model, Tokenizer};

/// In a symbol's first word: no token; the lower bits are its length in bytes.
const BARE: u32 = 1 << 31;
/// In the word of a symbol's last byte, if that is not its first: the lower bits are the index of its first byte.
const BACK: u32 = 1 << 30;
/// What a search of the vocabulary costs, in units of work.
pub(crate) const SEARCH: u32 = 16;

/// A symbol of a merged word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbol {
    /// Its token, if it has one.
    pub(crate) token: Option<u32>,
    /// Its bytes.
    pub(crate) len: usize,
}

/// A word that is being merged: its bytes, and scratch memory of three words a byte.
pub(crate) struct Word<'w> {
    pub(crate) tokenizer: &'w Tokenizer<'w>,
    pub(crate) text: &'w [u8],
    pub(crate) symbols: &'w mut [u32],
    pub(crate) ranks: &'w mut [u32],
    pub(crate) tree: &'w mut [u32],
}

impl Word<'_> {
    /// Makes the symbol that begins at byte `at` and returns its length: in BPE a byte, in SPM a character.
    pub(crate) fn init_symbol(&mut self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or(&[]);
        let Some(&byte) = rest.first() else { return 1 };
        let (token, len) = match self.tokenizer.model() {
            Model::Bpe => (self.tokenizer.byte_token(byte), 1),
            Model::Spm => {
                let len = utf8_len(byte).min(rest.len());
                (self.tokenizer.find(rest.get(..len).unwrap_or(&[])), len)
            }
        };
        self.set_symbol(at, len, token);
        for rank in self.ranks.iter_mut().skip(at).take(len) {
            *rank = NONE;
        }
        len
    }

    fn set_symbol(&mut self, at: usize, len: usize, token: Option<u32>) {
        if let Some(last) = self.symbols.get_mut(at.saturating_add(len).saturating_sub(1)) {
            *last = BACK | as_u32(at);
        }
        if let Some(first) = self.symbols.get_mut(at) {
            *first = token.unwrap_or(BARE | as_u32(len));
        }
    }

    /// The symbol that begins at byte `at`.
    pub(crate) fn symbol(&self, at: usize) -> Symbol {
        let word = self.symbols.get(at).copied().unwrap_or(BARE);
        if word & BARE != 0 {
            // At least 1, so that a walk over the symbols always ends.
            Symbol { token: None, len: ((word & !BARE) as usize).max(1) }
        } else {
            Symbol { token: Some(word), len: self.tokenizer.token_len(word).max(1) }
        }
    }

    /// The index of the symbol that ends before byte `at`.
    fn before(&self, at: usize) -> Option<usize> {
        let last = at.checked_sub(1)?;
        let word = self.symbols.get(last).copied()?;
        let is_back = word & (BACK | BARE) == BACK;
        Some(if is_back { (word & !BACK) as usize } else { last })
    }

    /// The token that the symbol at byte `at` and its right neighbour merge into, its length, and the merge's rank.
    fn candidate(&self, at: usize) -> Option<(u32, usize, u32)> {
        let left = self.symbol(at);
        let behind = at.checked_add(left.len).filter(|&behind| behind < self.text.len())?;
        let right = self.symbol(behind);
        if self.tokenizer.model() == Model::Bpe && (left.token.is_none() || right.token.is_none()) {
            return None;
        }
        let len = left.len.checked_add(right.len).filter(|&len| len <= self.tokenizer.longest())?;
        let bytes = self.text.get(at..)?.get(..len)?;
        let id = self.tokenizer.find(bytes)?;
        Some((id, len, self.tokenizer.rank(id, left.len)?))
    }

    /// Sets the rank of the symbol at byte `at`, without the tree.
    pub(crate) fn init_rank(&mut self, at: usize) {
        let rank = self.candidate(at).map_or(NONE, |(_, _, rank)| rank);
        if let Some(slot) = self.ranks.get_mut(at) {
            *slot = rank;
        }
    }

    /// Sets node `node` of the tree (1 is the root) from its two children.
    pub(crate) fn init_node(&mut self, node: usize) {
        let better = self.better(self.winner(node * 2), self.winner(node * 2 + 1));
        if let Some(slot) = self.tree.get_mut(node) {
            *slot = as_u32(better);
        }
    }

    /// Does the best merge. Returns what it cost in units of work, or `None` if nothing is left to merge.
    pub(crate) fn merge_best(&mut self) -> Option<u32> {
        let at = self.winner(1);
        if self.ranks.get(at).is_none_or(|&rank| rank == NONE) {
            return None;
        }
        let Some((id, len, _)) = self.candidate(at) else {
            // Only tables that contradict themselves lead here.
            self.set_rank(at, NONE);
            return Some(SEARCH);
        };
        let removed = at.saturating_add(self.symbol(at).len);
        self.set_symbol(at, len, Some(id));
        self.set_rank(removed, NONE);
        self.update_rank(at);
        if let Some(before) = self.before(at) {
            self.update_rank(before);
        }
        Some(SEARCH * 3 + 3 * self.text.len().max(1).ilog2())
    }

    fn update_rank(&mut self, at: usize) {
        let rank = self.candidate(at).map_or(NONE, |(_, _, rank)| rank);
        self.set_rank(at, rank);
    }

    fn set_rank(&mut self, at: usize, rank: u32) {
        if let Some(slot) = self.ranks.get_mut(at) {
            *slot = rank;
        }
        let mut node = self.text.len().saturating_add(at) / 2;
        while node > 0 {
            self.init_node(node);
            node /= 2;
        }
    }

    /// The winner of a node: for an inner node what the tree says, for a leaf its own byte.
    fn winner(&self, node: usize) -> usize {
        match node.checked_sub(self.text.len()) {
            Some(leaf) => leaf,
            None => self.tree.get(node).map_or(0, |&at| at as usize),
        }
    }

    /// Which of two symbols merges first: the lower rank; then, in BPE, the lower id of the left token, as merges of
    /// one token are listed; then the one further left.
    fn better(&self, a: usize, b: usize) -> usize {
        let key = |at: usize| {
            let rank = self.ranks.get(at).copied().unwrap_or(NONE);
            let left = match self.tokenizer.model() {
                Model::Bpe => self.symbols.get(at).copied().unwrap_or(NONE),
                Model::Spm => 0,
            };
            (rank, left, at)
        };
        // Most comparisons are decided by the rank alone.
        if key(b) < key(a) { b } else { a }
    }
}

fn as_u32(index: usize) -> u32 {
    // Indices are below the text's capacity, which the encoder keeps below 2^30.
    u32::try_from(index).unwrap_or(NONE)
}
