//! Cortex-M: products of a core that has registers of 32 bits, multiplies two pairs of 16-bit numbers at once (DSP), or
//! sixteen pairs of bytes (Helium).
//!
//! The inner loops are functions in assembly, whole ones, because they use every register. So the compiler needs no flag for the
//! instructions, and makes none by itself: Helium's floats are not those of the definition (subnormal numbers are zeros).

mod dsp;
#[cfg(hard_float)]
mod lanes;
mod mve;
mod q8;
mod registers;
mod table;
mod tier;

pub use tier::{Dsp, Mve, Table};
