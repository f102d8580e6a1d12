//! Products of packed weights and int8 activations.
//!
//! The layouts are those of `bitnet-edge-simd`, generic over the vectors ([`vectors`]) and over how bytes are multiplied: [`smull`] on
//! every processor, [`sdot`] where there is an instruction for four products at once. Several tokens of the ternary layout have products of
//! their own there ([`gemm`]), and tables of sums elsewhere ([`tables`]).

pub(crate) mod gemm;
mod sdot;
mod smull;
pub(crate) mod tables;
#[cfg(test)]
mod tests;
mod vectors;

/// Needs `neon`.
pub(crate) type Neon = vectors::Vectors<smull::Smull>;
/// Needs `dotprod`.
pub(crate) type Dotprod = vectors::Vectors<sdot::Sdot>;
