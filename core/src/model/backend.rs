use core::ops::Range;

use super::op::Op;
use crate::Error;
use crate::memory::Slot;

/// What executes a pass: a CPU tier, a GPU, or a test that checks the program.
///
/// A backend owns the memory that slots name. The order of calls is the order of the program; operations of one pass
/// depend on each other through their slots.
///
/// ```
/// use bitnet_edge_core::{Backend, Error, Slot, model::Op};
/// use core::ops::Range;
///
/// /// Runs another backend and counts what it runs.
/// struct Counting<B>(B, u64);
///
/// impl<B: Backend> Backend for Counting<B> {
///     fn name(&self) -> &'static str {
///         self.0.name()
///     }
///     fn run(&mut self, op: &Op, units: Range<u32>) -> Result<(), Error> {
///         self.1 += u64::from(units.end - units.start);
///         self.0.run(op, units)
///     }
///     fn write(&mut self, slot: Slot<u32>, words: &[u32]) -> Result<(), Error> {
///         self.0.write(slot, words)
///     }
///     fn read(&mut self, slot: Slot<f32>) -> Result<&[f32], Error> {
///         self.0.read(slot)
///     }
///     fn words(&mut self, slots: [Slot<u32>; 2]) -> Option<[&mut [u32]; 2]> {
///         self.0.words(slots)
///     }
///     fn draw(&mut self, logits: Slot<f32>, tokens: Slot<u32>) -> Result<(&mut [f32], &[u32]), Error> {
///         self.0.draw(logits, tokens)
///     }
/// }
/// ```
pub trait Backend {
    /// The name in statistics.
    fn name(&self) -> &'static str;

    /// Runs a range of an operation's units.
    ///
    /// # Errors
    /// [`Error::Kernel`] if a value is not finite or an operand does not fit; a backend's own trouble.
    fn run(&mut self, op: &Op, units: Range<u32>) -> Result<(), Error>;

    /// Writes the first words of a slot: the step block.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the slot is not that long.
    fn write(&mut self, slot: Slot<u32>, words: &[u32]) -> Result<(), Error>;

    /// Reads a slot: the logits.
    ///
    /// # Errors
    /// [`Error::Kernel`] if the slot lies outside the backend's memory.
    fn read(&mut self, slot: Slot<f32>) -> Result<&[f32], Error>;

    /// Two slots of words that the host side of a session uses between passes: prompt tokens, tokenizer scratch.
    ///
    /// A backend whose memory the host cannot reach keeps them elsewhere. `None` if a slot lies outside.
    fn words(&mut self, slots: [Slot<u32>; 2]) -> Option<[&mut [u32]; 2]>;

    /// What a draw needs at once: the logits as [`read`](Self::read) gives them, to be changed until the next pass
    /// overwrites them, and the tokens of the context as [`words`](Self::words) gives them.
    ///
    /// # Errors
    /// [`Error::Kernel`] if a slot lies outside the backend's memory.
    fn draw(&mut self, logits: Slot<f32>, tokens: Slot<u32>) -> Result<(&mut [f32], &[u32]), Error>;
}
