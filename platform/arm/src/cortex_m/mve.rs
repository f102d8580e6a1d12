//! Sixteen weights an instruction: Helium (MVE) multiplies bytes and adds all products to a core register.
//!
//! Sixteen bytes of `t2r4` are a vector of a row. Planes 0 and 3 are made by a mask or by a shift, planes 1 and 2 by a mask and by a
//! shift and a mask to four times the codes, which saves a shift and a sum of their own costs nothing: every register with an even
//! number can hold one.
//!
//! No sum overflows: a row's half of the columns with four times the codes is 4 * 3 * 128 * K / 2 at most, which is below 2^31 for K up
//! to 2.7 million columns, and all else is less. The core takes models of 2^20 columns at most.

use core::arch::naked_asm;

use bitnet_edge_kernels::tile::{TILE_ROWS, t2r4};
use bitnet_edge_simd::words::{Buffer, Part, RowSums};

/// Row tiles at a time.
const TILES: usize = 16;

/// The activations and the sums of a group of rows.
pub(super) struct Memory<'a> {
    q: &'a [[i8; t2r4::TILE_COLUMNS]],
    sums: Buffer<[i32; TILE_ROWS], TILES>,
}

impl Memory<'_> {
    pub(super) const fn new() -> Self {
        Self { q: &[], sums: Buffer::new() }
    }
}

/// What does not fit the registers in which arguments come.
#[repr(C)]
struct Job {
    columns: usize,
    sums_end: *const i32,
    /// Bytes from the end of a row tile's column tiles to the next row tile's.
    skip: usize,
}

impl<'a> RowSums<'a> for Memory<'a> {
    const COLUMNS: usize = usize::MAX / t2r4::TILE_COLUMNS;
    const TILES: usize = TILES;
    const BIAS: i32 = 0;

    #[inline]
    fn prepare(&mut self, q: &'a [[i8; t2r4::TILE_COLUMNS]]) {
        self.q = q;
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
        let (Some(q), Some(sums)) = (self.q.get(..columns), self.sums.as_mut_slice().get_mut(..tiles)) else {
            return;
        };
        let sums = sums.as_flattened_mut().as_mut_ptr_range();
        let skip = part.row_tile() - columns * t2r4::TILE_BYTES;
        let job = Job { columns, sums_end: sums.end, skip };
        // SAFETY: a part has its row and column tiles, at least one of each; so many activations and sums are there; the tier's token
        // says that the instructions are there.
        unsafe { add(part.as_ptr(), q.as_ptr().cast(), sums.start, &raw const job) };
    }
}

/// Adds the products of row tiles to their sums. Registers: r1 weights, r3 activations, r5 column tiles, r7 sums, r9 their end, r11
/// bytes to skip; r0, r2, r4, r6 the rows' sums of planes 0 and 3, r8, r10, r12, lr four times those of planes 1 and 2; q0 and q1
/// masks, q2 activations, q3 codes, q4 to q7 the rows' weights.
///
/// # Safety
/// From `sums` on there are sums up to their end in `job`, at least of one row tile; `w` has as many row tiles of `columns` column
/// tiles, at least one; as many column tiles of activations are at `q`; the processor has Helium, which is enabled.
#[unsafe(naked)]
unsafe extern "C" fn add(w: *const u8, q: *const i8, sums: *mut i32, job: *const Job) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r4-r11, lr}}",
        "vpush {{d8-d15}}",
        "mov r7, r2",
        "ldr r9, [r3, #4]",
        "ldr r11, [r3, #8]",
        "ldr r2, [r3]",
        "push {{r1, r2}}", // activations, column tiles
        "mov r1, r0",
        "vmov.i8 q0, #0x03",
        "vmov.i8 q1, #0x0c",
        "2:", // a row tile
        "ldrd r3, r5, [sp]",
        "ldrd r0, r2, [r7]",
        "ldrd r4, r6, [r7, #8]",
        "mov r8, #0",
        "mov r10, #0",
        "mov r12, #0",
        "mov lr, #0",
        "3:", // a column tile
        "vldrb.u8 q4, [r1], #64",
        "vldrb.u8 q2, [r3], #64",
        "vldrb.u8 q5, [r1, #-48]",
        "vand q3, q4, q0",
        "vmladava.s8 r0, q3, q2",
        "vldrb.u8 q6, [r1, #-32]",
        "vand q3, q5, q0",
        "vmladava.s8 r2, q3, q2",
        "vldrb.u8 q7, [r1, #-16]",
        "vand q3, q6, q0",
        "vmladava.s8 r4, q3, q2",
        "vand q3, q7, q0",
        "vmladava.s8 r6, q3, q2",
        "vldrb.u8 q2, [r3, #-48]",
        "vand q3, q4, q1",
        "vmladava.s8 r8, q3, q2",
        "vand q3, q5, q1",
        "vmladava.s8 r10, q3, q2",
        "vand q3, q6, q1",
        "vmladava.s8 r12, q3, q2",
        "vand q3, q7, q1",
        "vmladava.s8 lr, q3, q2",
        "vldrb.u8 q2, [r3, #-32]",
        "vshr.u8 q3, q4, #2",
        "vand q3, q3, q1",
        "vmladava.s8 r8, q3, q2",
        "vshr.u8 q3, q5, #2",
        "vand q3, q3, q1",
        "vmladava.s8 r10, q3, q2",
        "vshr.u8 q3, q6, #2",
        "vand q3, q3, q1",
        "vmladava.s8 r12, q3, q2",
        "vshr.u8 q3, q7, #2",
        "vand q3, q3, q1",
        "vmladava.s8 lr, q3, q2",
        "vldrb.u8 q2, [r3, #-16]",
        "vshr.u8 q3, q4, #6",
        "vmladava.s8 r0, q3, q2",
        "vshr.u8 q3, q5, #6",
        "vmladava.s8 r2, q3, q2",
        "vshr.u8 q3, q6, #6",
        "vmladava.s8 r4, q3, q2",
        "vshr.u8 q3, q7, #6",
        "vmladava.s8 r6, q3, q2",
        "subs r5, #1",
        "bne 3b",
        "add r0, r0, r8, asr #2",
        "add r2, r2, r10, asr #2",
        "add r4, r4, r12, asr #2",
        "add r6, r6, lr, asr #2",
        "strd r0, r2, [r7], #8",
        "strd r4, r6, [r7], #8",
        "add r1, r11",
        "cmp r7, r9",
        "bne 2b",
        "add sp, #8",
        "vpop {{d8-d15}}",
        "pop {{r4-r11, pc}}",
    )
}
