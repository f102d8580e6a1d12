//! A backend that adds noise to the embedding: the yardstick for distances to other engines.

use std::ops::Range;

use bitnet_edge_core::model::Op;
use bitnet_edge_core::{Backend, Error, MemoryPlan, Slot};

use crate::draw::Draw;

/// Multiplies each element that [`Op::Embed`] writes by `1 + level * u`, with `u` drawn uniformly from -1 ..= 1.
#[derive(Debug)]
pub struct Noisy<B> {
    inner: B,
    /// Memory beside the embedding: a backend lends words two slots at a time.
    other: Slot<u32>,
    level: f64,
    draw: Draw,
}

impl<B> Noisy<B> {
    /// Noise of `level` on what `inner` runs in a plan; the draws follow from `seed`.
    pub const fn new(inner: B, plan: &MemoryPlan, level: f64, seed: u64) -> Self {
        Self { inner, other: plan.tokens, level, draw: Draw::new(seed) }
    }
}

impl<B: Backend> Backend for Noisy<B> {
    fn name(&self) -> &'static str {
        "noisy"
    }
    fn run(&mut self, op: &Op, units: Range<u32>) -> Result<(), Error> {
        self.inner.run(op, units.clone())?;
        if let Op::Embed { y, .. } = op {
            let embedding = Slot::<u32>::at(y.slot.bytes().start, y.slot.len());
            let [rows, _] = self.inner.words([embedding, self.other]).expect("the embedding is within reach");
            for row in rows.chunks_mut(y.stride as usize).take(units.end as usize).skip(units.start as usize)
            {
                for bits in &mut row[..y.cols as usize] {
                    let noisy = f64::from(f32::from_bits(*bits)) * (1.0 + self.level * self.draw.signed());
                    *bits = (noisy as f32).to_bits();
                }
            }
        }
        Ok(())
    }
    fn write(&mut self, slot: Slot<u32>, words: &[u32]) -> Result<(), Error> {
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
