//! Strings that end a generation, found in a stream of bytes.

use heapless::Vec;

use super::{MAX_STOP_STRING_BYTES, MAX_STOP_STRINGS};
use crate::Error;

/// Bytes of all strings at most.
const TEXT: usize = MAX_STOP_STRINGS * MAX_STOP_STRING_BYTES;

/// Strings that end a generation, and the automaton that finds them in the stream of its bytes (Knuth, Morris and Pratt's,
/// one a string).
///
/// The automaton fires on the exact byte that completes a string, however tokens cut the text. The first string to be
/// complete wins; of several that one byte completes, the longest, which begins leftmost; of equal ones the first given.
/// Text that may be the beginning of a stop string is held back until it is known not to be: neither a stop string nor what
/// follows it is ever released, and all text before it is.
///
/// ```
/// use bitnet_edge_core::generate::{StopState, StopStrings};
/// let strings = StopStrings::new(&["\nUser:", "###"])?;
/// let (mut state, mut text) = (StopState::default(), Vec::new());
/// for token in ["Fine", "\nUs", "ually.", "\nUser", ": and you?"] {
///     let fed = strings.feed(&mut state, token.as_bytes());
///     text.extend_from_slice(fed.held);
///     text.extend_from_slice(fed.bytes);
///     if let Some(stop) = fed.stop {
///         assert_eq!((strings.get(stop.index), stop.end), (Some("\nUser:"), 1)); // the first byte of the last token
///     }
/// }
/// assert_eq!(text, b"Fine\nUsually.");
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone)]
pub struct StopStrings {
    /// The strings, one behind the other.
    text: Vec<u8, TEXT>,
    /// Where each of them ends in `text`.
    ends: Vec<u16, MAX_STOP_STRINGS>,
    /// Beside each byte of `text`: the length of the longest proper prefix of its string that the string up to and with
    /// this byte ends with.
    borders: [u8; TEXT],
    /// A bit for each byte that a string begins with.
    first: [u32; 8],
}

/// Where the automaton of [`StopStrings`] stands: part of what a snapshot of a generation holds.
///
/// ```
/// use bitnet_edge_core::generate::{StopState, StopStrings};
/// let strings = StopStrings::new(&["stop"])?;
/// let mut state = StopState::default();
/// strings.feed(&mut state, b"no st");
/// let snapshot = state; // as if resumed elsewhere
/// assert_eq!(strings.held(snapshot), b"st");
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StopState {
    /// Of each string: the length of its longest prefix that the text ends with.
    matched: [u8; MAX_STOP_STRINGS],
}

impl StopState {
    /// The lengths of the beginnings of stop strings that the text ends with, to be stored.
    ///
    /// ```
    /// use bitnet_edge_core::generate::StopState;
    /// assert_eq!(StopState::default().to_bytes(), [0; 8]);
    /// ```
    pub const fn to_bytes(self) -> [u8; MAX_STOP_STRINGS] {
        self.matched
    }

    /// The state with what [`to_bytes`](Self::to_bytes) gave. Bytes that no state has make no text: what is fed next
    /// may then be released or held back wrongly, and nothing else happens.
    ///
    /// ```
    /// use bitnet_edge_core::generate::{StopState, StopStrings};
    /// let strings = StopStrings::new(&["ab"])?;
    /// let mut state = StopState::from_bytes([1, 0, 0, 0, 0, 0, 0, 0]);
    /// assert!(strings.feed(&mut state, b"b").stop.is_some());
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn from_bytes(bytes: [u8; MAX_STOP_STRINGS]) -> Self {
        Self { matched: bytes }
    }
}

/// What the bytes of a token brought: the text that is released is `held`, then `bytes`.
///
/// ```
/// use bitnet_edge_core::generate::{StopState, StopStrings};
/// let strings = StopStrings::new(&["aab"])?;
/// let mut state = StopState::default();
/// let fed = strings.feed(&mut state, b"aa");
/// assert_eq!((fed.held, fed.bytes, fed.stop), (&b""[..], &b""[..], None));
/// let fed = strings.feed(&mut state, b"ac!"); // "aaa" and "aac" are no stop string
/// assert_eq!((fed.held, fed.bytes, fed.stop), (&b"aa"[..], &b"ac!"[..], None));
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fed<'a> {
    /// Text of earlier tokens that was held back.
    pub held: &'a [u8],
    /// Text of this token, from its beginning on.
    pub bytes: &'a [u8],
    /// The stop string that is complete, if one is.
    pub stop: Option<StopMatch>,
}

/// A stop string in the text.
///
/// ```
/// use bitnet_edge_core::generate::{StopMatch, StopState, StopStrings};
/// let strings = StopStrings::new(&["b", "ab"])?;
/// let fed = strings.feed(&mut StopState::default(), b"xabc");
/// assert_eq!(fed.stop, Some(StopMatch { index: 1, end: 3 })); // the longer of two that end there
/// assert_eq!(fed.bytes, b"x");
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopMatch {
    /// Which of the strings.
    pub index: usize,
    /// How many bytes of the token that completed it belong to it or are before it.
    pub end: usize,
}

impl StopStrings {
    /// No strings: every text is released as it comes.
    ///
    /// ```
    /// use bitnet_edge_core::generate::{StopState, StopStrings};
    /// const NONE: StopStrings = StopStrings::empty();
    /// assert_eq!(NONE.feed(&mut StopState::default(), b"text").bytes, b"text");
    /// ```
    pub const fn empty() -> Self {
        Self { text: Vec::new(), ends: Vec::new(), borders: [0; TEXT], first: [0; 8] }
    }

    /// These strings.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    ///
    /// ```
    /// use bitnet_edge_core::generate::StopStrings;
    /// let strings = StopStrings::new(&["</s>", "\n\n"])?;
    /// assert_eq!(strings.iter().collect::<Vec<_>>(), ["</s>", "\n\n"]);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn new(strings: &[impl AsRef<str>]) -> Result<Self, Error> {
        let mut all = Self::empty();
        for string in strings {
            all.push(string.as_ref())?;
        }
        Ok(all)
    }

    /// Adds a string. After an error nothing is added.
    ///
    /// # Errors
    /// [`Error::PlanOption`] for an empty string, one of more than [`MAX_STOP_STRING_BYTES`], or more than
    /// [`MAX_STOP_STRINGS`] of them.
    ///
    /// ```
    /// use bitnet_edge_core::{Error, generate::StopStrings};
    /// let mut strings = StopStrings::empty();
    /// assert!(matches!(strings.push(""), Err(Error::PlanOption(_))));
    /// assert!(matches!(strings.push(&"x".repeat(65)), Err(Error::PlanOption(_))));
    /// strings.push("###")?;
    /// assert_eq!(strings.len(), 1);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn push(&mut self, string: &str) -> Result<(), Error> {
        let Some(&first) = string.as_bytes().first() else {
            return Err(Error::PlanOption("a stop string is empty"));
        };
        if string.len() > MAX_STOP_STRING_BYTES {
            return Err(Error::PlanOption("a stop string is longer than 64 bytes"));
        }
        let end = self.text.len().saturating_add(string.len());
        self.ends.push(end as u16).map_err(|_| Error::PlanOption("there are too many stop strings"))?;
        // So many strings of such lengths fit.
        self.text
            .extend_from_slice(string.as_bytes())
            .map_err(|_| Error::PlanOption("too long stop strings"))?;
        if let Some(word) = self.first.get_mut(usize::from(first >> 5)) {
            *word |= 1 << (first & 31);
        }
        self.find_borders(self.text.len().saturating_sub(string.len()));
        Ok(())
    }

    /// Fills in the borders of the last string, which begins at `start`.
    fn find_borders(&mut self, start: usize) {
        let string = self.text.get(start..).unwrap_or(&[]);
        let Some(borders) = self.borders.get_mut(start..) else { return };
        let mut border = 0;
        for at in 1..string.len() {
            border = longest(string, borders, border, string.get(at).copied());
            if let Some(slot) = borders.get_mut(at) {
                *slot = border as u8;
            }
        }
    }

    /// How many strings there are.
    ///
    /// ```
    /// assert_eq!(bitnet_edge_core::generate::StopStrings::new(&["a", "b"])?.len(), 2);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    ///
    /// ```
    /// assert!(bitnet_edge_core::generate::StopStrings::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// One of the strings.
    ///
    /// ```
    /// let strings = bitnet_edge_core::generate::StopStrings::new(&["a", "b"])?;
    /// assert_eq!((strings.get(1), strings.get(2)), (Some("b"), None));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn get(&self, index: usize) -> Option<&str> {
        core::str::from_utf8(self.string(index)?.0).ok()
    }

    /// The strings, in the order in which they were added.
    ///
    /// ```
    /// let strings = bitnet_edge_core::generate::StopStrings::new(&["a", "b"])?;
    /// assert!(strings.iter().eq(["a", "b"]));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// A string's bytes and their borders.
    fn string(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let end = usize::from(*self.ends.get(index)?);
        let before = index.checked_sub(1).and_then(|before| self.ends.get(before));
        let range = before.map_or(0, |&start| usize::from(start))..end;
        Some((self.text.get(range.clone())?, self.borders.get(range)?))
    }

    /// Takes the bytes of a token, whole characters or not, and says what of the text can be released. Once a stop string is
    /// complete, the rest of the token is dropped, nothing is held back, and `state` is as at the beginning.
    ///
    /// ```
    /// use bitnet_edge_core::generate::{StopState, StopStrings};
    /// let strings = StopStrings::new(&["。"])?; // e3 80 82
    /// let mut state = StopState::default();
    /// assert_eq!(strings.feed(&mut state, b"ok\xe3\x80").bytes, b"ok");
    /// assert_eq!(strings.feed(&mut state, b"\x81 ").held, b"\xe3\x80"); // it was another character
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn feed<'a>(&'a self, state: &mut StopState, bytes: &'a [u8]) -> Fed<'a> {
        let before = self.held(*state);
        let (mut stop, mut end) = (None, 0);
        while let Some(&byte) = bytes.get(end) {
            end = end.saturating_add(1);
            if *state == StopState::default() && !self.begins(byte) {
                continue;
            }
            if let Some(index) = self.step(state, byte) {
                stop = Some(StopMatch { index, end });
                break;
            }
        }
        let kept = match stop {
            Some(StopMatch { index, .. }) => self.string(index).map_or(0, |(string, _)| string.len()),
            None => self.held(*state).len(),
        };
        if stop.is_some() {
            *state = StopState::default();
        }
        // What was held back and the bytes up to `end`, without the last `kept` of them.
        let released = before.len().saturating_add(end).saturating_sub(kept);
        let (held, of_bytes) = match released.checked_sub(before.len()) {
            Some(of_bytes) => (before, of_bytes),
            None => (before.get(..released).unwrap_or(&[]), 0),
        };
        Fed { held, bytes: bytes.get(..of_bytes).unwrap_or(&[]), stop }
    }

    /// What is held back: the text ends with it, and it is the beginning of a stop string.
    ///
    /// ```
    /// use bitnet_edge_core::generate::{StopState, StopStrings};
    /// let strings = StopStrings::new(&["END"])?;
    /// let mut state = StopState::default();
    /// strings.feed(&mut state, b"THE E");
    /// assert_eq!(strings.held(state), b"E");
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn held(&self, state: StopState) -> &[u8] {
        // Any of the longest: beginnings of one length are the same bytes.
        let lengths = (0usize..).zip(state.matched);
        let longest = lengths.max_by_key(|&(_, matched)| matched);
        longest.and_then(|(index, matched)| self.string(index)?.0.get(..usize::from(matched))).unwrap_or(&[])
    }

    /// The text is at an end: gives what is held back, and begins anew.
    ///
    /// ```
    /// use bitnet_edge_core::generate::{StopState, StopStrings};
    /// let strings = StopStrings::new(&["END"])?;
    /// let mut state = StopState::default();
    /// strings.feed(&mut state, b"THE E");
    /// assert_eq!(strings.finish(&mut state), b"E");
    /// assert_eq!(strings.finish(&mut state), b"");
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn finish(&self, state: &mut StopState) -> &[u8] {
        self.held(core::mem::take(state))
    }

    fn begins(&self, byte: u8) -> bool {
        self.first.get(usize::from(byte >> 5)).is_some_and(|word| word >> (byte & 31) & 1 != 0)
    }

    /// One byte more: the longest string that it completes.
    fn step(&self, state: &mut StopState, byte: u8) -> Option<usize> {
        let mut complete = None;
        for (index, matched) in state.matched.iter_mut().enumerate() {
            let Some((string, borders)) = self.string(index) else { break };
            let length = longest(string, borders, usize::from(*matched), Some(byte));
            *matched = length as u8;
            if length == string.len() && complete.is_none_or(|(_, best)| length > best) {
                complete = Some((index, length));
            }
        }
        complete.map(|(index, _)| index)
    }
}

/// The length of the longest prefix of `string` that a text ends with, if it was `matched` before the text's last byte,
/// `byte`. `borders`: of the string's bytes, at least of the first `matched`.
fn longest(string: &[u8], borders: &[u8], mut matched: usize, byte: Option<u8>) -> usize {
    loop {
        if string.get(matched).copied() == byte {
            return matched.saturating_add(1);
        }
        let Some(last) = matched.checked_sub(1) else { return 0 };
        // Shorter with every turn, whatever a state that was stored says.
        matched = borders.get(last).map_or(0, |&border| usize::from(border).min(last));
    }
}

impl Default for StopStrings {
    fn default() -> Self {
        Self::empty()
    }
}

impl core::fmt::Debug for StopStrings {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Equal if the strings are, in their order.
impl PartialEq for StopStrings {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.ends == other.ends
    }
}

#[cfg(all(test, feature = "full"))]
mod tests {
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    use super::super::random;
    use super::*;

    /// What a stream released, and the string that ended it with the number of bytes up to and with it.
    type Outcome = (Vec<u8>, Option<(usize, usize)>);

    fn streamed<'t>(strings: &StopStrings, portions: impl Iterator<Item = &'t [u8]>) -> Outcome {
        let (mut state, mut text, mut seen) = (StopState::default(), Vec::new(), 0);
        for portion in portions {
            let stored = StopState::from_bytes(state.to_bytes());
            assert_eq!(stored, state);
            let fed = strings.feed(&mut state, portion);
            text.extend_from_slice(fed.held);
            text.extend_from_slice(fed.bytes);
            if let Some(stop) = fed.stop {
                assert_eq!(state, StopState::default());
                return (text, Some((stop.index, seen + stop.end)));
            }
            seen += portion.len();
            assert_eq!(text.len() + strings.held(state).len(), seen);
        }
        text.extend_from_slice(strings.finish(&mut state));
        (text, None)
    }

    /// The definition: looks at the whole text after every byte.
    fn defined(strings: &[String], text: &[u8]) -> Outcome {
        for end in 1..=text.len() {
            let complete = strings.iter().enumerate().filter(|(_, s)| text[..end].ends_with(s.as_bytes()));
            if let Some((index, string)) = complete.rev().max_by_key(|(_, s)| s.len()) {
                return (text[..end - string.len()].to_vec(), Some((index, end)));
            }
        }
        (text.to_vec(), None)
    }

    #[test]
    fn streams_end_where_the_definition_says_however_they_are_cut() {
        let mut count = 0;
        let mut draw = move |below: u64| {
            count += 1;
            random(11, count) % below
        };
        let alphabet = ["a", "b", "é", "ê", "漢"]; // é and ê share their first byte
        for round in 0..30_000 {
            let letters = 2 + round % 4;
            let mut word = |longest| -> String {
                (0..draw(longest)).map(|_| alphabet[draw(letters) as usize]).collect()
            };
            let strings: Vec<String> =
                (0..=round % 8).map(|_| word(5)).filter(|string| !string.is_empty()).collect();
            let text = word(40);
            let automaton = StopStrings::new(&strings).unwrap();
            assert_eq!(format!("{automaton:?}"), format!("{strings:?}"));
            let expected = defined(&strings, text.as_bytes());
            let whole = streamed(&automaton, core::iter::once(text.as_bytes()));
            assert_eq!(whole, expected, "{strings:?} in {text:?}");
            let bytes = streamed(&automaton, text.as_bytes().chunks(1));
            assert_eq!(bytes, expected, "{strings:?} in {text:?} by bytes");
            let size = 1 + draw(5) as usize;
            let (left, right) = text.as_bytes().split_at(draw(text.len() as u64 + 1) as usize);
            let portions = left.chunks(size).chain(core::iter::once(&b""[..])).chain(right.chunks(size + 1));
            assert_eq!(streamed(&automaton, portions), expected, "{strings:?} in {text:?} by {size}");
        }
    }

    #[test]
    fn overlapping_strings_end_at_the_first_byte_that_completes_one() {
        for (strings, text, released, stop) in [
            (&["aab"][..], "aaab", "a", Some((0, 4))),
            (&["abcd", "bc"], "xabcd", "xa", Some((1, 4))),
            (&["ab", "abc"], "abc", "", Some((0, 2))), // a beginning of another is complete before it
            (&["c", "bc", "abc"], "abc", "", Some((2, 3))),
            (&["bc", "bc"], "abc", "a", Some((0, 3))),
            (&["abab"], "ababab", "", Some((0, 4))),
            (&["aabaaa"], "aabaabaaa", "aab", Some((0, 9))),
            (&["abcabd"], "abcabcab", "abcabcab", None),
            (&[], "abc", "abc", None),
        ] {
            let automaton = StopStrings::new(strings).unwrap();
            let outcome = streamed(&automaton, text.as_bytes().chunks(1));
            assert_eq!(outcome, (released.as_bytes().to_vec(), stop), "{strings:?} in {text:?}");
        }
    }

    #[test]
    fn the_bounds_are_where_they_are_said_to_be() {
        let longest = "x".repeat(MAX_STOP_STRING_BYTES);
        let mut strings = StopStrings::new(&[longest.as_str(); MAX_STOP_STRINGS]).unwrap();
        let full = strings.clone();
        assert!(matches!(strings.push("y"), Err(Error::PlanOption(_))));
        assert_eq!(strings, full);
        let text = "x".repeat(MAX_STOP_STRING_BYTES + 3);
        assert_eq!(streamed(&full, text.as_bytes().chunks(7)).1, Some((0, MAX_STOP_STRING_BYTES)));
        let long = StopStrings::new(&[longest + "x"]);
        assert!(matches!(long, Err(Error::PlanOption(_))));
    }

    #[test]
    fn a_state_of_any_bytes_does_no_harm() {
        let strings = StopStrings::new(&["aab", "b\u{e9}", "abcabc"]).unwrap();
        for n in 0..20_000 {
            let mut state = StopState::from_bytes(random(5, n).to_le_bytes());
            let fed = strings.feed(&mut state, b"aaabcabcab");
            assert!(fed.bytes.len() <= 10);
            strings.finish(&mut state);
        }
    }
}
