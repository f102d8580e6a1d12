//! Text to tokens, in steps of bounded work.

use core::ops::Range;

use zerocopy::IntoBytes;

use super::merge::{SEARCH, Word};
use super::normalize::{lower_last, space_last};
use super::piece::text_capacity;
use super::words::Words;
use super::{EncodeOptions, Error, Model, Piece, Progress, Tokenizer};

/// What the next unit of work is.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Begin,
    /// Collect text up to the next special token.
    Gather,
    /// Look for a user-defined token at this byte.
    Split(usize),
    /// Find the end of the word.
    Scan(Words),
    /// Make the symbol at this byte of the word.
    Symbols(usize),
    /// Rank the symbol at this byte of the word.
    Ranks(usize),
    /// Make this node of the tree, down to the root.
    Tree(usize),
    Merge,
    /// Write the tokens from this byte of the word.
    Emit(usize),
    Done,
}

/// An encoding under way: the whole suspended state of it, so that a microcontroller can do other things between two
/// steps. Needs O(n log n) units of work for n bytes, whatever they are.
///
/// ```
/// use bitnet_edge_core::text::{EncodeOptions, Encoder, Piece, Progress, Tokenizer, scratch_words};
/// let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
/// let tokenizer = Tokenizer::new_checked(section)?;
/// let (mut scratch, mut ids) = ([0; scratch_words(64)], [0; 16]);
/// let pieces = [Piece::Special(0), Piece::from("once upon a time")].into_iter();
/// let mut encoder = Encoder::new(&tokenizer, pieces, &mut scratch, &mut ids, EncodeOptions::default());
/// let mut steps = 1;
/// while encoder.step(100)? == Progress::More {
///     steps += 1; // read a sensor, feed the watchdog
/// }
/// assert_eq!(ids[..5], [0, 193, 212, 52, 169]);
/// assert!(steps > 5);
/// # Ok::<(), bitnet_edge_core::text::Error>(())
/// ```
#[derive(Debug)]
pub struct Encoder<'b, 'p, I> {
    tokenizer: &'b Tokenizer<'b>,
    options: EncodeOptions,
    pieces: I,
    /// What is left of the piece of text at hand.
    piece: &'p [u8],
    /// The special token that ends the text at hand.
    special: Option<u32>,
    /// The text at hand, normalized, and how many bytes of it there are.
    text: &'b mut [u8],
    len: usize,
    symbols: &'b mut [u32],
    ranks: &'b mut [u32],
    tree: &'b mut [u32],
    /// The word at hand, as a range of the text.
    word: Range<usize>,
    /// Where the next user-defined token begins, or the text ends.
    limit: usize,
    /// The user-defined token at `limit`.
    user: Option<u32>,
    phase: Phase,
    out: &'b mut [u32],
    count: usize,
}

impl<'b, 'p, I: Iterator<Item = Piece<'p>>> Encoder<'b, 'p, I> {
    /// Begins to encode `pieces`. `scratch` has [`scratch_words`](super::scratch_words) words for the longest text; `out` takes the tokens.
    ///
    /// ```
    /// # use bitnet_edge_core::text::{EncodeOptions, Encoder, Piece, Progress, Tokenizer, scratch_words};
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// let tokenizer = Tokenizer::new_checked(section)?;
    /// let (mut scratch, mut ids) = ([0; scratch_words(64)], [0; 16]);
    /// let text = [Piece::from("once upon a time")].into_iter();
    /// let mut encoder = Encoder::new(&tokenizer, text, &mut scratch, &mut ids, EncodeOptions::default());
    /// assert_eq!(encoder.step(u32::MAX)?, Progress::Done { tokens: 4 });
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn new(
        tokenizer: &'b Tokenizer<'b>,
        pieces: I,
        scratch: &'b mut [u32],
        out: &'b mut [u32],
        options: EncodeOptions,
    ) -> Self {
        let capacity = text_capacity(scratch.len());
        let (text, rest) = split_or_empty(scratch, capacity.div_ceil(4));
        let (symbols, rest) = split_or_empty(rest, capacity);
        let (ranks, tree) = split_or_empty(rest, capacity);
        let text = text.as_mut_bytes().get_mut(..capacity).unwrap_or_default();
        Self {
            tokenizer,
            options,
            pieces,
            piece: &[],
            special: None,
            text,
            len: 0,
            symbols,
            ranks,
            tree,
            word: 0..0,
            limit: 0,
            user: None,
            phase: Phase::Begin,
            out,
            count: 0,
        }
    }

    /// Works on until about `budget` units of work are done (at least one): a unit is a byte moved or looked at, a
    /// search of the vocabulary counts 16. A step exceeds its budget by at most one merge, 48 + 3 log2(n) units.
    ///
    /// # Errors
    /// [`Error::NoToken`], [`Error::UnknownToken`], [`Error::TextTooLong`], [`Error::OutputTooSmall`]. The first three
    /// are found as soon as they are met, the last at the end, when the needed size is known. After an error a further
    /// step meets it again or goes on behind it; start anew instead.
    ///
    /// ```
    /// # use bitnet_edge_core::text::{EncodeOptions, Encoder, Error, Piece, Tokenizer, scratch_words};
    /// # let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
    /// let tokenizer = Tokenizer::new_checked(section)?;
    /// let (mut scratch, mut ids) = ([0; scratch_words(64)], [0; 16]);
    /// let text = [Piece::from("50 %")].into_iter();
    /// let mut encoder = Encoder::new(&tokenizer, text, &mut scratch, &mut ids, EncodeOptions::default());
    /// assert_eq!(encoder.step(u32::MAX), Err(Error::NoToken { byte: b'%', at: 3 }));
    /// # Ok::<(), bitnet_edge_core::text::Error>(())
    /// ```
    pub fn step(&mut self, budget: u32) -> Result<Progress, Error> {
        let mut left = budget;
        loop {
            if let Phase::Done = self.phase {
                return self.finish();
            }
            let cost = self.advance()?;
            left = match left.checked_sub(cost) {
                Some(left @ 1..) => left,
                _ if matches!(self.phase, Phase::Done) => return self.finish(),
                _ => return Ok(Progress::More),
            };
        }
    }

    fn finish(&self) -> Result<Progress, Error> {
        if self.count > self.out.len() {
            return Err(Error::OutputTooSmall { need: saturate(self.count), have: saturate(self.out.len()) });
        }
        Ok(Progress::Done { tokens: self.count })
    }

    /// Does one piece of work and returns its cost.
    fn advance(&mut self) -> Result<u32, Error> {
        match self.phase {
            Phase::Begin => {
                if self.options.mark_ends && self.tokenizer.adds_bos() {
                    self.tokenizer.bos().into_iter().for_each(|id| self.emit(id));
                }
                self.phase = Phase::Gather;
                Ok(1)
            }
            Phase::Gather => self.gather(),
            Phase::Split(at) => Ok(self.split(at)),
            Phase::Scan(words) => Ok(self.scan(words)),
            Phase::Symbols(at) => Ok(self.init_symbols(at)),
            Phase::Ranks(at) => Ok(self.init_ranks(at)),
            Phase::Tree(node) => {
                self.with_word(|word| word.init_node(node));
                self.phase = node.checked_sub(1).filter(|&node| node > 0).map_or(Phase::Merge, Phase::Tree);
                Ok(1)
            }
            Phase::Merge => {
                let cost = self.with_word(|word| word.merge_best().unwrap_or(0));
                if cost == 0 {
                    self.phase = Phase::Emit(0);
                }
                Ok(cost)
            }
            Phase::Emit(at) => self.emit_symbol(at),
            Phase::Done => Ok(0),
        }
    }

    fn emit(&mut self, id: u32) {
        if let Some(slot) = self.out.get_mut(self.count) {
            *slot = id;
        }
        self.count = self.count.saturating_add(1);
    }

    /// Moves a byte of the piece at hand into the text, or takes the next piece.
    fn gather(&mut self) -> Result<u32, Error> {
        if let Some((&byte, rest)) = self.piece.split_first() {
            self.push(byte)?;
            self.piece = rest;
            return Ok(1);
        }
        match self.pieces.next() {
            Some(Piece::Text([])) => {}
            Some(Piece::Text(piece)) => {
                self.piece = piece;
                if self.len == 0 && self.tokenizer.adds_space_prefix() {
                    self.push(b' ')?;
                }
            }
            Some(Piece::Special(id)) if id >= self.tokenizer.token_count() => {
                return Err(Error::UnknownToken { id });
            }
            Some(Piece::Special(id)) => {
                self.special = Some(id);
                self.start_text();
            }
            None if self.len > 0 => self.start_text(),
            None => {
                if self.options.mark_ends && self.tokenizer.adds_eos() {
                    self.tokenizer.eos().into_iter().for_each(|id| self.emit(id));
                }
                self.phase = Phase::Done;
            }
        }
        Ok(1)
    }

    fn push(&mut self, byte: u8) -> Result<(), Error> {
        let capacity = self.text.len();
        let Some(slot) = self.text.get_mut(self.len) else {
            let need = self.len.saturating_add(self.piece.len());
            let prefix = usize::from(self.tokenizer.adds_space_prefix());
            let [need, have] = [need, capacity].map(|bytes| saturate(bytes.saturating_sub(prefix)));
            return Err(Error::TextTooLong { need, have });
        };
        *slot = byte;
        self.len = self.len.saturating_add(1);
        if self.tokenizer.lowercases() {
            self.len = lower_last(self.text, self.len);
        }
        if self.tokenizer.model() == Model::Spm {
            self.len = space_last(self.text, self.len);
        }
        Ok(())
    }

    fn start_text(&mut self) {
        self.word = 0..0;
        self.phase = Phase::Split(0);
    }

    /// Looks for a user-defined token at byte `at` of the text; where there is one, what is before it is a text.
    fn split(&mut self, at: usize) -> u32 {
        let rest = self.text.get(at..self.len).unwrap_or(&[]);
        if self.tokenizer.user_defined().is_empty() || rest.is_empty() {
            (self.limit, self.user) = (self.len, None);
        } else if let Some(id) = self.tokenizer.user_prefix(rest) {
            (self.limit, self.user) = (at, Some(id));
        } else {
            self.phase = Phase::Split(at.saturating_add(1));
            return SEARCH;
        }
        self.next_word();
        1
    }

    /// Goes on behind the word at hand.
    fn next_word(&mut self) {
        let start = self.word.end;
        if start < self.limit {
            self.word = start..start;
            self.phase = Phase::Scan(Words::new(self.tokenizer.pre_tokenizer()));
        } else if let Some(id) = self.user.take() {
            self.emit(id);
            // At least one byte, so that the text ends.
            let end = self.limit.saturating_add(self.tokenizer.token_len(id).max(1)).min(self.len);
            self.word = end..end;
            self.phase = Phase::Split(end);
        } else {
            self.special.take().into_iter().for_each(|id| self.emit(id));
            self.len = 0;
            self.phase = Phase::Gather;
        }
    }

    fn scan(&mut self, mut words: Words) -> u32 {
        let rest = self.text.get(self.word.start..self.limit).unwrap_or(&[]);
        let found = match self.tokenizer.model() {
            Model::Spm => Some(rest.len()),
            Model::Bpe => words.step(rest),
        };
        let Some(len) = found else {
            self.phase = Phase::Scan(words);
            return 1;
        };
        self.word.end = self.word.start.saturating_add(len.max(1)).min(self.limit);
        self.phase = Phase::Symbols(0);
        if self.tokenizer.takes_whole_words() && self.word.len() <= self.tokenizer.longest() {
            let word = self.text.get(self.word.clone()).unwrap_or(&[]);
            if let Some(id) = self.tokenizer.find(word) {
                self.emit(id);
                self.next_word();
            }
            return SEARCH;
        }
        1
    }

    fn init_symbols(&mut self, at: usize) -> u32 {
        let next = at.saturating_add(self.with_word(|word| word.init_symbol(at)));
        self.phase = if next < self.word.len() { Phase::Symbols(next) } else { Phase::Ranks(0) };
        SEARCH
    }

    fn init_ranks(&mut self, at: usize) -> u32 {
        let len = self.with_word(|word| {
            word.init_rank(at);
            word.symbol(at).len
        });
        let next = at.saturating_add(len);
        self.phase = match self.word.len() {
            len if next < len => Phase::Ranks(next),
            // A tree of one leaf has no nodes, and nothing to merge.
            0 | 1 => Phase::Emit(0),
            len => Phase::Tree(len.saturating_sub(1)),
        };
        SEARCH
    }

    /// Writes the token of the symbol at byte `at` of the word.
    fn emit_symbol(&mut self, at: usize) -> Result<u32, Error> {
        if at >= self.word.len() {
            self.next_word();
            return Ok(1);
        }
        let symbol = self.with_word(|word| word.symbol(at));
        let next = at.saturating_add(symbol.len);
        match symbol.token {
            Some(id) => self.emit(id),
            None => {
                let start = self.word.start.saturating_add(at);
                for at in start..start.saturating_add(symbol.len).min(self.word.end) {
                    self.emit_byte(at)?;
                }
            }
        }
        self.phase = Phase::Emit(next);
        Ok(1)
    }

    /// Writes the fallback token of the byte at `at` of the text.
    fn emit_byte(&mut self, at: usize) -> Result<(), Error> {
        let byte = self.text.get(at).copied().unwrap_or(0);
        match self.tokenizer.byte_token(byte) {
            Some(id) => self.emit(id),
            None if self.options.lossy => {}
            None => {
                let prefix = usize::from(self.tokenizer.adds_space_prefix());
                return Err(Error::NoToken { byte, at: saturate(at.saturating_sub(prefix)) });
            }
        }
        Ok(())
    }

    /// Lends the word at hand and its scratch memory to `work`.
    fn with_word<T>(&mut self, work: impl for<'w> FnOnce(&mut Word<'w>) -> T) -> T {
        work(&mut Word {
            tokenizer: self.tokenizer,
            text: self.text.get(self.word.clone()).unwrap_or(&[]),
            symbols: self.symbols,
            ranks: self.ranks,
            tree: self.tree,
        })
    }
}

fn split_or_empty(words: &mut [u32], at: usize) -> (&mut [u32], &mut [u32]) {
    words.split_at_mut_checked(at).unwrap_or_default()
}

fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Encodes `text` in one go: [`Encoder`] without the steps. Returns the number of tokens written to `out`.
///
/// # Errors
/// As [`Encoder::step`].
///
/// ```
/// use bitnet_edge_core::text::{EncodeOptions, Tokenizer, encode, scratch_words};
/// let section = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/story.tok"));
/// let tokenizer = Tokenizer::new_checked(section)?;
/// let (mut scratch, mut ids) = ([0; scratch_words(64)], [0; 16]);
/// let options = EncodeOptions { mark_ends: true, lossy: false };
/// let count = encode(&tokenizer, b"Once upon a time", &mut scratch, &mut ids, options)?;
/// assert_eq!(ids[..count], [0, 193, 212, 52, 169]);
/// # Ok::<(), bitnet_edge_core::text::Error>(())
/// ```
pub fn encode(
    tokenizer: &Tokenizer<'_>,
    text: &[u8],
    scratch: &mut [u32],
    out: &mut [u32],
    options: EncodeOptions,
) -> Result<usize, Error> {
    let pieces = core::iter::once(Piece::Text(text));
    let mut encoder = Encoder::new(tokenizer, pieces, scratch, out, options);
    loop {
        if let Progress::Done { tokens } = encoder.step(u32::MAX)? {
            return Ok(tokens);
        }
    }
}
