//! The tile registers.

use std::arch::asm;
use std::cell::Cell;

/// Rows of a tile.
pub(super) const ROWS: usize = 16;
/// Bytes of a tile's row.
pub(super) const ROW_BYTES: usize = 64;

/// Sixteen rows of 64 bytes: 64 columns of 16 weight rows, four columns of a weight row together. Byte `i` of dword `n` of
/// row `k` is column `4k + i` of weight row `n`.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct WeightTile(pub(super) [[u8; ROW_BYTES]; ROWS]);

/// Sums: `[token][weight row]`.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct SumTile(pub(super) [[i32; 16]; ROWS]);

/// What `ldtilecfg` reads.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Config {
    pub(super) palette: u8,
    pub(super) start_row: u8,
    pub(super) reserved: [u8; 14],
    /// Bytes of a row; eight tiles, then eight that do not exist.
    pub(super) row_bytes: [u16; 16],
    pub(super) rows: [u8; 16],
}

/// The instructions, each as Intel defines it. `T`, `C`, `A`, `B` are numbers of registers, 0 to 7.
///
/// # Safety
/// The machine has them and the process may use them; but for `ldtilecfg` and `tilerelease`, a configuration is loaded that
/// gives the registers their shape.
pub(crate) trait Instructions {
    /// `ldtilecfg`: shapes of the registers, which become zero.
    unsafe fn configure(&mut self, config: &Config);
    /// `tilezero`
    unsafe fn zero<const T: usize>(&mut self);
    /// `tileloadd`: row `r` from `memory + r * stride`. All configured rows must be readable.
    unsafe fn load<const T: usize>(&mut self, memory: *const u8, stride: usize);
    /// `tdpbsud`: `C[m][n] += A[m][k] * B[k / 4][4n + k % 4]`, A signed, B unsigned, sums of 32 bits that wrap.
    unsafe fn dot<const C: usize, const A: usize, const B: usize>(&mut self);
    /// `tilestored`: row `r` to `memory + r * stride`. All configured rows must be writable.
    unsafe fn store<const T: usize>(&mut self, memory: *mut u8, stride: usize);
    /// `tilerelease`: no configuration, and no state that the system would have to save.
    unsafe fn release(&mut self);
}

/// The instructions of this machine.
///
/// The registers keep their values from one block of assembly to the next because nothing else in this program writes
/// them: the compiler does so only in functions that enable `amx-tile`, and there is none.
#[derive(Debug)]
pub(crate) struct Hardware(());

impl Hardware {
    /// # Safety
    /// The processor has AMX int8 with tiles of 16 rows of 64 bytes, and the system lets this process use it.
    pub(crate) const unsafe fn new() -> Self {
        Self(())
    }
}

/// The instructions in Intel's notation, for `Hardware` and for the test of their encodings.
macro_rules! mnemonic {
    (configure $config:literal) => {
        concat!("ldtilecfg [", $config, "]")
    };
    (zero $t:literal) => {
        concat!("tilezero tmm", $t)
    };
    (load $t:literal, $memory:literal, $stride:literal) => {
        concat!("tileloadd tmm", $t, ", [", $memory, " + ", $stride, "]")
    };
    (dot $c:literal, $a:literal, $b:literal) => {
        concat!("tdpbsud tmm", $c, ", tmm", $a, ", tmm", $b)
    };
    (store $t:literal, $memory:literal, $stride:literal) => {
        concat!("tilestored [", $memory, " + ", $stride, "], tmm", $t)
    };
    (release) => {
        "tilerelease"
    };
}
#[cfg(test)]
pub(super) use mnemonic;

impl Instructions for Hardware {
    #[inline(always)]
    unsafe fn configure(&mut self, config: &Config) {
        // SAFETY: reads the 64 bytes of `config`; the caller has the instruction.
        unsafe {
            asm!(
                mnemonic!(configure "{config}"),
                config = in(reg) config,
                options(nostack, readonly, preserves_flags)
            );
        }
    }
    #[inline(always)]
    unsafe fn zero<const T: usize>(&mut self) {
        // SAFETY: changes one register of a configuration that is loaded.
        unsafe { asm!(mnemonic!(zero "{t}"), t = const T, options(nostack, nomem, preserves_flags)) }
    }
    #[inline(always)]
    unsafe fn load<const T: usize>(&mut self, memory: *const u8, stride: usize) {
        // SAFETY: the caller vouches for the memory.
        unsafe {
            asm!(
                mnemonic!(load "{t}", "{memory}", "{stride}"),
                t = const T,
                memory = in(reg) memory,
                stride = in(reg) stride,
                options(nostack, readonly, preserves_flags)
            );
        }
    }
    #[inline(always)]
    unsafe fn dot<const C: usize, const A: usize, const B: usize>(&mut self) {
        const { assert!(C != A && C != B && A != B, "the registers of a product must differ") }
        // SAFETY: changes one register of a configuration that is loaded.
        unsafe {
            asm!(mnemonic!(dot "{c}", "{a}", "{b}"), c = const C, a = const A, b = const B, options(nostack, nomem, preserves_flags));
        }
    }
    #[inline(always)]
    unsafe fn store<const T: usize>(&mut self, memory: *mut u8, stride: usize) {
        // SAFETY: the caller vouches for the memory.
        unsafe {
            asm!(
                mnemonic!(store "{t}", "{memory}", "{stride}"),
                t = const T,
                memory = in(reg) memory,
                stride = in(reg) stride,
                options(nostack, preserves_flags)
            );
        }
    }
    #[inline(always)]
    unsafe fn release(&mut self) {
        // SAFETY: drops the state of the registers, which nobody else uses.
        unsafe { asm!(mnemonic!(release), options(nostack, nomem, preserves_flags)) }
    }
}

thread_local! {
    /// Whether this thread has [`Tiles`].
    static IN_USE: Cell<bool> = const { Cell::new(false) };
}

/// Registers that are configured: 0 to 3 hold sums, 4 and 5 activations, 6 and 7 weights. They are released with the value,
/// so that no thread keeps state that the system would save at every switch.
pub(super) struct Tiles<I: Instructions> {
    instructions: I,
    tokens: usize,
}

impl<I: Instructions> Tiles<I> {
    /// Registers for `tokens` tokens at a time, 1 to 16; `None` if this thread uses them already: a caller up the stack
    /// would find its configuration gone.
    ///
    /// # Safety
    /// The instructions can be run.
    pub(super) unsafe fn new(mut instructions: I, tokens: usize) -> Option<Self> {
        if IN_USE.replace(true) {
            return None;
        }
        let tokens = tokens.clamp(1, ROWS);
        let mut config =
            Config { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        for register in 0..8 {
            config.row_bytes[register] = ROW_BYTES as u16;
            config.rows[register] = if register < 6 { tokens as u8 } else { ROWS as u8 };
        }
        // SAFETY: passed on to the caller.
        unsafe { instructions.configure(&config) };
        Some(Self { instructions, tokens })
    }

    #[inline(always)]
    pub(super) fn zero<const T: usize>(&mut self) {
        // SAFETY: configured by `new`.
        unsafe { self.instructions.zero::<T>() }
    }

    /// 64 activations of each token: token `t` has those from `q[t * stride]` on.
    #[inline(always)]
    pub(super) fn load_activations<const T: usize>(&mut self, q: &[i8], stride: usize) {
        const { assert!(T == 4 || T == 5) }
        assert!((self.tokens - 1) * stride + ROW_BYTES <= q.len(), "fewer activations than a tile has");
        // SAFETY: configured by `new`, with `tokens` rows of 64 bytes, which are there.
        unsafe { self.instructions.load::<T>(q.as_ptr().cast(), stride) }
    }

    #[inline(always)]
    pub(super) fn load_weights<const T: usize>(&mut self, tile: &WeightTile) {
        const { assert!(T == 6 || T == 7) }
        // SAFETY: configured by `new`; the memory is a whole tile.
        unsafe { self.instructions.load::<T>((&raw const *tile).cast(), ROW_BYTES) }
    }

    #[inline(always)]
    pub(super) fn load_sums<const T: usize>(&mut self, tile: &SumTile) {
        const { assert!(T < 4) }
        // SAFETY: configured by `new`; the memory is a whole tile.
        unsafe { self.instructions.load::<T>((&raw const *tile).cast(), ROW_BYTES) }
    }

    /// Stores the tokens' rows of the sums; other rows of `tile` stay.
    #[inline(always)]
    pub(super) fn store_sums<const T: usize>(&mut self, tile: &mut SumTile) {
        const { assert!(T < 4) }
        // SAFETY: configured by `new`; the memory is a whole tile.
        unsafe { self.instructions.store::<T>((&raw mut *tile).cast(), ROW_BYTES) }
    }

    /// Adds the products of activations `A` and weights `B` to the sums `C`.
    #[inline(always)]
    pub(super) fn dot<const C: usize, const A: usize, const B: usize>(&mut self) {
        const { assert!(C < 4 && (A == 4 || A == 5) && (B == 6 || B == 7)) }
        // SAFETY: configured by `new`, so that the shapes fit each other.
        unsafe { self.instructions.dot::<C, A, B>() }
    }
}

impl<I: Instructions> Drop for Tiles<I> {
    fn drop(&mut self) {
        // SAFETY: configured by `new`; what the registers hold is of no use to anyone.
        unsafe { self.instructions.release() }
        IN_USE.set(false);
    }
}
