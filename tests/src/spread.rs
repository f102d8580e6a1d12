//! Ways to spread a pass that no backend of ours needs, and that must change no bit.

use std::ops::Range;
use std::sync::Mutex;
use std::thread;

use bitnet_edge_core::model::{Op, Output, Part, Split, Weights, Work};
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

/// Units, and what they own of every row of every output.
#[derive(Debug)]
pub struct Cut<'a> {
    units: Range<u32>,
    outputs: Vec<Vec<&'a mut [u8]>>,
}

impl Part for Cut<'_> {
    fn units(&self) -> Range<u32> {
        self.units.clone()
    }
    fn bytes<const N: usize>(&mut self, rows: [usize; N]) -> [&mut [u8]; N] {
        let mut outputs = self.outputs.iter_mut();
        rows.map(|row| match outputs.next().and_then(|rows| rows.get_mut(row)) {
            Some(row) => &mut **row,
            None => &mut [],
        })
    }
}

/// Cuts outputs into parts of these units, which follow one another.
fn cut<'a>(outputs: &'a mut [Output<'_>], parts: &[Range<u32>]) -> Vec<Cut<'a>> {
    let mut cuts: Vec<_> =
        parts.iter().map(|units| Cut { units: units.clone(), outputs: Vec::new() }).collect();
    for output in outputs {
        cuts.iter_mut().for_each(|cut| cut.outputs.push(Vec::new()));
        let len = output.bytes().len();
        let grid = output.grid();
        let place = |row| parts.iter().map(move |units| (units, row));
        let places = (0..).flat_map(place).map(|(units, row)| grid.range(units, row));
        let places: Vec<_> = places.take_while(|range| range.end <= len && !range.is_empty()).collect();
        let (mut rest, mut at) = (output.bytes(), 0);
        for (i, range) in places.into_iter().enumerate() {
            let (_, behind) = rest.split_at_mut(range.start - at);
            let (mine, others) = behind.split_at_mut(range.len());
            cuts[i % parts.len()].outputs.last_mut().unwrap().push(mine);
            (rest, at) = (others, range.end);
        }
    }
    cuts
}

/// The error of the part that begins first.
fn first_error(mut results: Vec<(u32, Result<(), Error>)>) -> Result<(), Error> {
    results.sort_by_key(|(start, _)| *start);
    results.into_iter().find_map(|(_, result)| result.err()).map_or(Ok(()), Err)
}

impl Split for Shuffled {
    type Part<'p> = Cut<'p>;

    fn threads(&self) -> usize {
        7
    }
    fn run<const N: usize, F>(&self, mut outputs: [Output<'_>; N], work: &Work, f: F) -> Result<(), Error>
    where
        F: for<'p> Fn(&mut Cut<'p>) -> Result<(), Error> + Sync,
    {
        work.fits(&outputs)?;
        let mut draw = self.0.lock().unwrap();
        let (mut parts, mut at) = (Vec::new(), work.units.start);
        while at < work.units.end {
            let end = work.units.end.min(at + work.grain * (1 + draw.below(9) as u32));
            parts.push(at..end);
            at = end;
        }
        let mut parts = cut(&mut outputs, &parts);
        draw.shuffle(&mut parts);
        first_error(parts.iter_mut().map(|part| (part.units.start, f(part))).collect())
    }
}

/// Real threads, as many as are asked for, each with an equal part.
#[derive(Clone, Copy, Debug)]
pub struct Threads(pub usize);

impl Split for Threads {
    type Part<'p> = Cut<'p>;

    fn threads(&self) -> usize {
        self.0
    }
    fn run<const N: usize, F>(&self, mut outputs: [Output<'_>; N], work: &Work, f: F) -> Result<(), Error>
    where
        F: for<'p> Fn(&mut Cut<'p>) -> Result<(), Error> + Sync,
    {
        work.fits(&outputs)?;
        let units = work.units.clone();
        let share = (units.len() as u32).div_ceil(self.0 as u32).next_multiple_of(work.grain);
        let parts: Vec<_> =
            units.clone().step_by(share as usize).map(|start| start..units.end.min(start + share)).collect();
        let run = |mut part: Cut<'_>| (part.units.start, f(&mut part));
        thread::scope(|scope| {
            let parts = cut(&mut outputs, &parts).into_iter();
            let started: Vec<_> = parts.map(|part| scope.spawn(|| run(part))).collect();
            first_error(started.into_iter().map(|thread| thread.join().unwrap()).collect())
        })
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
    fn draw(&mut self, logits: Slot<f32>, tokens: Slot<u32>) -> Result<(&mut [f32], &[u32]), Error> {
        self.inner.draw(logits, tokens)
    }
}
