//! One product with the tiles of this machine, before anyone relies on them.

use bitnet_edge_kernels::tile::{Int8Acts, Outputs, TernaryScale, t2r4};

use super::tiles::Instructions;

/// Two blocks of tokens, two halves of a panel, two blocks of columns, and a rest of each: every loop of the kernel.
const TOKENS: usize = 35;
const ROWS: usize = 20;
const COLUMNS: usize = 768;
const WEIGHTS: usize = ROWS / 4 * t2r4::row_tile_bytes(COLUMNS);

/// Whether a product with these instructions has the bits of the definition. About 50 us, which the definition takes.
///
/// # Safety
/// As [`matmul`](super::t2r4::matmul).
pub(super) unsafe fn holds<I: Instructions>(instructions: I) -> bool {
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(0x915f_77f5).wrapping_add(0x3c6e_f35f);
        state >> 24
    };
    let w: Vec<u8> = (0..WEIGHTS).map(|_| random() as u8).collect();
    let q: Vec<i8> = (0..TOKENS * COLUMNS).map(|_| random() as i8).collect();
    let acts = Int8Acts { q: &q, stride: COLUMNS, scales: &[3.7; TOKENS], sums: &[-1234; TOKENS], groups: 1 };
    let scale = TernaryScale::Tensor(0.3);
    let [mut want, mut got] = [[0.0f32; TOKENS * ROWS]; 2];
    let mut out = Outputs { y: &mut want, stride: ROWS };
    let expected = t2r4::matmul(&w, TOKENS, &acts, scale, &mut out);
    let mut out = Outputs { y: &mut got, stride: ROWS };
    // SAFETY: passed on to the caller.
    let found = unsafe { super::t2r4::matmul(instructions, &w, TOKENS, &acts, scale, &mut out) };
    found == Some(expected) && want.map(f32::to_bits) == got.map(f32::to_bits)
}
