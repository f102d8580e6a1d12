//! `matmul_t2r4_i8t_amx`

use bitnet_edge_kernels::Error;
use bitnet_edge_kernels::tile::{Int8Acts, Results, TernaryScale, t2r4};

use super::panel::{BLOCK_TOKENS, PASS_TOKENS, Product, Scratch};
use super::tiles::{Instructions, ROWS, Tiles};

/// Activations of a pass, in bytes: with the weights and sums of a panel they shall stay in an L2 of 2 MiB, for every
/// panel reads them again.
const PASS_BYTES: usize = 3 << 19;

/// [`t2r4::matmul`] with tiles. Takes 88 KiB of stack. `None`, and nothing done, if this is called from within `out` of such
/// a product: a thread has the registers once.
///
/// # Safety
/// The machine has AVX-512 F and BW, and `instructions` can be run.
pub(crate) unsafe fn matmul<I: Instructions, R: Results>(
    instructions: I,
    w: &[u8],
    tokens: usize,
    acts: &Int8Acts<'_>,
    scale: TernaryScale<'_>,
    out: &mut R,
) -> Option<Result<(), Error>> {
    let columns = match check(w, tokens, acts) {
        Ok(columns) => columns,
        Err(error) => return Some(Err(error)),
    };
    if tokens > 0 {
        // SAFETY: passed on to the caller.
        let tiles = unsafe { Tiles::new(instructions, tokens.min(ROWS)) }?;
        let mut scratch = Scratch::NEW;
        let w = w.as_chunks::<{ t2r4::TILE_BYTES }>().0;
        let pass = pass_tokens(tokens, acts.stride);
        let mut product = Product::new(tiles, &mut scratch, acts, tokens, pass, scale, out);
        for first in (0..tokens).step_by(pass) {
            // SAFETY: passed on to the caller.
            unsafe { product.pass(w, columns, first..tokens.min(first + pass)) };
        }
    }
    Some(Ok(()))
}

/// Tiles of a row tile, if the operands fit.
fn check(w: &[u8], tokens: usize, acts: &Int8Acts<'_>) -> Result<usize, Error> {
    acts.check(tokens, acts.stride, 1)?;
    let row_tile_bytes = t2r4::row_tile_bytes(acts.stride);
    if row_tile_bytes == 0 || !w.len().is_multiple_of(row_tile_bytes) {
        return Err(Error::Operand("weights are not whole row tiles"));
    }
    Ok(row_tile_bytes / t2r4::TILE_BYTES)
}

/// Tokens of a pass over the weights: as many in each as fit, in whole blocks.
fn pass_tokens(tokens: usize, stride: usize) -> usize {
    let most = (PASS_BYTES / stride / BLOCK_TOKENS * BLOCK_TOKENS).clamp(BLOCK_TOKENS, PASS_TOKENS);
    tokens.div_ceil(tokens.div_ceil(most)).next_multiple_of(BLOCK_TOKENS)
}
