//! Operands for benchmarks: what they compute does not matter, only that it takes the time that real data take.

mod attention;
mod product;
pub mod text;

pub use attention::Attention;
pub use product::Product;

/// Numbers that are the same on every run, in -1 ..= 1.
#[must_use]
pub fn noise(count: usize) -> Vec<f32> {
    let mut state = 1u32;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state as i32 as f32 / 2_147_483_648.0
        })
        .collect()
}

/// Bytes that are the same on every run.
pub(crate) fn bytes(count: usize) -> impl Iterator<Item = u8> {
    let mut state = 1u32;
    (0..count).map(move |_| {
        state = state.wrapping_mul(0x915f_77f5).wrapping_add(0x3c6e_f35f);
        (state >> 24) as u8
    })
}
