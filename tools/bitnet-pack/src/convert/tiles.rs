//! Row tiles, made on all processors and stored in order.

use std::{panic, thread};

use anyhow::{Context, Result};
use bitnet_edge_kernels::tile::{Layout, TILE_ROWS, q4k4, q4r4, q5r4, q6r4, q8r4};

use super::store::Store;

/// Bytes that are made at a time.
const BATCH_BYTES: usize = 8 << 20;
/// Fewer bytes are not worth another thread.
const SHARE_BYTES: usize = 256 << 10;

/// The row tiles of a matrix.
#[derive(Clone, Copy)]
pub(super) struct Tiles {
    pub(super) layout: Layout,
    pub(super) rows: usize,
    pub(super) cols: usize,
    /// Bytes of a row tile.
    bytes: usize,
    /// What padding holds.
    fill: u8,
}

impl Tiles {
    /// `None` if the layout cannot hold such a matrix.
    pub(super) fn new(layout: Layout, rows: usize, cols: usize, fill: u8) -> Option<Self> {
        layout.matrix_bytes(rows, cols)?;
        Some(Self { layout, rows, cols, bytes: layout.row_tile_bytes(cols)?, fill })
    }

    /// Bytes of all of them.
    pub(super) const fn len(&self) -> usize {
        self.rows.div_ceil(TILE_ROWS) * self.bytes
    }

    /// The rows of a tile.
    pub(super) fn rows_of(&self, tile: usize) -> impl Iterator<Item = usize> + use<> {
        tile * TILE_ROWS..self.rows.min((tile + 1) * TILE_ROWS)
    }

    /// Has `make` fill every row tile, given by its number, and appends them to `store` in order, with a call of `done` now
    /// and then. Returns what `make` did, or `None` as soon as it does; then the store has some tiles too many.
    pub(super) fn store<T: Send>(
        &self,
        store: &mut Store<'_>,
        done: impl Fn(),
        make: impl Fn(usize, &mut [u8]) -> Result<Option<T>> + Sync,
    ) -> Result<Option<Vec<T>>> {
        let count = self.rows.div_ceil(TILE_ROWS);
        let batch = (BATCH_BYTES / self.bytes).clamp(1, count.max(1));
        let mut buffer = vec![0; batch * self.bytes];
        let mut made = Vec::with_capacity(count);
        for start in (0..count).step_by(batch) {
            let bytes = &mut buffer[..batch.min(count - start) * self.bytes];
            bytes.fill(self.fill);
            match self.batch(start, bytes, &make)? {
                Some(some) => made.extend(some),
                None => return Ok(None),
            }
            store.append(bytes)?;
            done();
        }
        Ok(Some(made))
    }

    /// The tiles from `start` on that `bytes` have room for.
    fn batch<T: Send>(
        &self,
        start: usize,
        bytes: &mut [u8],
        make: &(impl Fn(usize, &mut [u8]) -> Result<Option<T>> + Sync),
    ) -> Result<Option<Vec<T>>> {
        let run = |first: usize, bytes: &mut [u8]| -> Result<Option<Vec<T>>> {
            // The iterator ends at the first `None`, and gathers fewer than there are tiles.
            let count = bytes.len() / self.bytes;
            let tiles = bytes.chunks_exact_mut(self.bytes).enumerate();
            let made = tiles.map_while(|(i, tile)| make(first + i, tile).transpose());
            let made = made.collect::<Result<Vec<T>>>()?;
            Ok((made.len() == count).then_some(made))
        };
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.min(bytes.len() / SHARE_BYTES).max(1);
        if threads == 1 {
            return run(start, bytes);
        }
        let share = (bytes.len() / self.bytes).div_ceil(threads);
        let parts: Vec<Result<Option<Vec<T>>>> = thread::scope(|scope| {
            let parts = bytes.chunks_mut(share * self.bytes).enumerate();
            let run = &run;
            let threads: Vec<_> =
                parts.map(|(i, part)| scope.spawn(move || run(start + i * share, part))).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect()
        });
        let mut made = Vec::new();
        for part in parts {
            match part? {
                Some(some) => made.extend(some),
                None => return Ok(None),
            }
        }
        Ok(Some(made))
    }

    /// Puts one block, or one float element, of a row into its tile.
    pub(super) fn put(&self, tile: &mut [u8], row: usize, i: usize, block: &[u8]) -> Result<()> {
        let (r, cols) = (row % TILE_ROWS, self.cols);
        match self.layout {
            Layout::Q8r4 => q8r4::put_block(tile, cols, r, i, block.try_into()?)?,
            Layout::Q6r4 => q6r4::put_block(tile, cols, r, i, block.try_into()?)?,
            Layout::Q5r4 => q5r4::put_block(tile, cols, r, i, block.try_into()?)?,
            Layout::Q4k4 | Layout::Q5k4 => q4k4::put_block(tile, cols, r, i, block)?,
            Layout::Q4r4 | Layout::Q4m4 => q4r4::put_block(tile, cols, r, i, block)?,
            _ => {
                let at = r * self.bytes / TILE_ROWS + i * block.len();
                tile.get_mut(at..at + block.len())
                    .context("a row longer than its tile")?
                    .copy_from_slice(block);
            }
        }
        Ok(())
    }

    /// Widens a row of a tile.
    pub(super) fn read(&self, tile: &[u8], row: usize, scale: f32, out: &mut [f32]) -> Result<()> {
        Ok(self.layout.dequantize_row(tile, row % TILE_ROWS, scale, out)?)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;
    use bitnet_edge_std::Bytes;

    use super::*;

    /// More than three batches, with a share for every processor.
    fn large() -> Tiles {
        Tiles::new(Layout::F32, 6000, 1024, 0xee).unwrap()
    }

    /// The tile's number, at its beginning.
    fn number(tile: usize, bytes: &mut [u8]) -> Result<Option<usize>> {
        bytes[..8].copy_from_slice(&tile.to_le_bytes());
        Ok(Some(tile))
    }

    #[test]
    fn tiles_are_in_order_however_many_processors_made_them() {
        let (tiles, mut bytes) = (large(), Bytes::default());
        let mut store = Store::Memory(&mut bytes);
        let made = tiles.store(&mut store, || (), number).unwrap().unwrap();
        assert!(made.iter().copied().eq(0..1500));
        assert_eq!(bytes.as_slice().len(), tiles.len());
        for (i, tile) in bytes.as_slice().chunks_exact(tiles.bytes).enumerate() {
            assert_eq!(tile[..8], i.to_le_bytes());
            assert!(tile[8..].iter().all(|&byte| byte == 0xee));
        }
    }

    #[test]
    fn the_first_error_is_the_one_reported_and_none_ends_it() {
        let (tiles, mut bytes) = (large(), Bytes::default());
        let fail = |tile: usize, _: &mut [u8]| -> Result<Option<()>> {
            if tile >= 700 { bail!("tile {tile}") } else { Ok(Some(())) }
        };
        let error = tiles.store(&mut Store::Memory(&mut bytes), || (), fail).unwrap_err();
        assert_eq!(error.to_string(), "tile 700");
        let none = |tile: usize, _: &mut [u8]| Ok((tile != 900).then_some(()));
        assert!(tiles.store(&mut Store::Memory(&mut bytes), || (), none).unwrap().is_none());
    }
}
