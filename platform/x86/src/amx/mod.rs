//! AMX: asking for it, and its kernels.
//!
//! A tile register holds 16 rows of 64 bytes. One instruction, `tdpbsud`, multiplies 16 tokens of 64 activations (signed,
//! the rows of one tile) with 64 columns of 16 weight rows (unsigned, the columns of another) and adds to 16 x 16 sums of
//! 32 bits: 16,384 products in 16 cycles, eight times what AVX-512 VNNI does. Weights are unpacked into the second form
//! by AVX-512 once for many tokens, so that this is for prefill; few tokens take the kernels of AVX-512 VNNI.
//!
//! - `detect` whether it may be used; `proof` whether it gives the bits of the definition here.
//! - `tiles` the registers: six instructions, and what makes them safe.
//! - `convert` what AVX-512 does: packed weights into tiles, sums into results.
//! - `panel` 32 rows times some tokens: the loop over columns, with the unpacking and the results woven in.
//! - `t2r4` the product of a matrix: how it is cut into panels and passes.
//!
//! What was run, and what was not: everything but the six instructions is compared with the definition, bit for bit, on
//! any machine with AVX-512; a model of the registers in memory, written from Intel's definition, stands in for them
//! (`software`). Their encodings are compared with Intel's manual. The instructions themselves were not run in the
//! development of this crate, and no speed of this tier was measured: `docs/performance.md` says what was derived, and from
//! what. So the tier is not available where the product of `proof` does not have the bits of the definition; the
//! conformance tests run it where it is.

mod convert;
mod detect;
mod panel;
mod proof;
#[cfg(test)]
mod software;
mod t2r4;
#[cfg(test)]
mod tests;
mod tiles;

pub(crate) use detect::missing;
#[cfg(test)]
pub(crate) use software::Software;
pub(crate) use t2r4::matmul as matmul_t2r4_i8t;
pub(crate) use tiles::Hardware;

/// Fewer tokens are left to AVX-512 VNNI. Tiles cost the same for 1 to 16 tokens: unpacking, which takes as long as AVX-512
/// VNNI takes for about three tokens, and products, for one to five more, as far as unpacking hides them.
pub(crate) const FEWEST_TOKENS: usize = 8;
