//! AMX: asking for it, and its kernels.
//!
//! A tile register holds 16 rows of 64 bytes. One instruction, `tdpbsud`, multiplies 16 tokens of 64 activations (signed,
//! the rows of one tile) with 64 columns of 16 weight rows (unsigned, the columns of another) and adds to 16 x 16 sums of
//! 32 bits: 16,384 products in 16 cycles, eight times what AVX-512 VNNI does. Weights are unpacked into the second form
//! by AVX-512 once for many tokens, so that this is for prefill; few tokens take the kernels of AVX-512 VNNI.
//!
//! - `detect` whether it may be used.
//! - `tiles` the registers: seven instructions, and what makes them safe. The only code that differs between the kernel
//!   that runs and the kernel that is tested: a model of the registers in memory stands in for them in tests, because few
//!   machines have them.
//! - `panel` 32 rows times some tokens: the loop over columns, with the unpacking and the results woven in.
//! - `t2r4` the product of a matrix: how it is cut into panels.

mod convert;
mod detect;
mod panel;
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

/// Fewer tokens are left to AVX-512 VNNI: unpacking a panel and multiplying it with one tile of up to 16 tokens takes as
/// long as AVX-512 VNNI takes for about these many.
pub(crate) const FEWEST_TOKENS: usize = 8;
