//! A backend whose memory the host cannot reach: what a GPU is to the core, so that the trait is known to carry one.
//!
//! The device keeps **one buffer for each distinct range of bytes that an operation names**, so that two slots never share
//! memory there, however they overlap in the plan. To run an operation, exactly what [`Op::operands`] says is
//! read (and the step block) moves into a scratch arena, all else of which is poison; [`Cpu`] runs it there; exactly what
//! is written moves back. A backend that gives the logits of the scalar one, bit for bit, in this way shows that
//! operations state all that they read and write, and that no result depends on slots sharing memory.

use std::collections::BTreeMap;
use std::ops::Range;

use bitnet_edge_core::model::Op;
use bitnet_edge_core::{Backend, Cpu, Error, MemoryPlan, Model, Slot};
use bitnet_edge_std::{Arena, Bytes};
use zerocopy::{FromBytes, IntoBytes};

/// What memory holds that no operand gave a value.
const POISON: u8 = 0xa5;

/// A device with memory of its own.
#[derive(Debug)]
pub struct Opaque<'m> {
    model: &'m Model<'m>,
    plan: &'m MemoryPlan,
    device: Device,
    /// Poison, except while an operation runs.
    scratch: Arena,
    step: Vec<u8>,
    /// Prompt tokens and tokenizer scratch: the host's, as no operation names them.
    host: [Vec<u32>; 2],
}

/// The device's memory: buffers by the range of the plan that they stand for.
#[derive(Debug, Default)]
struct Device(BTreeMap<(usize, usize), Bytes>);

impl Device {
    fn buffer(&mut self, range: &Range<usize>) -> &mut Bytes {
        self.0.entry((range.start, range.end)).or_insert_with(|| {
            let mut new = Bytes::zeroed(range.len());
            new.as_mut_slice().fill(POISON);
            new
        })
    }
}

impl<'m> Opaque<'m> {
    /// An empty device for a model in a plan.
    #[must_use]
    pub fn new(model: &'m Model<'m>, plan: &'m MemoryPlan) -> Self {
        let mut scratch = Arena::new(plan.bytes());
        scratch.lines().as_mut_bytes().fill(POISON);
        let step = vec![POISON; plan.step.bytes().len()];
        let host = [plan.tokens, plan.text].map(|slot| vec![0; slot.len()]);
        Self { model, plan, device: Device::default(), scratch, step, host }
    }

    /// Buffers on the device.
    #[must_use]
    pub fn buffers(&self) -> usize {
        self.device.0.len()
    }

    /// Pairs of buffers whose ranges share bytes in the plan and that are not one range.
    #[must_use]
    pub fn overlaps(&self) -> usize {
        let ranges: Vec<_> = self.device.0.keys().collect();
        let pairs = ranges.iter().enumerate().flat_map(|(i, a)| ranges[..i].iter().map(move |b| (a, b)));
        pairs.filter(|(a, b)| a.0 < b.1 && b.0 < a.1).count()
    }
}

fn distinct(ranges: impl Iterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut all: Vec<_> = ranges.collect();
    all.sort_by_key(|r| (r.start, r.end));
    all.dedup();
    assert!(all.windows(2).all(|w| w[0].end <= w[1].start), "operands share memory in part: {all:?}");
    all
}

impl Backend for Opaque<'_> {
    fn name(&self) -> &'static str {
        "opaque"
    }

    /// # Panics
    /// If the operation wrote what it does not declare, or its operands overlap.
    fn run(&mut self, op: &Op, units: Range<u32>) -> Result<(), Error> {
        let operands = op.operands();
        let written = distinct(operands.written());
        let mut moved = distinct(operands.read().chain(operands.written()));
        // Units before these have left their part in what is written.
        if units.start == 0 {
            moved.retain(|r| operands.read().any(|read| read == *r));
        }
        let step = self.plan.step.bytes();
        let memory = self.scratch.lines().as_mut_bytes();
        memory[step.clone()].copy_from_slice(&self.step);
        for range in &moved {
            memory[range.clone()].copy_from_slice(self.device.buffer(range).as_slice());
        }

        Cpu::scalar(self.model, self.plan, self.scratch.lines())?.run(op, units)?;

        let memory = self.scratch.lines().as_mut_bytes();
        for range in &written {
            self.device.buffer(range).as_mut_slice().copy_from_slice(&memory[range.clone()]);
        }
        // What moved in and is not written must be as it was, and all else still poison.
        assert!(memory[step.clone()] == self.step, "{op:?} wrote to the step block");
        for range in moved.iter().filter(|r| !written.contains(r)) {
            let kept = memory[range.clone()] == *self.device.buffer(range).as_slice();
            assert!(kept, "{op:?} wrote to its input {range:?}");
        }
        for range in written.into_iter().chain(moved).chain([step]) {
            memory[range].fill(POISON);
        }
        assert!(memory.iter().all(|&b| b == POISON), "{op:?} wrote outside its operands");
        Ok(())
    }

    fn write(&mut self, slot: Slot<u32>, words: &[u32]) -> Result<(), Error> {
        let (block, part) = (self.plan.step.bytes(), slot.bytes());
        let at = part.start.checked_sub(block.start).expect("the host writes nothing but the step block");
        self.step[at..][..part.len()][..size_of_val(words)].copy_from_slice(words.as_bytes());
        Ok(())
    }

    fn read(&mut self, slot: Slot<f32>) -> Result<&[f32], Error> {
        let bytes = self.device.buffer(&slot.bytes()).as_slice();
        Ok(<[f32]>::ref_from_bytes(bytes).expect("a buffer is aligned and whole"))
    }

    fn words(&mut self, slots: [Slot<u32>; 2]) -> Option<[&mut [u32]; 2]> {
        (slots == [self.plan.tokens, self.plan.text]).then(|| self.host.each_mut().map(Vec::as_mut_slice))
    }

    fn draw(&mut self, logits: Slot<f32>, tokens: Slot<u32>) -> Result<(&mut [f32], &[u32]), Error> {
        assert_eq!(tokens, self.plan.tokens);
        let bytes = self.device.buffer(&logits.bytes()).as_mut_slice();
        let logits = <[f32]>::mut_from_bytes(bytes).expect("a buffer is aligned and whole");
        Ok((logits, &self.host[0]))
    }
}
