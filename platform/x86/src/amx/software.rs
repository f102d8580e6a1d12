//! The tile registers as Intel defines them, in memory: what tests run in place of the instructions.
//!
//! Written from the pseudocode of the instructions in Intel's "Architecture Instruction Set Extensions" (palette 1). What
//! would be a fault of the processor is a panic.

use std::cell::RefCell;

use super::tiles::{Config, Instructions, ROW_BYTES, ROWS};

#[derive(Clone, Copy)]
struct Tile {
    rows: usize,
    row_bytes: usize,
    bytes: [[u8; ROW_BYTES]; ROWS],
}

thread_local! {
    /// The registers of this thread; `None` in the initial state, and after `tilerelease`.
    static REGISTERS: RefCell<Option<[Tile; 8]>> = const { RefCell::new(None) };
}

/// Instructions on eight tile registers in memory.
pub(crate) struct Software(());

impl Software {
    pub(crate) fn new() -> Self {
        Self(())
    }

    /// Whether this thread has no configuration.
    pub(super) fn is_released() -> bool {
        REGISTERS.with_borrow(Option::is_none)
    }
}

/// `f` of a register that has a shape.
fn with<T>(t: usize, f: impl FnOnce(&mut Tile) -> T) -> T {
    REGISTERS.with_borrow_mut(|registers| {
        let tile = &mut registers.as_mut().expect("#UD: no configuration is loaded")[t];
        assert!(tile.rows > 0 && tile.row_bytes > 0, "#UD: tile {t} is not configured");
        f(tile)
    })
}

impl Instructions for Software {
    unsafe fn configure(&mut self, config: &Config) {
        assert!((&raw const *config).is_aligned());
        assert_eq!(config.palette, 1, "#GP: palette 0 releases, there is no other");
        assert_eq!(config.start_row, 0, "the row to restart with belongs to interrupted loads");
        assert_eq!(config.reserved, [0; 14], "#GP");
        assert_eq!(
            (&config.row_bytes[8..], &config.rows[8..]),
            (&[0; 8][..], &[0; 8][..]),
            "#GP: eight tiles"
        );
        let registers = std::array::from_fn(|t| {
            let (rows, row_bytes) = (usize::from(config.rows[t]), usize::from(config.row_bytes[t]));
            assert!(rows <= ROWS && row_bytes <= ROW_BYTES && (rows == 0) == (row_bytes == 0), "#GP");
            Tile { rows, row_bytes, bytes: [[0; ROW_BYTES]; ROWS] }
        });
        REGISTERS.set(Some(registers));
    }

    unsafe fn zero<const T: usize>(&mut self) {
        with(T, |tile| tile.bytes = [[0; ROW_BYTES]; ROWS]);
    }

    unsafe fn load<const T: usize>(&mut self, memory: *const u8, stride: usize) {
        with(T, |tile| {
            tile.bytes = [[0; ROW_BYTES]; ROWS];
            for (r, row) in tile.bytes.iter_mut().take(tile.rows).enumerate() {
                // SAFETY: the caller vouches for every configured row, as of the instruction.
                unsafe { memory.add(r * stride).copy_to_nonoverlapping(row.as_mut_ptr(), tile.row_bytes) };
            }
        });
    }

    unsafe fn dot<const C: usize, const A: usize, const B: usize>(&mut self) {
        assert!(C != A && C != B && A != B, "#UD: registers are the same");
        let [a, b, mut c] = [A, B, C].map(|t| with(t, |tile| *tile));
        assert!(c.rows == a.rows && c.row_bytes == b.row_bytes && a.row_bytes == b.rows * 4, "#UD: shapes");
        assert!(c.row_bytes.is_multiple_of(4) && a.row_bytes.is_multiple_of(4), "#UD");
        for m in 0..c.rows {
            for k in 0..a.row_bytes / 4 {
                for n in 0..c.row_bytes / 4 {
                    let dword = &mut c.bytes[m][4 * n..4 * n + 4];
                    let mut sum = i32::from_le_bytes(dword.try_into().unwrap());
                    for i in 0..4 {
                        let (a, b) = (a.bytes[m][4 * k + i].cast_signed(), b.bytes[k][4 * n + i]);
                        sum = sum.wrapping_add(i32::from(a) * i32::from(b));
                    }
                    dword.copy_from_slice(&sum.to_le_bytes());
                }
            }
        }
        with(C, |tile| *tile = c);
    }

    unsafe fn store<const T: usize>(&mut self, memory: *mut u8, stride: usize) {
        with(T, |tile| {
            for (r, row) in tile.bytes.iter().take(tile.rows).enumerate() {
                // SAFETY: the caller vouches for every configured row, as of the instruction.
                unsafe { memory.add(r * stride).copy_from_nonoverlapping(row.as_ptr(), tile.row_bytes) };
            }
        });
    }

    unsafe fn release(&mut self) {
        REGISTERS.set(None);
    }
}
