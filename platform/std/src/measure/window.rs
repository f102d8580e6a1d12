//! A text in windows, and the logits that score it.

use std::ops::Range;

use bitnet_edge_core::text::{self, EncodeOptions, Tokenizer, encode, scratch_words};
use bitnet_edge_core::{Backend, Error, Session};

/// The tokens of a text to be scored: all of it, with the beginning token in front where the vocabulary asks for one.
/// With `lossy`, bytes that have no token are dropped, as llama.cpp does.
///
/// # Errors
/// Those of the tokenizer.
pub fn text_tokens(tokenizer: &Tokenizer<'_>, text: &[u8], lossy: bool) -> Result<Vec<u32>, text::Error> {
    let mut scratch = vec![0; scratch_words(text.len())];
    let bos = tokenizer.bos().filter(|_| tokenizer.adds_bos());
    // At most a token a byte, a space before the text, and the token that begins it.
    let mut ids = vec![0; text.len() + 2];
    let options = EncodeOptions { lossy, ..EncodeOptions::default() };
    let from = usize::from(bos.is_some());
    let count = encode(tokenizer, text, &mut scratch, &mut ids[from..], options)?;
    if let Some(bos) = bos {
        ids[0] = bos;
    }
    ids.truncate(from + count);
    Ok(ids)
}

/// A text's tokens, cut into windows.
#[derive(Clone, Copy, Debug)]
pub struct Windows<'a> {
    ids: &'a [u32],
    context: usize,
    bos: Option<u32>,
}

impl<'a> Windows<'a> {
    /// Windows of `context` tokens; `bos` replaces the first token of each.
    ///
    /// # Panics
    /// If `context` is 0.
    #[must_use]
    pub const fn new(ids: &'a [u32], context: usize, bos: Option<u32>) -> Self {
        assert!(context > 0, "a window has tokens");
        Self { ids, context, bos }
    }

    /// Tokens of a window.
    #[must_use]
    pub const fn context(&self) -> usize {
        self.context
    }

    /// How many whole windows the text has.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.ids.len() / self.context
    }

    /// Tokens of a window that are scored.
    #[must_use]
    pub const fn scored(&self) -> usize {
        (self.context - self.context / 2).saturating_sub(1)
    }

    /// The windows, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = Vec<u32>> + use<'a> {
        let bos = self.bos;
        self.ids.chunks_exact(self.context).map(move |window| {
            let mut window = window.to_vec();
            window[0] = bos.unwrap_or(window[0]);
            window
        })
    }
}

/// What goes through the model together: a range of a window, and the rows of it whose logits are wanted.
struct Pass {
    tokens: Range<usize>,
    rows: Range<usize>,
}

/// The passes over a window of `len` tokens. The last token is not scored by anything, and predicts nothing.
fn passes(len: usize, batch: usize) -> impl Iterator<Item = Pass> {
    let (first, last) = (len / 2, len.saturating_sub(1));
    (0..len).step_by(batch).map(move |start| {
        let end = len.min(start + batch);
        let rows = first.clamp(start, end) - start..last.clamp(start, end) - start;
        Pass { tokens: start..end, rows }
    })
}

/// Runs a window through `session`, whose context is emptied first, and calls `each` with the logits `[vocab]` behind a
/// token and the id of the token that follows it, for all that are scored; and `passed` now and then with the number of tokens
/// that are done since.
///
/// # Errors
/// Those of the session.
pub fn score<B: Backend>(
    session: &mut Session<'_, B>,
    window: &[u32],
    mut each: impl FnMut(&[f32], u32),
    mut passed: impl FnMut(usize),
) -> Result<(), Error> {
    session.rewind(0);
    for Pass { tokens, rows } in passes(window.len(), session.batch()) {
        session.prefill(&window[tokens.clone()], !rows.is_empty())?;
        for row in rows {
            each(session.logits_of(row as u32)?, window[tokens.start + row + 1]);
        }
        passed(tokens.len());
    }
    Ok(())
}

/// As [`score`] with two models of the same vocabulary: `each` is called with the logits of both.
///
/// # Errors
/// Those of the sessions.
pub fn score_pair<A: Backend, B: Backend>(
    one: &mut Session<'_, A>,
    other: &mut Session<'_, B>,
    window: &[u32],
    mut each: impl FnMut(&[f32], &[f32], u32),
    mut passed: impl FnMut(usize),
) -> Result<(), Error> {
    one.rewind(0);
    other.rewind(0);
    for Pass { tokens, rows } in passes(window.len(), one.batch().min(other.batch())) {
        one.prefill(&window[tokens.clone()], !rows.is_empty())?;
        other.prefill(&window[tokens.clone()], !rows.is_empty())?;
        for row in rows {
            let next = window[tokens.start + row + 1];
            each(one.logits_of(row as u32)?, other.logits_of(row as u32)?, next);
        }
        passed(tokens.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Positions of a window whose logits score the next token.
    fn scoring(len: usize, batch: usize) -> Vec<usize> {
        let mut covered = 0;
        let mut scoring = Vec::new();
        for pass in passes(len, batch) {
            assert_eq!(pass.tokens.start, covered);
            assert!(!pass.tokens.is_empty() && pass.tokens.len() <= batch);
            assert!(pass.rows.end <= pass.tokens.len());
            covered = pass.tokens.end;
            scoring.extend(pass.rows.map(|row| pass.tokens.start + row));
        }
        assert_eq!(covered, len);
        scoring
    }

    #[test]
    fn the_second_half_is_scored_whatever_the_batch() {
        for len in [2, 3, 7, 8, 512] {
            let expected: Vec<_> = (len / 2..len - 1).collect();
            for batch in [1, 2, 3, 5, 64, 1000] {
                assert_eq!(scoring(len, batch), expected, "{len} tokens, {batch} at a time");
            }
        }
        assert_eq!(scoring(512, 128).len(), 255);
    }

    #[test]
    fn every_window_begins_with_the_beginning_token() {
        let ids = [0, 1, 2, 3, 4, 5, 6, 7];
        let windows = Windows::new(&ids, 3, Some(9));
        assert_eq!((windows.count(), windows.scored()), (2, 1));
        assert_eq!(windows.iter().collect::<Vec<_>>(), [[9, 1, 2], [9, 4, 5]]);
        assert_eq!(Windows::new(&ids, 3, None).iter().next().unwrap(), [0, 1, 2]);
        assert_eq!(Windows::new(&ids, 512, None).scored(), 255);
    }
}
