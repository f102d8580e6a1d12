//! Four weights a load: tables of sums (`bitnet_edge_simd::words::table`), two row tiles at a time, so that eight sums share the address
//! of a table.

use core::arch::naked_asm;

use bitnet_edge_kernels::tile::{TILE_ROWS, t2r4};
use bitnet_edge_simd::words::{Part, RowSums, table};

/// The memory of tables, with functions in assembly that make and read them.
pub(super) struct Memory(table::Memory);

impl Memory {
    pub(super) const fn new() -> Self {
        Self(table::Memory::new())
    }
}

/// What does not fit the registers in which arguments come.
#[repr(C)]
struct Job {
    tables: *const u32,
    /// Bytes of two row tiles.
    step: usize,
    sums_end: *const i32,
}

impl RowSums<'_> for Memory {
    const COLUMNS: usize = <table::Memory as RowSums<'_>>::COLUMNS;
    const TILES: usize = <table::Memory as RowSums<'_>>::TILES;
    const BIAS: i32 = <table::Memory as RowSums<'_>>::BIAS;

    #[inline]
    fn prepare(&mut self, q: &[[i8; t2r4::TILE_COLUMNS]]) {
        if let Some(q) = q.first() {
            // SAFETY: a column tile is readable, and there is room for its tables, all of which are made.
            unsafe { self.0.tables.write(table::TABLES, |tables| make(q.as_ptr(), tables.cast())) };
        }
    }

    #[inline]
    fn begin(&mut self, tiles: usize, sum: i32) {
        self.0.begin(tiles, sum);
    }

    #[inline]
    fn sums(&mut self) -> &mut [[i32; TILE_ROWS]] {
        self.0.sums()
    }

    #[inline]
    fn add(&mut self, part: Part<'_>) {
        let (w, tiles) = (part.as_ptr(), part.tiles());
        let Some(sums) = self.0.sums.as_mut_slice().get_mut(..tiles) else { return };
        let tables = self.0.tables.as_slice();
        if tables.is_empty() {
            return;
        }
        let tables = tables.as_ptr().cast();
        let (pairs, last) = sums.as_chunks_mut::<2>();
        if !pairs.is_empty() {
            let sums = pairs.as_flattened_mut().as_flattened_mut().as_mut_ptr_range();
            let job = Job { tables, step: 2 * part.row_tile(), sums_end: sums.end };
            let second = w.wrapping_add(part.row_tile());
            // SAFETY: a part has its row tiles, two for each pair of sums; the tables are made.
            unsafe { add(w, second, sums.start, &raw const job) };
        }
        if let [sums] = last {
            // With a partner that is itself.
            let mut both = [*sums; 2];
            let range = both.as_flattened_mut().as_mut_ptr_range();
            let job = Job { tables, step: 0, sums_end: range.end };
            let w = w.wrapping_add((tiles - 1) * part.row_tile());
            // SAFETY: as above, for the last row tile.
            unsafe { add(w, w, range.start, &raw const job) };
            *sums = both[0];
        }
    }
}

/// Makes the tables of a column tile. Registers: r0 activations, lr tables, r4 to r11 sixteen sums, first those of the codes of the
/// first two columns; r1 what another code of the third column adds to each, r2 what one of the fourth does when the third begins
/// anew, r3 the column.
///
/// # Safety
/// 64 activations are readable, and 16 tables writable.
#[unsafe(naked)]
unsafe extern "C" fn make(q: *const i8, tables: *mut u32) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "mov lr, r1",
        "mov r3, #16",
        "2:",
        "ldrsb r4, [r0], #1", // of the first column
        "ldrsb r5, [r0, #15]",
        "ldrsb r1, [r0, #31]",
        "ldrsb r2, [r0, #47]",
        // The same number in both halves of a word.
        "add r5, r5, r5, lsl #16",
        "add r1, r1, r1, lsl #16",
        "add r2, r2, r2, lsl #16",
        "sub r2, r2, r1",
        "sub r2, r2, r1, lsl #1",
        // Codes 0 and 1 of the first column, then 2 and 3, with the bias; then with codes 1, 2, 3 of the second.
        "add r6, r4, r4, lsl #16",
        "mov r12, #0x08000800",
        "add r4, r12, r4, lsl #16",
        "add r12, r4, r6, lsl #1",
        "add r6, r4, r5",
        "add r8, r4, r5, lsl #1",
        "add r10, r8, r5",
        "add r7, r12, r5",
        "add r9, r12, r5, lsl #1",
        "add r11, r9, r5",
        "mov r5, r12",
        "stm lr!, {{r4-r11}}",
        ".irp step, 1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 1",
        "add r4, r4, r\\step",
        "add r5, r5, r\\step",
        "add r6, r6, r\\step",
        "add r7, r7, r\\step",
        "add r8, r8, r\\step",
        "add r9, r9, r\\step",
        "add r10, r10, r\\step",
        "add r11, r11, r\\step",
        "stm lr!, {{r4-r11}}",
        ".endr",
        "subs r3, #1",
        "bne.w 2b",
        "pop {{r4-r11, pc}}",
    )
}

/// Adds sums from the tables for a column tile of pairs of row tiles. Registers: r0 and r1 weights, r2 a table, r3 and r12 bytes, then
/// what the table has for them, r4 to r11 the rows' sums, lr where they are from and go to.
///
/// # Safety
/// From `sums` on there are sums, eight at a time and at least once, up to their end in `job`; for each eight a column tile at `w` and
/// one at `second`, and the next ones `step` bytes further; and 16 tables.
#[unsafe(naked)]
unsafe extern "C" fn add(w: *const u8, second: *const u8, sums: *mut i32, job: *const Job) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "mov lr, r2",
        "ldm r3, {{r2, r3, r4}}",
        "push {{r2, r3, r4}}", // tables, step, end of sums
        "2:",
        "ldm lr, {{r4-r11}}",
        "ldr r2, [sp]",
        ".irp byte, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "ldrb r3, [r0, #\\byte]",
        "ldrb r12, [r0, #(\\byte + 16)]",
        "ldrh r3, [r2, r3, lsl #1]",
        "ldrh r12, [r2, r12, lsl #1]",
        "add r4, r3",
        "add r5, r12",
        "ldrb r3, [r0, #(\\byte + 32)]",
        "ldrb r12, [r0, #(\\byte + 48)]",
        "ldrh r3, [r2, r3, lsl #1]",
        "ldrh r12, [r2, r12, lsl #1]",
        "add r6, r3",
        "add r7, r12",
        "ldrb r3, [r1, #\\byte]",
        "ldrb r12, [r1, #(\\byte + 16)]",
        "ldrh r3, [r2, r3, lsl #1]",
        "ldrh r12, [r2, r12, lsl #1]",
        "add r8, r3",
        "add r9, r12",
        "ldrb r3, [r1, #(\\byte + 32)]",
        "ldrb r12, [r1, #(\\byte + 48)]",
        "ldrh r3, [r2, r3, lsl #1]",
        "ldrh r12, [r2, r12, lsl #1]",
        "add r10, r3",
        "add r11, r12",
        ".if \\byte < 15",
        "add r2, r2, #512",
        ".endif",
        ".endr",
        "ldr r3, [sp, #4]",
        "ldr r12, [sp, #8]",
        "stm lr!, {{r4-r11}}",
        "add r0, r3",
        "add r1, r3",
        "cmp lr, r12",
        "bne.w 2b",
        "add sp, #12",
        "pop {{r4-r11, pc}}",
    )
}
