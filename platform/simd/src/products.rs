//! Products of bytes, which is where instruction sets differ most.
//!
//! Activations are never -128 (`docs/arithmetic.md`, section 5), on which the bounds rest.

use crate::vector::Vector;

/// Products of bytes with vectors of an instruction set. `unsafe` as in [`Vector`].
#[allow(clippy::missing_safety_doc, reason = "as for `Vector`")]
pub trait Products<S: Vector> {
    /// The scales of two sub-blocks of 16 columns, or of 32.
    type Pair: Copy;

    /// Sums of [`dot`](Self::dot) fit for this many `t2r4` tiles, or always ([`usize::MAX`]).
    const FLUSH: usize;
    /// The same for [`dot_tile`](Self::dot_tile).
    const FLUSH_TILE: usize;
    /// What [`signed`](Self::signed) adds to a weight.
    const OFFSET: i32;

    /// Adds products of codes of `t2r4` and activations to sums that [`widen`](Self::widen) takes.
    unsafe fn dot(sums: S::V, u: S::V, q: S::V) -> S::V;
    /// `total + sums`, in four 32-bit elements a row.
    unsafe fn widen(total: S::V, sums: S::V) -> S::V;
    /// Adds the products of a `t2r4` tile, or its rows in `w`, and the activations of its four planes to sums that
    /// [`collect`](Self::collect) takes.
    unsafe fn dot_tile(sums: &mut [S::V; 4], w: S::V, q: &[S::V; 4]);
    /// `total + sums` of [`dot_tile`](Self::dot_tile), in four 32-bit elements a row.
    unsafe fn collect(total: S::V, sums: [S::V; 4]) -> S::V;

    /// Sums of the products of four groups of 32 nibbles, `u`, a group to each 32-bit element of a lane, for `T` tokens with
    /// 8 x 16 bytes of activations at `q`.
    unsafe fn quad4<const T: usize>(u: &[S::V; 8], q: [*const u8; T]) -> [S::V; T];
    /// As [`quad4`](Self::quad4), of codes of at most 31.
    unsafe fn quad5<const T: usize>(u: &[S::V; 8], q: [*const u8; T]) -> [S::V; T];
    /// Signed bytes as [`quad8`](Self::quad8) takes them: with [`OFFSET`](Self::OFFSET) added.
    unsafe fn signed(w: S::V) -> S::V;
    /// As [`quad4`](Self::quad4), of signed bytes.
    unsafe fn quad8<const T: usize>(w: &[S::V; 8], q: [*const u8; T]) -> [S::V; T];

    /// Scales of two sub-blocks, `[2][4 rows]` at `p`, for the rows of vector `v` of a row tile.
    unsafe fn scales(p: *const u8, v: usize) -> Self::Pair;
    /// Writes to the 32 bytes at `c` what [`sub_blocks`](Self::sub_blocks) takes from products of the 32 activations at `q`.
    unsafe fn offsets(q: *const u8, c: *mut u8);
    /// Adds to `sums` the products of two sub-blocks, `(u - 32) * q * scale`.
    unsafe fn sub_blocks(sums: S::V, u: [S::V; 2], q: [S::V; 2], c: *const u8, scales: Self::Pair) -> S::V;

    /// Of eight scales below 128, the first bytes of each lane: those of sub-blocks `2 * pair` and `2 * pair + 1`.
    unsafe fn wide_scales(scales: S::V, pair: usize) -> Self::Pair;
    /// Adds to `sums` the products of two sub-blocks of 32 columns, with codes of at most 31.
    unsafe fn wide_sub_blocks(sums: S::V, u: [S::V; 4], q: [S::V; 4], scales: Self::Pair) -> S::V;
}
