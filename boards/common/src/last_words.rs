//! What a firmware said before it was started anew.

use core::fmt::{self, Write};
use core::sync::atomic::AtomicU8;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Written when there are words: memory after power-on has anything else.
const MAGIC: u32 = 0x4c57_7264;

/// Memory for the message of a panic that outlives a reset, for a board whose line does not: it goes in a `static` of a section
/// that the boot code leaves alone (`.uninit` of `cortex-m-rt`). What does not fit is left out.
///
/// ```
/// use bitnet_edge_board::{LastWords, report_panic};
///
/// static WORDS: LastWords<128> = LastWords::new(); // #[unsafe(link_section = ".uninit.LAST_WORDS")]
/// // In the panic handler, before the reset:
/// report_panic(&mut WORDS.write(), &"no reason");
/// // After it, once somebody listens:
/// let mut buffer = [0; 128];
/// assert_eq!(WORDS.take(&mut buffer), Some("\n*** PANIC: no reason\n"));
/// assert_eq!(WORDS.take(&mut buffer), None);
/// ```
#[derive(Debug)]
pub struct LastWords<const N: usize> {
    magic: AtomicU32,
    len: AtomicU32,
    text: [AtomicU8; N],
}

impl<const N: usize> LastWords<N> {
    /// No words.
    #[must_use]
    pub const fn new() -> Self {
        Self { magic: AtomicU32::new(0), len: AtomicU32::new(0), text: [const { AtomicU8::new(0) }; N] }
    }

    /// Takes words, in place of those that are there.
    pub fn write(&self) -> Writer<'_> {
        self.magic.store(0, Relaxed);
        self.len.store(0, Relaxed);
        self.writer()
    }

    /// Takes more words, behind those that are there.
    pub fn append(&self) -> Writer<'_> {
        if self.magic.load(Relaxed) == MAGIC { self.writer() } else { self.write() }
    }

    fn writer(&self) -> Writer<'_> {
        Writer { magic: &self.magic, len: &self.len, text: &self.text }
    }

    /// The words, once.
    pub fn take<'b>(&self, buffer: &'b mut [u8; N]) -> Option<&'b str> {
        if self.magic.swap(0, Acquire) != MAGIC {
            return None;
        }
        for (byte, word) in buffer.iter_mut().zip(&self.text) {
            *byte = word.load(Relaxed);
        }
        let text = buffer.get(..self.len.load(Relaxed) as usize)?;
        core::str::from_utf8(text).ok()
    }
}

impl<const N: usize> Default for LastWords<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes [`LastWords`].
#[derive(Debug)]
pub struct Writer<'w> {
    magic: &'w AtomicU32,
    len: &'w AtomicU32,
    text: &'w [AtomicU8],
}

impl Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let start = self.len.load(Relaxed) as usize;
            let mut buffer = [0; 4];
            let encoded = character.encode_utf8(&mut buffer).as_bytes();
            let Some(places) = self.text.get(start..start + encoded.len()) else { break };
            for (place, byte) in places.iter().zip(encoded) {
                place.store(*byte, Relaxed);
            }
            self.len.store((start + encoded.len()) as u32, Relaxed);
        }
        self.magic.store(MAGIC, Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out_whole() {
        let words = LastWords::<5>::new();
        words.write().write_str("abcdé").unwrap();
        assert_eq!(words.take(&mut [0; 5]), Some("abcd"));
        let mut writer = words.write();
        writer.write_str("é").unwrap();
        writer.write_str("xyz!").unwrap();
        assert_eq!(words.take(&mut [0; 5]), Some("éxyz"));
    }

    #[test]
    fn memory_after_power_on_says_nothing() {
        let words = LastWords::<4>::new();
        words.len.store(u32::MAX, Relaxed);
        assert_eq!(words.take(&mut [0; 4]), None);
        words.magic.store(MAGIC, Relaxed);
        assert_eq!(words.take(&mut [0; 4]), None);
    }

    #[test]
    fn new_words_replace_the_old_ones() {
        let words = LastWords::<8>::new();
        words.write().write_str("old").unwrap();
        words.write().write_str("n").unwrap();
        words.append().write_str("e").unwrap();
        words.append().write_str("w").unwrap();
        assert_eq!(words.take(&mut [0; 8]), Some("new"));
        words.append().write_str("one").unwrap();
        assert_eq!(words.take(&mut [0; 8]), Some("one"));
    }
}
