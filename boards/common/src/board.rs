//! What a board gives.

/// A stream of bytes and a clock; memory comes with [`Machine`](crate::Machine).
///
/// The crate's documentation has a whole one.
pub trait Board {
    /// The next byte that was typed, if there is one. It does not wait.
    fn read(&mut self) -> Option<u8>;

    /// Sends bytes, and returns when the hardware has taken all of them.
    fn write(&mut self, bytes: &[u8]);

    /// Microseconds since a fixed moment; it never goes back.
    fn now_us(&mut self) -> u64;

    /// Where a watchdog is fed. Called while a key is waited for, and whenever the board works: before each case of the
    /// self-test, for every 4 KiB of the model that is checked and every 64 tokens of its vocabulary, for every 256
    /// units of work of the tokenizer, and between two steps of a pass. `docs/porting-a-board.md` lists what is the longest
    /// stretch without a call.
    fn alive(&mut self) {}

    /// The program in its flash, if it can be read: receipts have its digest.
    fn program(&self) -> Option<&[u8]> {
        None
    }

    /// Whether whoever typed has hung up, where a board can know: an answer then ends as by Ctrl-C, and the session as by
    /// Ctrl-D.
    fn is_gone(&mut self) -> bool {
        false
    }
}
