//! Whole characters out of a stream of bytes.

/// Turns bytes that arrive in any portions into whole UTF-8 characters: holds back the beginning of a character (3
/// bytes at most) until the rest arrives, and makes U+FFFD of what is not UTF-8, exactly where
/// `String::from_utf8_lossy` would.
///
/// ```
/// use bitnet_edge_core::text::Utf8Stream;
/// let mut stream = Utf8Stream::new();
/// let mut text = String::new();
/// stream.feed(b"caf\xc3", |part| text.push_str(part));
/// assert_eq!(text, "caf");
/// stream.feed(b"\xa9 \xf0\x9f", |part| text.push_str(part));
/// stream.finish(|part| text.push_str(part));
/// assert_eq!(text, "café \u{fffd}");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Utf8Stream {
    /// The beginning of a character.
    held: [u8; 4],
    len: usize,
}

impl Utf8Stream {
    /// A stream with nothing held back.
    ///
    /// ```
    /// use bitnet_edge_core::text::Utf8Stream;
    /// let mut parts = 0;
    /// Utf8Stream::new().finish(|_| parts += 1);
    /// assert_eq!(parts, 0);
    /// ```
    pub const fn new() -> Self {
        Self { held: [0; 4], len: 0 }
    }

    /// Takes `bytes` and gives the text that is complete to `sink`, in any number of parts, none of them empty.
    ///
    /// ```
    /// let mut parts = 0;
    /// bitnet_edge_core::text::Utf8Stream::new().feed(b"\xe2\x82", |_| parts += 1);
    /// assert_eq!(parts, 0);
    /// ```
    pub fn feed(&mut self, bytes: &[u8], mut sink: impl FnMut(&str)) {
        let mut rest = bytes;
        while self.len > 0 {
            let Some((&byte, behind)) = rest.split_first() else { return };
            if self.complete(byte, &mut sink) {
                rest = behind;
            }
        }
        let mut chunks = rest.utf8_chunks();
        while let Some(chunk) = chunks.next() {
            if !chunk.valid().is_empty() {
                sink(chunk.valid());
            }
            let invalid = chunk.invalid();
            if is_beginning(invalid) && chunks.clone().next().is_none() {
                self.hold(invalid);
            } else if !invalid.is_empty() {
                sink("\u{fffd}");
            }
        }
    }

    /// Gives what is held back to `sink`, as U+FFFD: the bytes are at an end.
    ///
    /// ```
    /// let mut stream = bitnet_edge_core::text::Utf8Stream::new();
    /// stream.feed(b"\xe2\x82", |_| {});
    /// stream.finish(|part| assert_eq!(part, "\u{fffd}"));
    /// ```
    pub fn finish(&mut self, mut sink: impl FnMut(&str)) {
        if core::mem::take(&mut self.len) > 0 {
            sink("\u{fffd}");
        }
    }

    /// Adds `byte` to what is held back. Returns false if it does not belong there; nothing is held back then.
    fn complete(&mut self, byte: u8, sink: &mut impl FnMut(&str)) -> bool {
        if let Some(slot) = self.held.get_mut(self.len) {
            *slot = byte;
        }
        let len = self.len.saturating_add(1);
        let character = self.held.get(..len).unwrap_or(&[]);
        match core::str::from_utf8(character) {
            Ok(text) => {
                sink(text);
                self.len = 0;
                true
            }
            Err(error) if error.error_len().is_none() => {
                self.len = len;
                true
            }
            Err(_) => {
                sink("\u{fffd}");
                self.len = 0;
                false
            }
        }
    }

    fn hold(&mut self, beginning: &[u8]) {
        for (slot, &byte) in self.held.iter_mut().zip(beginning) {
            *slot = byte;
        }
        self.len = beginning.len();
    }
}

/// Whether `bytes` may become a character with what follows.
fn is_beginning(bytes: &[u8]) -> bool {
    core::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;

    use super::*;

    fn streamed(portions: &[&[u8]]) -> String {
        let mut stream = Utf8Stream::new();
        let mut text = String::new();
        for portion in portions {
            stream.feed(portion, |part| {
                assert!(!part.is_empty());
                text.push_str(part);
            });
            assert!(stream.len < 4);
        }
        stream.finish(|part| text.push_str(part));
        text
    }

    #[test]
    fn portions_of_any_size_give_what_from_utf8_lossy_gives() {
        // Bytes at which the cases of UTF-8 differ.
        let bytes =
            [b'a', 0x80, 0x9f, 0xa0, 0xbf, 0xc2, 0xc0, 0xe0, 0xe2, 0xed, 0xf0, 0xf4, 0xf5, 0x8f, 0x90];
        let mut state = 7_u64;
        for _ in 0..50_000 {
            let mut draw = |below: u64| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 33) % below
            };
            let text: Vec<u8> = (0..draw(9)).map(|_| bytes[draw(bytes.len() as u64) as usize]).collect();
            let expected = String::from_utf8_lossy(&text);
            assert_eq!(streamed(&[&text]), expected, "{text:x?}");
            let single: Vec<&[u8]> = text.chunks(1).collect();
            assert_eq!(streamed(&single), expected, "{text:x?}");
            let (left, right) = text.split_at(draw(text.len() as u64 + 1) as usize);
            assert_eq!(streamed(&[left, right]), expected, "{left:x?} {right:x?}");
        }
    }

    #[test]
    fn whole_characters_are_not_held_back() {
        let mut text = String::new();
        Utf8Stream::new().feed("é漢🦙".as_bytes(), |part| text.push_str(part));
        assert_eq!(text, "é漢🦙");
    }
}
