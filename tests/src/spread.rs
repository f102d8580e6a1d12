//! Ways to spread a pass that no backend of ours needs, and that must change no bit.

use std::ops::Range;
use std::sync::Mutex;
use std::thread;

use bitnet_edge_core::model::{Columns, Op, Split, Weights};
use bitnet_edge_core::{Backend, Error, MemoryPlan, Slot};

use crate::draw::Draw;

/// Parts of odd sizes, like threads that get what the others leave, one after another in a random order.
#[derive(Debug)]
pub struct Shuffled(Mutex<Draw>);

impl Shuffled {
    /// The order follows from `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(Mutex::new(Draw::new(seed)))
    }
}

/// Columns of every row of an output that one caller may write.
struct Part<'a> {
    range: Range<usize>,
    rows: Vec<&'a mut [f32]>,
}

impl Columns for Part<'_> {
    fn range(&self) -> Range<usize> {
        self.range.clone()
    }
    fn row(&mut self, row: usize) -> &mut [f32] {
        self.rows.get_mut(row).map_or(&mut [], |row| row)
    }
}

/// Cuts `columns` of `out` behind each of `ends`, the last of which is the end of `columns`.
fn cut<'a>(out: &'a mut [f32], stride: usize, columns: Range<usize>, ends: &[usize]) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let mut rest: Vec<&mut [f32]> = out.chunks_mut(stride).map(|row| &mut row[columns.start..]).collect();
    let mut start = columns.start;
    for &end in ends {
        let cut = rest.into_iter().map(|row| row.split_at_mut((end - start).min(row.len())));
        let (mine, others) = cut.unzip();
        parts.push(Part { range: start..end, rows: mine });
        (rest, start) = (others, end);
    }
    assert_eq!(start, columns.end);
    parts
}

impl Split for Shuffled {
    fn threads(&self) -> usize {
        7
    }
    fn columns(
        &self,
        out: &mut [f32],
        stride: usize,
        columns: Range<usize>,
        grain: usize,
        f: &(dyn Fn(&mut dyn Columns) + Sync),
    ) {
        let mut draw = self.0.lock().unwrap();
        let mut ends = Vec::new();
        let mut at = columns.start;
        while at < columns.end {
            at = columns.end.min(at + grain * (1 + draw.below(9)));
            ends.push(at);
        }
        let mut parts = cut(out, stride, columns, &ends);
        draw.shuffle(&mut parts);
        for part in &mut parts {
            f(part);
        }
    }
}

/// Real threads, as many as are asked for, each with an equal part.
#[derive(Clone, Copy, Debug)]
pub struct Threads(pub usize);

impl Split for Threads {
    fn threads(&self) -> usize {
        self.0
    }
    fn columns(
        &self,
        out: &mut [f32],
        stride: usize,
        columns: Range<usize>,
        grain: usize,
        f: &(dyn Fn(&mut dyn Columns) + Sync),
    ) {
        let share = columns.len().div_ceil(self.0).next_multiple_of(grain);
        let ends: Vec<_> =
            columns.clone().step_by(share).map(|start| columns.end.min(start + share)).collect();
        thread::scope(|scope| {
            for mut part in cut(out, stride, columns, &ends) {
                scope.spawn(move || f(&mut part));
            }
        });
    }
}

/// Hands out one row tile at a time, from a buffer that the next one overwrites: the smallest window over slow flash.
#[derive(Debug, Default)]
pub struct Window(Vec<u8>);

impl Weights for Window {
    fn rows<'s>(
        &'s mut self,
        matrix: &'s [u8],
        row_tile_bytes: usize,
        tiles: Range<u32>,
    ) -> Result<(u32, &'s [u8]), Error> {
        let at = tiles.start as usize * row_tile_bytes;
        self.0.clear();
        self.0.extend(&matrix[at..at + row_tile_bytes]);
        Ok((1, &self.0))
    }
}

/// Counts what a backend runs, in calls, units and multiply-accumulates.
#[derive(Debug)]
pub struct Counting<B> {
    /// The backend.
    pub inner: B,
    step: Slot<u32>,
    tokens: u32,
    position: u32,
    /// Since [`Counting::take`].
    count: Count,
}

/// What ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Calls of `run`.
    pub calls: u64,
    /// Units.
    pub units: u64,
    /// Cost of the units.
    pub cost: u64,
}

impl<B> Counting<B> {
    /// Counts what `inner` runs in a plan.
    pub const fn new(inner: B, plan: &MemoryPlan) -> Self {
        let count = Count { calls: 0, units: 0, cost: 0 };
        Self { inner, step: plan.step, tokens: 0, position: 0, count }
    }

    /// What ran since the last call.
    pub fn take(&mut self) -> Count {
        std::mem::take(&mut self.count)
    }
}

impl<B: Backend> Backend for Counting<B> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn run(&mut self, op: &Op, units: Range<u32>) -> Result<(), Error> {
        assert!(units.start < units.end && units.end <= op.units(self.tokens, self.position), "{op:?}");
        self.count.calls += 1;
        self.count.units += units.len() as u64;
        self.count.cost += units.len() as u64 * u64::from(op.cost(self.tokens, self.position));
        self.inner.run(op, units)
    }
    fn write(&mut self, slot: Slot<u32>, words: &[u32]) -> Result<(), Error> {
        if slot == self.step {
            (self.tokens, self.position) = (words[0], words[1]);
        }
        self.inner.write(slot, words)
    }
    fn read(&mut self, slot: Slot<f32>) -> Result<&[f32], Error> {
        self.inner.read(slot)
    }
    fn words(&mut self, slots: [Slot<u32>; 2]) -> Option<[&mut [u32]; 2]> {
        self.inner.words(slots)
    }
}
