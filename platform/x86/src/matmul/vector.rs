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
    /// The scales of two `q6r4` sub-blocks.
    type Pair: Copy;

    /// Rows in a vector.
    const LANES: usize;
    /// Most tokens of a register block of `t2r4`.
    const TOKENS: usize;
    /// Most tokens for which `t2r4` goes through one row tile at a time.
    const FEW: usize;
    /// Sums of [`dot`](Self::dot) fit for this many `t2r4` tiles, or always ([`usize::MAX`]).
    const FLUSH: usize;
    /// The same for [`dot_tile`](Self::dot_tile).
    const FLUSH_TILE: usize;
    /// Tokens of a register block of the block layouts, at most 8.
    const BLOCK_TOKENS: usize;
    /// What [`group8`](Self::group8) adds to a weight, a power of two, or 0.
    const OFFSET: i32;

    unsafe fn zero() -> Self::V;
    unsafe fn load(p: *const u8) -> Self::V;
    /// The sixteen bytes at `p` in every lane.
    unsafe fn spread(p: *const u8) -> Self::V;

    /// Plane `P` of pairs of bits, as bytes.
    unsafe fn pairs<const P: i32>(w: Self::V) -> Self::V;
    /// Adds products of unsigned bytes `u` and signed bytes `s`, which are never -128, to sums that [`widen`](Self::widen)
    /// takes.
    unsafe fn dot(sums: Self::V, u: Self::V, s: Self::V) -> Self::V;
    /// `total + sums`, in four 32-bit elements a row.
    unsafe fn widen(total: Self::V, sums: Self::V) -> Self::V;
    /// Adds the products of a `t2r4` tile, or its rows in `w`, and the activations of its four planes to sums that
    /// [`collect`](Self::collect) takes.
    unsafe fn dot_tile(sums: &mut [Self::V; 4], w: Self::V, q: &[Self::V; 4]);
    /// Adds sums of [`dot_tile`](Self::dot_tile) to a total, in four 32-bit elements a row.
    unsafe fn collect(total: Self::V, sums: [Self::V; 4]) -> Self::V;

    /// Sums of the products of a group of nibbles: of the lower ones with `q[0]`, of the upper ones with `q[1]`.
    unsafe fn group4(w: Self::V, q: [Self::V; 2]) -> Self::V;
    /// Sums of the products of a group of signed bytes, to each of which [`OFFSET`](Self::OFFSET) was added.
    unsafe fn group8(w: [Self::V; 2], q: [Self::V; 2]) -> Self::V;

    /// Plane `P` of a quarter of `q6r4`, 0 to 63: `low` has its nibbles, `high` its pairs of bits.
    unsafe fn sixes<const P: i32>(low: Self::V, high: Self::V) -> Self::V;
    /// Scales of two sub-blocks, eight bytes at `p`, for the rows of vector `v` of a row tile.
    unsafe fn scales(p: *const u8, v: usize) -> Self::Pair;
    /// Writes to the 32 bytes at `c` what [`sub_blocks`](Self::sub_blocks) takes from products of the 32 activations at `q`.
    unsafe fn offsets(q: *const u8, c: *mut u8);
    /// Adds to `sums` the products of two sub-blocks, `(u - 32) * q * scale`.
    unsafe fn sub_blocks(
        sums: Self::V,
        u: [Self::V; 2],
        q: [Self::V; 2],
        c: *const u8,
        scales: Self::Pair,
    ) -> Self::V;

    /// Lane by lane: element `i` of the result is the sum of the four 32-bit elements of the lane of the `i`-th operand.
    unsafe fn fold4(v: [Self::V; 4]) -> Self::V;
    /// Lane by lane: element `i` of the result is `(s[0] + s[2]) + (s[1] + s[3])`, `s` the f32 of the `i`-th operand.
    unsafe fn fold4_float(v: [Self::V; 4]) -> Self::V;
    /// Element `i` of lane `l` goes to `p[i * LANES + l]`.
    unsafe fn store_rows(v: Self::V, p: *mut u32);

    /// `i - (sum << SHIFT)`
    unsafe fn less<const SHIFT: u32>(i: Self::V, sum: Self::V) -> Self::V;
    /// Of sixteen f16 at `p`, `[4 groups][4 rows]`: those of the rows of vector `v`, a lane for each, widened.
    unsafe fn halves(p: *const u8, v: usize) -> Self::V;
    /// `(d * a) * f32(i)`
    unsafe fn term(d: Self::V, a: Self::V, i: Self::V) -> Self::V;
    /// Sum of f32.
    unsafe fn add(x: Self::V, y: Self::V) -> Self::V;
}
