//! What the products ask of an instruction set.

/// Vectors of 128-bit lanes. Every layout puts sixteen bytes of one row beside sixteen of the next, so a lane is a row: a
/// 512-bit vector holds the four rows of a tile, a 256-bit one two of them, a 128-bit one a single row.
///
/// Every function is `unsafe` for one reason: the caller must run with the features of the instruction set, which are
/// those of the function that all of this is inlined into. Those with pointers read or write a whole vector (or what they
/// say), at any alignment.
pub(crate) trait Vector {
    /// `16 * LANES` bytes.
    type V: Copy;

    /// Rows in a vector.
    const LANES: usize;
    /// Most tokens of a register block of `t2r4`.
    const TOKENS: usize;
    /// Sums of products fit their elements for this many `t2r4` tiles of unshifted codes, or always ([`usize::MAX`]).
    const FLUSH: usize;

    unsafe fn zero() -> Self::V;
    unsafe fn load(p: *const u8) -> Self::V;
    /// The sixteen bytes at `p` in every lane.
    unsafe fn spread(p: *const u8) -> Self::V;
    /// Plane `P` of pairs of bits, as bytes.
    unsafe fn pairs<const P: i32>(w: Self::V) -> Self::V;
    /// Plane `P` of pairs of bits, left in its place: bytes of the code times `4^P`.
    unsafe fn scaled_pairs<const P: i32>(w: Self::V) -> Self::V;
    /// Every 32-bit element divided by `4^P`, of which it is a multiple.
    unsafe fn unscale<const P: i32>(sums: Self::V) -> Self::V;
    /// The upper nibbles in the place of the lower ones; what stands in the place of the upper ones is unspecified.
    unsafe fn upper_nibbles(w: Self::V) -> Self::V;
    /// Adds products of unsigned bytes `u` and signed bytes `s`, which are never -128, to sums that [`widen`](Self::widen) takes.
    unsafe fn dot(sums: Self::V, u: Self::V, s: Self::V) -> Self::V;
    /// `total + sums`, in four 32-bit elements a row.
    unsafe fn widen(total: Self::V, sums: Self::V) -> Self::V;
    /// Lane by lane: element `i` of the result is the sum of the four 32-bit elements of the lane of the `i`-th operand.
    unsafe fn fold4(v: [Self::V; 4]) -> Self::V;
    /// Element `i` of lane `l` goes to `p[i * LANES + l]`.
    unsafe fn store_rows(v: Self::V, p: *mut i32);
}
