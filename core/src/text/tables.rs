//! A checked view over the packed tables of a tokenizer: `docs/tokenizer-format.md` specifies every byte.

use super::Error;
use super::cursor::{Cursor, word};

const MAGIC: u32 = u32::from_le_bytes(*b"BTOK");
const VERSION: u16 = 1;
/// In a field that holds a token id: there is none.
pub(crate) const NONE: u32 = u32::MAX;
/// Ids fit the three bytes that the sorted permutation has for them.
const MAX_TOKENS: u32 = 1 << 24;
/// In the length table: the length is 255 or more and stands in the table of long tokens.
const LONG: u8 = 0xff;
/// In the split table: any two tokens that make up the token may be merged.
const SPLIT_ANY: u8 = 0xff;
/// In the split table: the pairs that may be merged are listed.
const SPLIT_LISTED: u8 = 0xfe;

const FLAG_ADD_BOS: u32 = 1;
const FLAG_ADD_EOS: u32 = 1 << 1;
const FLAG_SPACE_PREFIX: u32 = 1 << 2;
const FLAG_WHOLE_WORDS: u32 = 1 << 3;
const FLAG_LOWERCASE: u32 = 1 << 4;
const FLAG_RANKS: u32 = 1 << 5;
const FLAG_SPLITS: u32 = 1 << 6;
const FLAG_BYTE_TOKENS: u32 = 1 << 7;
const KNOWN_FLAGS: u32 = (1 << 8) - 1;

/// How a text is cut and merged into tokens.
///
/// ```
/// # use bitnet_edge_core::text::{Model, Tokenizer};
/// let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
/// assert_eq!(Tokenizer::new_checked(section)?.model(), Model::Bpe);
/// # Ok::<(), bitnet_edge_core::text::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Byte-level byte-pair encoding: words first, then merges of bytes.
    Bpe,
    /// `SentencePiece`, as Llama 2 uses it: merges of characters over the whole text, with byte fallback.
    Spm,
}

/// How byte-level BPE cuts a text into words before it merges.
///
/// ```
/// # use bitnet_edge_core::text::{PreTokenizer, Tokenizer};
/// let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
/// assert_eq!(Tokenizer::new_checked(section)?.pre_tokenizer(), PreTokenizer::Gpt2);
/// # Ok::<(), bitnet_edge_core::text::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreTokenizer {
    /// None: the whole text is one word (`SentencePiece`).
    Whole,
    /// GPT-2's.
    Gpt2,
    /// GPT-2's, with every digit a word (`SmolLM`).
    SmolLm,
    /// Llama 3's: up to three digits a word, line breaks kept together.
    Llama3,
    /// Qwen 2's: Llama 3's with every digit a word.
    Qwen2,
}

/// What a token stands for.
///
/// ```
/// # use bitnet_edge_core::text::{TokenKind, Tokenizer};
/// let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
/// assert_eq!(Tokenizer::new_checked(section)?.kind(0), TokenKind::Control);
/// # Ok::<(), bitnet_edge_core::text::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A piece of text.
    Normal,
    /// The token for what has none.
    Unknown,
    /// A mark such as the beginning of a text; its name is never text.
    Control,
    /// A piece of text that is always one token.
    UserDefined,
    /// A token that is never produced.
    Unused,
    /// One byte of a character that has no token of its own.
    Byte,
}

#[derive(Clone, Copy, Debug)]
struct Header {
    model: Model,
    pre: PreTokenizer,
    flags: u32,
    tokens: u32,
    longest: u32,
    bos: u32,
    eos: u32,
    eot: u32,
    unk: u32,
    pad: u32,
}

/// A tokenizer over its packed tables, which stay where they are (flash, a mapped file).
///
/// ```
/// use bitnet_edge_core::text::Tokenizer;
/// let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
/// let tokenizer = Tokenizer::new_checked(section)?;
/// assert_eq!(tokenizer.token_count(), 512);
/// assert_eq!(tokenizer.token_bytes(212), b" upon");
/// # Ok::<(), bitnet_edge_core::text::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Tokenizer<'a> {
    header: Header,
    starts: &'a [[u8; 4]],
    first: &'a [[u8; 4]],
    long: &'a [[u8; 8]],
    pairs: &'a [[u8; 12]],
    ranks: &'a [[u8; 4]],
    byte_tokens: &'a [[u8; 4]],
    ends: &'a [[u8; 4]],
    user: &'a [[u8; 4]],
    kinds: &'a [[u8; 4]],
    sorted: &'a [u8],
    lengths: &'a [u8],
    splits: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Tokenizer<'a> {
    /// Reads the header of `section`, checks every count, length, offset and id in it, and returns the view.
    /// `section` holds exactly the tokenizer section; no alignment is needed.
    ///
    /// What is not checked here, because it needs every byte of every token, is that the tables describe the same
    /// vocabulary: a checksum guards that at boot, and [`Tokenizer::verify`] checks it. Tables that disagree give
    /// wrong tokens, never a panic and never an endless loop.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::NotASection`], [`Error::Unsupported`] or [`Error::Malformed`].
    ///
    /// ```
    /// use bitnet_edge_core::text::{Error, Tokenizer};
    /// assert_eq!(Tokenizer::new_checked(&[0; 80]).err(), Some(Error::NotASection));
    /// ```
    pub fn new_checked(section: &'a [u8]) -> Result<Self, Error> {
        let mut cursor = Cursor(section);
        if cursor.u32()? != MAGIC {
            return Err(Error::NotASection);
        }
        let version = cursor.u16()?;
        if version != VERSION {
            return Err(Error::Unsupported { field: "version", value: version.into() });
        }
        let model = model(cursor.u8()?)?;
        let pre = pre_tokenizer(cursor.u8()?)?;
        let flags = cursor.u32()?;
        if flags & !KNOWN_FLAGS != 0 {
            return Err(Error::Unsupported { field: "flags", value: flags });
        }
        let tokens = cursor.u32()?;
        if tokens == 0 || tokens > MAX_TOKENS {
            return Err(Error::Malformed { table: "token count" });
        }
        let mut counts = [0_usize; 7];
        for count in &mut counts {
            *count = cursor.u32()? as usize;
        }
        let [bytes, sorted, long, pairs, ends, user, kinds] = counts;
        let longest = cursor.u32()?;
        let [bos, eos, eot, unk, pad] =
            [cursor.u32()?, cursor.u32()?, cursor.u32()?, cursor.u32()?, cursor.u32()?];
        let n = tokens as usize;
        let has = |flag| usize::from(flags & flag != 0);
        let view = Self {
            header: Header { model, pre, flags, tokens, longest, bos, eos, eot, unk, pad },
            starts: cursor.table(n.div_ceil(16))?,
            first: cursor.table(257)?,
            long: cursor.table(long)?,
            pairs: cursor.table(pairs)?,
            ranks: cursor.table(n * has(FLAG_RANKS))?,
            byte_tokens: cursor.table(256 * has(FLAG_BYTE_TOKENS))?,
            ends: cursor.table(ends)?,
            user: cursor.table(user)?,
            kinds: cursor.table(kinds)?,
            sorted: cursor.bytes(sorted.checked_mul(id_bytes(tokens)).ok_or(Error::Truncated)?)?,
            lengths: cursor.bytes(n)?,
            splits: cursor.bytes(n * has(FLAG_SPLITS))?,
            bytes: cursor.bytes(bytes)?,
        };
        if !cursor.0.is_empty() {
            return Err(Error::Malformed { table: "section length" });
        }
        view.check_offsets()?;
        view.check_ids()?;
        Ok(view)
    }

    /// Checks that every token lies inside the bytes, and every split inside its token.
    fn check_offsets(&self) -> Result<(), Error> {
        let malformed = |table| Err(Error::Malformed { table });
        let mut start = 0_usize;
        let mut long = self.long.iter();
        for (id, &length) in (0_u32..).zip(self.lengths) {
            if id % 16 == 0 && self.starts.get(id as usize / 16).map(word) != u32::try_from(start).ok() {
                return malformed("starts");
            }
            let length = if length == LONG {
                match long.next().map(pair_of_words) {
                    Some((key, length)) if key == id && length >= u32::from(LONG) => length as usize,
                    _ => return malformed("long tokens"),
                }
            } else {
                length.into()
            };
            let split = self.splits.get(id as usize).copied().unwrap_or(0);
            if split < SPLIT_LISTED && split != 0 && usize::from(split) >= length {
                return malformed("splits");
            }
            start = start.checked_add(length).ok_or(Error::Malformed { table: "lengths" })?;
        }
        if long.next().is_some() {
            return malformed("long tokens");
        }
        if start == self.bytes.len() { Ok(()) } else { malformed("lengths") }
    }

    /// Checks that every id names a token, and that the small tables are in order.
    fn check_ids(&self) -> Result<(), Error> {
        let malformed = |table| Err(Error::Malformed { table });
        let is_token = |id: u32| id < self.header.tokens;
        let header = self.header;
        if ![header.bos, header.eos, header.eot, header.unk, header.pad]
            .iter()
            .all(|&id| id == NONE || is_token(id))
        {
            return malformed("special ids");
        }
        if (header.model == Model::Bpe) == self.splits.is_empty() {
            return malformed("splits");
        }
        if !self.byte_tokens.iter().map(word).all(|id| id == NONE || is_token(id)) {
            return malformed("byte tokens");
        }
        if !self.ends.iter().map(word).all(is_token) {
            return malformed("end tokens");
        }
        if !self.user.iter().map(word).all(is_token) {
            return malformed("user-defined tokens");
        }
        if !self
            .kinds
            .iter()
            .map(word)
            .all(|kind| kind_of(kind >> 24).is_some() && is_token(kind & 0xff_ffff))
            || !self.kinds.iter().map(|kind| word(kind) & 0xff_ffff).is_sorted_by(|a, b| a < b)
        {
            return malformed("kinds");
        }
        if !self.pairs.iter().map(pair_of_words).is_sorted_by(|a, b| a < b) {
            return malformed("pairs");
        }
        let count = self.sorted_count();
        let mut first = self.first.iter().map(|entry| word(entry) as usize);
        if !first.clone().is_sorted() || first.next() != Some(0) || first.next_back() != Some(count) {
            return malformed("first-byte index");
        }
        if (0..count).all(|index| self.sorted(index).is_some_and(is_token)) {
            Ok(())
        } else {
            malformed("sorted")
        }
    }

    /// Checks what [`Tokenizer::new_checked`] leaves out: that the permutation is strictly sorted by the bytes of its
    /// tokens, that the first-byte index fits it, and that no token in it is longer than the header says.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the name of the table.
    ///
    /// ```
    /// # use bitnet_edge_core::text::Tokenizer;
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// Tokenizer::new_checked(section)?.verify()?;
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn verify(&self) -> Result<(), Error> {
        let tokens =
            || (0..self.sorted_count()).filter_map(|index| self.sorted(index)).map(|id| self.token_bytes(id));
        if !tokens().is_sorted_by(|a, b| a < b) {
            return Err(Error::Malformed { table: "sorted" });
        }
        for byte in 0..=u8::MAX {
            let (start, end) = self.bucket(byte);
            let inside = tokens().skip(start).take(end.saturating_sub(start));
            if !inside.clone().all(|token| token.first() == Some(&byte)) {
                return Err(Error::Malformed { table: "first-byte index" });
            }
        }
        if tokens().all(|token| token.len() <= self.longest()) {
            Ok(())
        } else {
            Err(Error::Malformed { table: "longest token" })
        }
    }

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

    fn sorted_count(&self) -> usize {
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

/// The bytes of an id in the sorted permutation.
fn id_bytes(tokens: u32) -> usize {
    if tokens <= 1 << 16 { 2 } else { 3 }
}

/// The first two words of a table entry.
fn pair_of_words<const N: usize>(entry: &[u8; N]) -> (u32, u32) {
    let second = entry.split_at_checked(4).and_then(|(_, rest)| rest.first_chunk());
    (word(entry), second.map_or(0, |bytes| u32::from_le_bytes(*bytes)))
}

fn model(value: u8) -> Result<Model, Error> {
    match value {
        1 => Ok(Model::Bpe),
        2 => Ok(Model::Spm),
        _ => Err(Error::Unsupported { field: "model", value: value.into() }),
    }
}

fn pre_tokenizer(value: u8) -> Result<PreTokenizer, Error> {
    match value {
        0 => Ok(PreTokenizer::Whole),
        1 => Ok(PreTokenizer::Gpt2),
        2 => Ok(PreTokenizer::SmolLm),
        3 => Ok(PreTokenizer::Llama3),
        4 => Ok(PreTokenizer::Qwen2),
        _ => Err(Error::Unsupported { field: "pre-tokenizer", value: value.into() }),
    }
}

fn kind_of(value: u32) -> Option<TokenKind> {
    Some(match value {
        1 => TokenKind::Normal,
        2 => TokenKind::Unknown,
        3 => TokenKind::Control,
        4 => TokenKind::UserDefined,
        5 => TokenKind::Unused,
        6 => TokenKind::Byte,
        _ => return None,
    })
}
