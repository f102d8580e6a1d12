//! A token's logits do not depend on batches, budgets, threads, windows, or on what was rewound (`docs/arithmetic.md`,
//! section 15): exact equality with one token at a time on one thread. Tiers and their pools: `tiers.rs`.

use bitnet_edge_core::model::{InPlace, OneThread, Progress, Split, Weights};
use bitnet_edge_core::{Backend, Cpu, KvType, MemoryPlan, Model, Session};
use bitnet_edge_kernels::Scalar;
use bitnet_edge_std::Arena;
use bitnet_edge_tests::draw::Draw;
use bitnet_edge_tests::models::{self, GoldenModel, STORIES260K, STORY, TINY_2B4T};
use bitnet_edge_tests::spread::{Counting, Shuffled, Threads, Window};

/// The bits of the logits behind every token.
type Bits = Vec<Vec<u32>>;

/// A model, tokens for it, and the logits that one token at a time gives.
struct Subject<'m> {
    model: &'m Model<'m>,
    ids: Vec<u32>,
    kv: KvType,
    expected: Bits,
}

impl<'m> Subject<'m> {
    fn new(model: &'m Model<'m>, tokens: usize, kv: KvType) -> Self {
        let mut draw = Draw::new(1);
        let vocab = model.config().vocab as usize;
        let ids = (0..tokens).map(|_| draw.below(vocab) as u32).collect();
        let mut subject = Self { model, ids, kv, expected: Bits::new() };
        subject.expected = subject.run(1, OneThread, InPlace, &vec![1; tokens]);
        subject
    }

    fn plan(&self, batch: u32) -> MemoryPlan {
        models::plan(self.model, self.ids.len() as u32, self.kv, batch)
    }

    fn run<S: Split, W: Weights>(&self, batch: u32, split: S, weights: W, passes: &[usize]) -> Bits {
        let plan = self.plan(batch);
        let mut arena = Arena::new(plan.bytes());
        let cpu = Cpu::new(self.model, &plan, arena.lines(), Scalar, split, weights).unwrap();
        let mut session = Session::new(self.model, &plan, cpu).unwrap();
        let (mut bits, mut at) = (Bits::new(), 0);
        for tokens in passes {
            session.prefill(&self.ids[at..at + tokens], true).unwrap();
            bits.extend(rows(&mut session, *tokens));
            at += tokens;
        }
        assert_eq!(at, self.ids.len());
        bits
    }

    fn check(&self, found: &Bits, what: &str) {
        assert_eq!(found.len(), self.expected.len());
        for (token, (found, expected)) in found.iter().zip(&self.expected).enumerate() {
            assert!(found == expected, "KV cache {}: {what}: token {token} has other bits", self.kv.name());
        }
    }

    /// Passes of `batch` tokens, the last of what remains.
    fn passes(&self, batch: usize) -> Vec<usize> {
        self.ids.chunks(batch).map(<[u32]>::len).collect()
    }

    /// Passes of every size over the last tokens, which cross the chunks' border at 64 if there are more; and one of 64.
    fn batches(&self) {
        let plan = self.plan(64);
        let mut arena = Arena::new(plan.bytes());
        let mut session =
            Session::new(self.model, &plan, Cpu::scalar(self.model, &plan, arena.lines()).unwrap()).unwrap();
        let start = self.ids.len() - 18;
        session.prefill(&self.ids[..start], false).unwrap();
        for batch in 2..=17 {
            session.rewind(start as u32);
            let mut bits = self.expected[..start].to_vec();
            for pass in self.ids[start..].chunks(batch) {
                session.prefill(pass, true).unwrap();
                bits.extend(rows(&mut session, pass.len()));
            }
            self.check(&bits, &format!("batches of {batch}"));
        }
        self.check(&self.run(64, OneThread, InPlace, &self.passes(64)), "batches of 64");
    }

    fn splits_of_the_prompt(&self) {
        let mut draw = Draw::new(2);
        for run in 0..2 {
            let (mut passes, mut left) = (Vec::new(), self.ids.len());
            while left > 0 {
                passes.push(left.min(1 + draw.below(21)));
                left -= passes.last().unwrap();
            }
            let found = self.run(21, OneThread, InPlace, &passes);
            self.check(&found, &format!("split {run}, {passes:?}"));
        }
    }

    fn threads_and_windows(&self) {
        let passes = self.passes(5);
        self.check(&self.run(5, Shuffled::new(1), InPlace, &passes), "odd parts in random order");
        self.check(&self.run(16, Threads(3), InPlace, &self.passes(16)), "three threads");
        self.check(&self.run(5, OneThread, Window::default(), &passes), "a row tile at a time");
        self.check(&self.run(5, Shuffled::new(2), Window::default(), &passes), "a window, parts");
        // 40 tokens: attention in three rounds, in parts that begin and end anywhere.
        self.check(&self.run(40, Shuffled::new(3), InPlace, &self.passes(40)), "parts of large batches");
    }

    /// No step runs more than its budget, but for a single unit that costs more.
    fn budgets(&self) {
        let plan = self.plan(8);
        for budget in [0, 1, 1000, 100_000, u32::MAX] {
            let mut arena = Arena::new(plan.bytes());
            let cpu = Counting::new(Cpu::scalar(self.model, &plan, arena.lines()).unwrap(), &plan);
            let mut session = Session::new(self.model, &plan, cpu).unwrap();
            let (mut bits, mut steps) = (Bits::new(), 0);
            for pass in self.ids.chunks(8) {
                session.begin(pass, true).unwrap();
                loop {
                    let progress = session.step(budget).unwrap();
                    let ran = session.backend_mut().take();
                    steps += 1;
                    assert!(ran.units > 0, "a step of {budget} ran nothing");
                    assert!(ran.units == 1 || ran.cost <= u64::from(budget), "{budget}: {ran:?}");
                    if progress == Progress::Done {
                        break;
                    }
                }
                bits.extend(rows(&mut session, pass.len()));
                session.backend_mut().take();
            }
            self.check(&bits, &format!("{steps} steps of budget {budget}"));
        }
    }

    /// What was rewound, or abandoned within a pass, leaves no trace.
    fn rewinding(&self) {
        let plan = self.plan(7);
        let mut arena = Arena::new(plan.bytes());
        let mut session =
            Session::new(self.model, &plan, Cpu::scalar(self.model, &plan, arena.lines()).unwrap()).unwrap();
        let tokens = self.ids.len();
        let mut draw = Draw::new(3);
        for turn in 0..3 {
            // Other tokens at every position first, and a pass that ends somewhere within a layer.
            session.rewind(0);
            let mut others = self.ids.clone();
            draw.shuffle(&mut others);
            session.prefill(&others, false).unwrap();
            let keep = draw.below(tokens);
            session.rewind(0);
            session.prefill(&self.ids[..keep + 1], false).unwrap();
            session.rewind(keep as u32);
            session.begin(&others[..(tokens - keep).min(7)], true).unwrap();
            assert_eq!(session.step(1 + draw.below(1_000_000) as u32).unwrap(), Progress::Working);
            session.rewind(keep as u32);
            session.prefill(&self.ids[keep..], true).unwrap();
            let last: Vec<u32> = session.logits().unwrap().iter().map(|l| l.to_bits()).collect();
            assert!(last == self.expected[tokens - 1], "turn {turn}: resumed at {keep}");
        }
    }
}

/// The logits behind each of the last pass's tokens.
fn rows<B: Backend>(session: &mut Session<'_, B>, tokens: usize) -> Bits {
    let bits = |l: &[f32]| l.iter().map(|l| l.to_bits()).collect::<Vec<u32>>();
    let last = bits(session.logits().unwrap());
    let mut all: Bits = (0..tokens - 1).map(|row| bits(session.logits_of(row as u32).unwrap())).collect();
    all.push(last);
    all
}

fn check(model: GoldenModel, tokens: usize, kv: KvType) {
    let image = model.image();
    let model = Model::new_checked(image.as_slice()).unwrap();
    let subject = Subject::new(&model, tokens, kv);
    subject.batches();
    subject.splits_of_the_prompt();
    subject.threads_and_windows();
    subject.budgets();
    subject.rewinding();
}

/// A test for each type of KV cache.
macro_rules! invariance {
    ($($name:ident: $model:expr, $tokens:expr, $kv:expr;)*) => {
        $(#[test]
        fn $name() {
            check($model, $tokens, $kv);
        })*
    };
}

// Tokens behind the border of the first chunk of attention, 64, where the model is small enough.
invariance! {
    stories260k_f32: STORIES260K, 74, KvType::F32;
    stories260k_f16: STORIES260K, 74, KvType::F16;
    stories260k_int8: STORIES260K, 74, KvType::I8;
    tinystories_micro_f32: STORY, 74, KvType::F32;
    tinystories_micro_f16: STORY, 74, KvType::F16;
    tinystories_micro_int8: STORY, 74, KvType::I8;
    tiny_2b4t_f32: TINY_2B4T, 19, KvType::F32;
    tiny_2b4t_f16: TINY_2B4T, 19, KvType::F16;
    tiny_2b4t_int8: TINY_2B4T, 19, KvType::I8;
}
