//! From bytes to tokens.

use core::cmp::Ordering;

use super::Tokenizer;
use super::cursor::word;

impl Tokenizer<'_> {
    /// The token whose text is `bytes`, if text can become it: control tokens are never found, nor are the bytes of
    /// an SPM vocabulary.
    ///
    /// ```
    /// # use bitnet_edge_core::text::Tokenizer;
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// let tokenizer = Tokenizer::new_checked(section)?;
    /// assert_eq!(tokenizer.find(b" upon"), Some(212));
    /// assert_eq!(tokenizer.find(b"<|endoftext|>"), None);
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn find(&self, bytes: &[u8]) -> Option<u32> {
        self.find_joined(bytes, &[])
    }

    fn find_joined(&self, left: &[u8], right: &[u8]) -> Option<u32> {
        let (mut low, mut high) = self.bucket(*left.first()?);
        while low < high {
            let middle = low.midpoint(high);
            let id = self.sorted(middle)?;
            match compare(self.token_bytes(id), left, right) {
                Ordering::Less => low = middle.saturating_add(1),
                Ordering::Greater => high = middle,
                Ordering::Equal => return Some(id),
            }
        }
        None
    }

    /// The token that the tokens `left` and `right` merge into, with the rank of that merge, if they may merge.
    /// Of two merges the one with the lower rank goes first; of equal ranks, in BPE the one whose left token has the
    /// lower id, then the one further left in the text.
    ///
    /// ```
    /// # use bitnet_edge_core::text::Tokenizer;
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// let tokenizer = Tokenizer::new_checked(section)?;
    /// let (h, e) = (tokenizer.find(b"h").unwrap_or(0), tokenizer.find(b"e").unwrap_or(0));
    /// assert_eq!(tokenizer.merge(h, e).map(|(id, _rank)| tokenizer.token_bytes(id)), Some(&b"he"[..]));
    /// assert_eq!(tokenizer.merge(e, h), None);
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn merge(&self, left: u32, right: u32) -> Option<(u32, u32)> {
        let left = self.token_bytes(left);
        let id = self.find_joined(left, self.token_bytes(right))?;
        Some((id, self.rank(id, left.len())?))
    }

    /// The token whose name or text is `name`, control tokens included: for marks that a program names, never for
    /// text that a user gave.
    ///
    /// ```
    /// # use bitnet_edge_core::text::Tokenizer;
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// assert_eq!(Tokenizer::new_checked(section)?.find_special(b"<|endoftext|>"), Some(0));
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn find_special(&self, name: &[u8]) -> Option<u32> {
        let user = self.user_defined().iter().map(word);
        self.control_tokens().chain(user).find(|&id| self.token_bytes(id) == name)
    }

    /// The longest user-defined token that `text` begins with.
    pub(crate) fn user_prefix(&self, text: &[u8]) -> Option<u32> {
        let user = self.user_defined();
        let token = |entry: &[u8; 4]| self.token_bytes(word(entry));
        let mut candidates = user;
        let mut best = None;
        // Narrow the sorted tokens to those that share one more byte with the text, until none is left.
        for (depth, &byte) in text.iter().enumerate() {
            let below = |entry: &[u8; 4]| token(entry).get(depth).is_none_or(|&have| have < byte);
            let within = |entry: &[u8; 4]| token(entry).get(depth).is_none_or(|&have| have <= byte);
            candidates = candidates.get(candidates.partition_point(below)..).unwrap_or(&[]);
            candidates = candidates.get(..candidates.partition_point(within)).unwrap_or(&[]);
            let Some(shortest) = candidates.first() else { break };
            if token(shortest).len() == depth + 1 {
                best = Some(word(shortest));
            }
        }
        best
    }
}

/// Compares a token with the text `left` followed by `right`.
fn compare(token: &[u8], left: &[u8], right: &[u8]) -> Ordering {
    match token.split_at_checked(left.len()) {
        Some((head, tail)) => head.cmp(left).then_with(|| tail.cmp(right)),
        None => token.cmp(left),
    }
}
