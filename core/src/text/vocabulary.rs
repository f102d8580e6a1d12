//! What a tokenizer's tables say.

use super::cursor::word;
use super::format::{LONG, NONE, SPLIT_ANY, SPLIT_LISTED};
use super::kinds::kind_of;
use super::tables::{
    FLAG_ADD_BOS, FLAG_ADD_EOS, FLAG_LOWERCASE, FLAG_SPACE_PREFIX, FLAG_WHOLE_WORDS, id_bytes, pair_of_words,
};
use super::{Model, PreTokenizer, TokenKind, Tokenizer};

impl<'a> Tokenizer<'a> {
    /// How many tokens the vocabulary has; ids are below this.
    ///
    /// ```
    /// # use bitnet_edge_core::text::Tokenizer;
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// assert_eq!(Tokenizer::new_checked(section)?.token_count(), 512);
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn token_count(&self) -> u32 {
        self.header.tokens
    }

    /// The way of merging.
    ///
    /// ```
    /// # use bitnet_edge_core::text::{Model, Tokenizer};
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// assert_eq!(Tokenizer::new_checked(section)?.model(), Model::Bpe);
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn model(&self) -> Model {
        self.header.model
    }

    /// The way of cutting a text into words.
    ///
    /// ```
    /// # use bitnet_edge_core::text::{PreTokenizer, Tokenizer};
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// assert_eq!(Tokenizer::new_checked(section)?.pre_tokenizer(), PreTokenizer::Gpt2);
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn pre_tokenizer(&self) -> PreTokenizer {
        self.header.pre
    }

    /// The token that begins a text, if there is one.
    ///
    /// ```
    /// # use bitnet_edge_core::text::Tokenizer;
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// assert_eq!(Tokenizer::new_checked(section)?.bos(), Some(0));
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn bos(&self) -> Option<u32> {
        some(self.header.bos)
    }

    /// The token that ends a text, if there is one.
    ///
    /// ```
    /// # use bitnet_edge_core::text::Tokenizer;
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// assert_eq!(Tokenizer::new_checked(section)?.eos(), Some(0));
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn eos(&self) -> Option<u32> {
        some(self.header.eos)
    }

    /// The token that ends a turn of a conversation, if there is one.
    ///
    /// ```
    /// # use bitnet_edge_core::text::Tokenizer;
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// assert_eq!(Tokenizer::new_checked(section)?.eot(), None);
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn eot(&self) -> Option<u32> {
        some(self.header.eot)
    }

    /// The token for what has none, if there is one. Encoding never produces it.
    ///
    /// ```
    /// # use bitnet_edge_core::text::Tokenizer;
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// assert_eq!(Tokenizer::new_checked(section)?.unk(), None);
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn unk(&self) -> Option<u32> {
        some(self.header.unk)
    }

    /// The token that fills a batch up, if there is one.
    ///
    /// ```
    /// # use bitnet_edge_core::text::Tokenizer;
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// assert_eq!(Tokenizer::new_checked(section)?.pad(), None);
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn pad(&self) -> Option<u32> {
        some(self.header.pad)
    }

    /// Whether this token ends a generation (the end of a text, of a turn, of a message).
    ///
    /// ```
    /// # use bitnet_edge_core::text::Tokenizer;
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// assert!(Tokenizer::new_checked(section)?.is_end(0));
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn is_end(&self, id: u32) -> bool {
        self.ends.iter().any(|end| word(end) == id)
    }

    /// Whether the model expects a text to begin with [`Tokenizer::bos`].
    ///
    /// ```
    /// # use bitnet_edge_core::text::Tokenizer;
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// assert!(Tokenizer::new_checked(section)?.adds_bos());
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn adds_bos(&self) -> bool {
        self.has(FLAG_ADD_BOS)
    }

    /// Whether the model expects a text to end with [`Tokenizer::eos`].
    ///
    /// ```
    /// # use bitnet_edge_core::text::Tokenizer;
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// assert!(!Tokenizer::new_checked(section)?.adds_eos());
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn adds_eos(&self) -> bool {
        self.has(FLAG_ADD_EOS)
    }

    /// Whether a space is put before every text that begins or that follows a special token.
    ///
    /// ```
    /// # use bitnet_edge_core::text::Tokenizer;
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// assert!(!Tokenizer::new_checked(section)?.adds_space_prefix());
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn adds_space_prefix(&self) -> bool {
        self.has(FLAG_SPACE_PREFIX)
    }

    /// Whether texts are put in lower case before they are encoded.
    ///
    /// ```
    /// # use bitnet_edge_core::text::Tokenizer;
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// assert!(Tokenizer::new_checked(section)?.lowercases());
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn lowercases(&self) -> bool {
        self.has(FLAG_LOWERCASE)
    }

    /// Whether a word that is a token is never merged from smaller ones.
    pub(crate) fn takes_whole_words(&self) -> bool {
        self.has(FLAG_WHOLE_WORDS)
    }

    fn has(&self, flag: u32) -> bool {
        self.header.flags & flag != 0
    }

    /// What the token `id` stands for; [`TokenKind::Unused`] if there is no such token.
    ///
    /// ```
    /// # use bitnet_edge_core::text::{TokenKind, Tokenizer};
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// assert_eq!(Tokenizer::new_checked(section)?.kind(1), TokenKind::Normal);
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn kind(&self, id: u32) -> TokenKind {
        if id >= self.header.tokens {
            return TokenKind::Unused;
        }
        let found = self.kinds.binary_search_by_key(&id, |entry| word(entry) & 0xff_ffff);
        let entry = found.ok().and_then(|index| self.kinds.get(index));
        entry.and_then(|entry| kind_of(word(entry) >> 24)).unwrap_or(TokenKind::Normal)
    }

    /// The bytes of the token `id`: of text, for a control token of its name; empty if there is no such token.
    ///
    /// ```
    /// # use bitnet_edge_core::text::Tokenizer;
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// assert_eq!(Tokenizer::new_checked(section)?.token_bytes(0), b"<|endoftext|>");
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn token_bytes(&self, id: u32) -> &'a [u8] {
        let block = id & !15;
        let Some(start) = self.starts.get(id as usize / 16) else { return &[] };
        let before: usize = (block..id).map(|before| self.token_len(before)).sum();
        let start = (word(start) as usize).saturating_add(before);
        let tail = self.bytes.get(start..).unwrap_or(&[]);
        tail.get(..self.token_len(id)).unwrap_or(&[])
    }

    /// The length of the token `id` in bytes.
    pub(crate) fn token_len(&self, id: u32) -> usize {
        match self.lengths.get(id as usize) {
            Some(&LONG) => {
                let found = self.long.binary_search_by_key(&id, |entry| pair_of_words(entry).0);
                let entry = found.ok().and_then(|index| self.long.get(index));
                entry.map_or(0, |entry| pair_of_words(entry).1 as usize)
            }
            Some(&length) => length.into(),
            None => 0,
        }
    }

    /// The bytes of the longest token that text can become.
    pub(crate) fn longest(&self) -> usize {
        self.header.longest as usize
    }

    /// The user-defined tokens, sorted by their bytes.
    pub(crate) fn user_defined(&self) -> &'a [[u8; 4]] {
        self.user
    }

    /// The control tokens, with unknown ones, in order of their ids.
    ///
    /// ```
    /// # use bitnet_edge_core::text::Tokenizer;
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// assert!(Tokenizer::new_checked(section)?.control_tokens().eq([0]));
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn control_tokens(&self) -> impl Iterator<Item = u32> + use<'a> {
        let control = |entry: &&[u8; 4]| {
            matches!(kind_of(word(entry) >> 24), Some(TokenKind::Control | TokenKind::Unknown))
        };
        self.kinds.iter().filter(control).map(|entry| word(entry) & 0xff_ffff)
    }

    /// The token of one byte: in BPE the token whose text is that byte, in SPM the byte's fallback token.
    pub(crate) fn byte_token(&self, byte: u8) -> Option<u32> {
        if self.header.model == Model::Spm {
            return self.byte_tokens.get(usize::from(byte)).map(word).and_then(some);
        }
        // The shortest token of a bucket sorts first.
        let (start, end) = self.bucket(byte);
        let id = (start < end).then(|| self.sorted(start))??;
        (self.token_len(id) == 1).then_some(id)
    }

    /// Where the tokens that begin with `byte` stand in the permutation.
    pub(crate) fn bucket(&self, byte: u8) -> (usize, usize) {
        let at = |index: usize| self.first.get(index).map_or(0, |entry| word(entry) as usize);
        (at(byte.into()), at(usize::from(byte) + 1))
    }

    pub(super) fn sorted_count(&self) -> usize {
        self.sorted.len() / id_bytes(self.header.tokens).max(1)
    }

    /// The token at `index` of the permutation sorted by bytes.
    pub(crate) fn sorted(&self, index: usize) -> Option<u32> {
        if self.header.tokens <= 1 << 16 {
            let id = self.sorted.as_chunks::<2>().0.get(index)?;
            Some(u16::from_le_bytes(*id).into())
        } else {
            let [low, middle, high] = *self.sorted.as_chunks::<3>().0.get(index)?;
            Some(u32::from_le_bytes([low, middle, high, 0]))
        }
    }

    /// The rank at which `left_len` bytes and the rest merge into the token `id`, if they may. Lower merges first.
    pub(crate) fn rank(&self, id: u32, left_len: usize) -> Option<u32> {
        match self.splits.get(id as usize) {
            None | Some(&SPLIT_ANY) => {}
            Some(&SPLIT_LISTED) => {
                let key = (id, u32::try_from(left_len).ok()?);
                let found = self.pairs.binary_search_by_key(&key, pair_of_words).ok()?;
                let (_, rank) = self.pairs.get(found)?.split_last_chunk::<4>()?;
                return Some(u32::from_le_bytes(*rank));
            }
            Some(&split) if split != 0 && usize::from(split) == left_len => {}
            Some(_) => return None,
        }
        if self.ranks.is_empty() { Some(id) } else { self.ranks.get(id as usize).map(word) }
    }
}

fn some(id: u32) -> Option<u32> {
    (id != NONE).then_some(id)
}
