//! Sums from tables, for cores on which a load is cheaper than four multiplications.
//!
//! A byte of `t2r4` holds the codes of four columns. A table has the sum of code x q for each of its 256 values, so that four weights
//! take a load of the byte, a load of the sum and an addition. Each of the sixteen bytes of a row and column tile has its table: 8 KiB,
//! made anew for every column tile of a token, so it is for matrices of many rows.
//!
//! A sum lies between `-4 * 3 * 128` and `4 * 3 * 128`; [`BIAS`] makes it positive. Then two of them fit a word, and an addition
//! to both is one to the word: no carry passes from the lower to the upper one.

use bitnet_edge_kernels::tile::{TILE_ROWS, t2r4};

use crate::names::*;

use super::{Buffer, Part, RowSums};

/// What is added to every sum in a table, more than the smallest sum is below zero.
pub const BIAS: i32 = 2048;

/// Tables of a column tile: one a byte of a row.
pub const TABLES: usize = 16;

/// Values of a byte.
pub const SUMS: usize = 256;

/// Sums of 1024 rows.
pub const TILES: usize = 256;

/// Row tiles from which on making tables pays: about 160 instructions a table, where the definition takes more than 4 a weight and
/// tables take one.
pub const WORTH: usize = 6;

/// Pairs of biased sums: the sums of bytes `2i` and `2i + 1` are the lower and the upper half of word `i`.
pub type Pairs = [u32; SUMS / 2];

/// Tables of a column tile and the sums of a group of rows: 12 KiB, for a stack.
#[derive(Debug, Default)]
pub struct Memory {
    /// All [`TABLES`], or none.
    pub tables: Buffer<Pairs, TABLES>,
    /// Sums of row tiles.
    pub sums: Buffer<[i32; TILE_ROWS], TILES>,
}

impl Memory {
    /// No tables yet.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self { tables: Buffer::new(), sums: Buffer::new() }
    }
}

/// The same number in both halves of a word, as an addition to both takes it.
const fn both(q: i32) -> u32 {
    q.wrapping_mul(0x1_0001) as u32
}

/// Makes the table of four columns that share a byte.
fn make(table: &mut Pairs, [a, b, c, d]: [i8; 4]) {
    let [q0, q1, q2, q3] = [a, b, c, d].map(i32::from);
    let first = both(BIAS).wrapping_add((q0 << 16) as u32);
    let second = first.wrapping_add(both(2 * q0));
    let mut sixteen = [0; 8];
    let mut offset = 0u32;
    for pair in sixteen.as_chunks_mut::<2>().0 {
        *pair = [first.wrapping_add(offset), second.wrapping_add(offset)];
        offset = offset.wrapping_add(both(q1));
    }
    for (i, block) in table.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *block = sixteen;
        let step = if i % 4 == 3 { both(q3 - 3 * q2) } else { both(q2) };
        sixteen.iter_mut().for_each(|word| *word = word.wrapping_add(step));
    }
}

/// The sums of a table, by byte.
fn halves(table: &Pairs) -> &[u16; SUMS] {
    const { assert!(cfg!(target_endian = "little"), "the lower half of a word comes first") };
    // SAFETY: as many bytes, which any contents are valid for, and no more alignment is needed.
    unsafe { &*table.as_ptr().cast() }
}

impl RowSums<'_> for Memory {
    const COLUMNS: usize = 1;
    const TILES: usize = TILES;
    const BIAS: i32 = BIAS * TABLES as i32;

    #[inline]
    fn prepare(&mut self, q: &[[i8; t2r4::TILE_COLUMNS]]) {
        let Some(q) = q.first() else { return };
        if self.tables.as_slice().is_empty() {
            self.tables.fill(TABLES, [0; SUMS / 2]);
        }
        for (i, table) in self.tables.as_mut_slice().iter_mut().enumerate() {
            make(table, [q[i], q[16 + i], q[32 + i], q[48 + i]]);
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
        let Some(tables) = self.tables.as_slice().first_chunk::<TABLES>() else { return };
        for (i, sums) in self.sums.as_mut_slice().iter_mut().enumerate().take(part.tiles()) {
            let Some(rows) = part.row_tile_at(i).first() else { return };
            let (rows, _) = rows.as_chunks::<TABLES>();
            let &[a, b, c, d] = rows else { return };
            for (i, table) in tables.iter().enumerate() {
                let table = halves(table);
                for (sum, byte) in sums.iter_mut().zip([a[i], b[i], c[i], d[i]]) {
                    *sum = sum.wrapping_add(i32::from(table[usize::from(byte)]));
                }
            }
        }
    }
}

/// The tier of a core that has nothing better than loads: tables for matrices of enough rows, the definition for everything else. A
/// product takes 13 KiB of stack.
///
/// ```
/// use bitnet_edge_kernels::Kernels;
/// assert_eq!(bitnet_edge_simd::words::Table.name(), "table");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Table;

impl Kernels for Table {
    type Lanes = Scalar16;

    fn name(&self) -> &'static str {
        "table"
    }

    fn own(&self) -> KernelSet {
        KernelSet::of(&[Kernel::MatmulT2r4I8t])
    }

    #[inline]
    fn matmul_t2r4_i8t<R: Results>(
        &self,
        w: &[u8],
        tokens: usize,
        acts: &Int8Acts<'_>,
        scale: TernaryScale<'_>,
        out: &mut R,
    ) -> Result<(), Error> {
        if w.len() / t2r4::row_tile_bytes(acts.stride).max(1) < WORTH {
            return t2r4::matmul(w, tokens, acts, scale, out);
        }
        super::matmul(&mut Memory::new(), w, tokens, acts, scale, out)
    }
}
