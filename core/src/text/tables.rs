//! A checked view over the packed tables of a tokenizer: `docs/tokenizer-format.md` specifies every byte.

use super::cursor::{Cursor, word};
use super::format::{LONG, NONE, SPLIT_LISTED};
use super::kinds::{kind_of, model, pre_tokenizer};
use super::{Error, Model, PreTokenizer};

const MAGIC: u32 = u32::from_le_bytes(*b"BTOK");
const VERSION: u16 = 1;
/// Ids fit the three bytes that the sorted permutation has for them.
const MAX_TOKENS: u32 = 1 << 24;

pub(super) const FLAG_ADD_BOS: u32 = 1;
pub(super) const FLAG_ADD_EOS: u32 = 1 << 1;
pub(super) const FLAG_SPACE_PREFIX: u32 = 1 << 2;
pub(super) const FLAG_WHOLE_WORDS: u32 = 1 << 3;
pub(super) const FLAG_LOWERCASE: u32 = 1 << 4;
const FLAG_RANKS: u32 = 1 << 5;
const FLAG_SPLITS: u32 = 1 << 6;
const FLAG_BYTE_TOKENS: u32 = 1 << 7;
const KNOWN_FLAGS: u32 = (1 << 8) - 1;

#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) model: Model,
    pub(super) pre: PreTokenizer,
    pub(super) flags: u32,
    pub(super) tokens: u32,
    pub(super) longest: u32,
    pub(super) bos: u32,
    pub(super) eos: u32,
    pub(super) eot: u32,
    pub(super) unk: u32,
    pub(super) pad: u32,
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
    pub(super) header: Header,
    pub(super) starts: &'a [[u8; 4]],
    pub(super) first: &'a [[u8; 4]],
    pub(super) long: &'a [[u8; 8]],
    pub(super) pairs: &'a [[u8; 12]],
    pub(super) ranks: &'a [[u8; 4]],
    pub(super) byte_tokens: &'a [[u8; 4]],
    pub(super) ends: &'a [[u8; 4]],
    pub(super) user: &'a [[u8; 4]],
    pub(super) kinds: &'a [[u8; 4]],
    pub(super) sorted: &'a [u8],
    pub(super) lengths: &'a [u8],
    pub(super) splits: &'a [u8],
    pub(super) bytes: &'a [u8],
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
        self.verify_between(&mut || {})
    }

    /// As [`verify`](Self::verify), with a call of `between` for every 64 tokens, where firmware feeds its watchdog.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    ///
    /// ```
    /// # use bitnet_edge_core::text::Tokenizer;
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// let tokenizer = Tokenizer::new_checked(section)?;
    /// let mut fed = 0; // how often the watchdog was
    /// tokenizer.verify_between(&mut || fed += 1)?;
    /// assert!(fed >= tokenizer.token_count() / 64);
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn verify_between(&self, between: &mut dyn FnMut()) -> Result<(), Error> {
        let mut looks = 0_u32;
        let mut token = |index: usize| {
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(64) {
                between();
            }
            self.sorted(index).map(|id| self.token_bytes(id))
        };
        let all = 0..self.sorted_count();
        if !all.clone().filter_map(&mut token).is_sorted_by(|a, b| a < b) {
            return Err(Error::Malformed { table: "sorted" });
        }
        for byte in 0..=u8::MAX {
            let (start, end) = self.bucket(byte);
            if !(start..end).filter_map(&mut token).all(|token| token.first() == Some(&byte)) {
                return Err(Error::Malformed { table: "first-byte index" });
            }
        }
        if all.filter_map(&mut token).all(|token| token.len() <= self.longest()) {
            Ok(())
        } else {
            Err(Error::Malformed { table: "longest token" })
        }
    }
}

/// The bytes of an id in the sorted permutation.
pub(super) fn id_bytes(tokens: u32) -> usize {
    if tokens <= 1 << 16 { 2 } else { 3 }
}

/// The first two words of a table entry.
pub(super) fn pair_of_words<const N: usize>(entry: &[u8; N]) -> (u32, u32) {
    let second = entry.split_at_checked(4).and_then(|(_, rest)| rest.first_chunk());
    (word(entry), second.map_or(0, |bytes| u32::from_le_bytes(*bytes)))
}
