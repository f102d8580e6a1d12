//! Two weights an instruction: `SMLAD` multiplies both halves of a word and adds the products.
//!
//! A word of `t2r4` has four bytes of a row. Shifted right by `2p` and masked to the lowest two bits of both halves, which is one
//! instruction, it is two codes of plane `p`, of the first and the third byte; shifted by `8 + 2p`, of the second and the
//! fourth. Activations are spread to such pairs of 16-bit numbers once for all rows.
//!
//! No sum overflows: it begins with minus the activations' sum, at most 128 * K, and codes add 3 * 128 * K at most, together below 2^31
//! for K up to 4.1 million columns. The core takes models of 2^20 columns at most.

use core::arch::naked_asm;

use bitnet_edge_kernels::tile::{TILE_ROWS, t2r4};
use bitnet_edge_simd::words::{Buffer, Part, RowSums};

/// Column tiles whose activations are spread at a time.
const COLUMNS: usize = 16;
/// Row tiles at a time.
const TILES: usize = 16;
/// Pairs of a column tile.
const PAIRS: usize = t2r4::TILE_COLUMNS / 2;

/// Spread activations of a part of a token and the sums of a group of rows: 2.3 KiB, for a stack.
pub(super) struct Memory {
    pairs: Buffer<[u32; PAIRS], COLUMNS>,
    sums: Buffer<[i32; TILE_ROWS], TILES>,
}

impl Memory {
    pub(super) const fn new() -> Self {
        Self { pairs: Buffer::new(), sums: Buffer::new() }
    }
}

/// What does not fit the registers in which arguments come.
#[repr(C)]
struct Job {
    pairs_end: *const u32,
    sums_end: *const i32,
    /// Bytes from the end of a row tile's column tiles to the next row tile's.
    skip: usize,
}

impl RowSums<'_> for Memory {
    const COLUMNS: usize = COLUMNS;
    const TILES: usize = TILES;
    const BIAS: i32 = 0;

    #[inline]
    fn prepare(&mut self, q: &[[i8; t2r4::TILE_COLUMNS]]) {
        let n = q.len().min(COLUMNS);
        if n > 0 {
            // SAFETY: `n` column tiles are readable, and there is room for their pairs, all of which are made; the tier's token says that
            // the instructions are there.
            unsafe { self.pairs.write(n, |pairs| spread(q.as_ptr().cast(), pairs.cast(), n)) };
        }
    }

    #[inline]
    fn begin(&mut self, tiles: usize, sum: i32) {
        self.sums.fill(tiles, [sum; TILE_ROWS]);
    }

    #[inline]
    fn sums(&mut self) -> &mut [[i32; TILE_ROWS]] {
        self.sums.as_mut_slice()
    }

    #[inline]
    fn add(&mut self, part: Part<'_>) {
        let (tiles, columns) = (part.tiles(), part.columns());
        let (pairs, sums) = (self.pairs.as_slice(), self.sums.as_mut_slice());
        let (Some(pairs), Some(sums)) = (pairs.get(..columns), sums.get_mut(..tiles)) else { return };
        let pairs = pairs.as_flattened().as_ptr_range();
        let sums = sums.as_flattened_mut().as_mut_ptr_range();
        let skip = part.row_tile() - columns * t2r4::TILE_BYTES;
        let job = Job { pairs_end: pairs.end, sums_end: sums.end, skip };
        // SAFETY: a part has its row and column tiles, at least one of each; so many pairs and sums are there; for the instructions
        // see `prepare`.
        unsafe { add(part.as_ptr(), pairs.start, sums.start, &raw const job) };
    }
}

/// Spreads activations, `[columns][64]`, to pairs in the order in which [`add`] takes them: of each four bytes of a row, of each plane
/// of them, the first and the third, the second and the fourth.
///
/// # Safety
/// `columns` is at least 1; both memories have as many column tiles; the processor has the DSP extension.
#[unsafe(naked)]
unsafe extern "C" fn spread(q: *const i8, pairs: *mut u32, columns: usize) {
    naked_asm!(
        ".arch armv7e-m",
        "add r2, r0, r2, lsl #6",
        "2:",
        ".irp word, 0, 4, 8, 12",
        ".irp plane, 0, 16, 32, 48",
        "ldr r3, [r0, #(\\word + \\plane)]",
        "sxtb16 r12, r3",
        "sxtb16 r3, r3, ror #8",
        "strd r12, r3, [r1], #8",
        ".endr",
        ".endr",
        "adds r0, #64",
        "cmp r0, r2",
        "bne 2b",
        "bx lr",
    )
}

/// Adds the products of row tiles to their sums. Registers: r0 weights, r1 pairs, r2 and r3 pairs of a plane, r4 to r7 a word of each
/// row, r8 to r11 their sums, r12 the mask, lr codes.
///
/// # Safety
/// From `pairs` and `sums` on there are elements up to their ends in `job`, at least one column tile and row tile; `w` has as many row
/// and column tiles; the processor has the DSP extension.
#[unsafe(naked)]
unsafe extern "C" fn add(w: *const u8, pairs: *const u32, sums: *mut i32, job: *const Job) {
    naked_asm!(
        ".arch armv7e-m",
        "push {{r4-r11, lr}}",
        "ldm r3, {{r3, r4, r5}}",
        "push {{r1-r5}}", // pairs, sums, their ends, bytes to skip
        "mov r12, #0x00030003",
        "2:", // a row tile
        "ldr lr, [sp, #4]",
        "ldm lr, {{r8-r11}}",
        "ldr r1, [sp]",
        "3:", // a column tile
        ".irp word, 0, 4, 8, 12",
        "ldr r4, [r0, #\\word]",
        "ldr r5, [r0, #(\\word + 16)]",
        "ldr r6, [r0, #(\\word + 32)]",
        "ldr r7, [r0, #(\\word + 48)]",
        ".irp shift, 0, 2, 4, 6",
        "ldrd r2, r3, [r1], #8",
        "and lr, r12, r4, lsr #\\shift",
        "smlad r8, lr, r2, r8",
        "and lr, r12, r5, lsr #\\shift",
        "smlad r9, lr, r2, r9",
        "and lr, r12, r6, lsr #\\shift",
        "smlad r10, lr, r2, r10",
        "and lr, r12, r7, lsr #\\shift",
        "smlad r11, lr, r2, r11",
        "and lr, r12, r4, lsr #(\\shift + 8)",
        "smlad r8, lr, r3, r8",
        "and lr, r12, r5, lsr #(\\shift + 8)",
        "smlad r9, lr, r3, r9",
        "and lr, r12, r6, lsr #(\\shift + 8)",
        "smlad r10, lr, r3, r10",
        "and lr, r12, r7, lsr #(\\shift + 8)",
        "smlad r11, lr, r3, r11",
        ".endr",
        ".endr",
        "ldr lr, [sp, #8]",
        "adds r0, #64",
        "cmp r1, lr",
        "bne.w 3b",
        "ldr lr, [sp, #4]",
        "ldr r2, [sp, #12]",
        "ldr r3, [sp, #16]",
        "stm lr!, {{r8-r11}}",
        "add r0, r3",
        "str lr, [sp, #4]",
        "cmp lr, r2",
        "bne.w 2b",
        "add sp, #20",
        "pop {{r4-r11, pc}}",
    )
}
