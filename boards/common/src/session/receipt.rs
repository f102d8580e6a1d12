//! The receipt of the last answer, a part at a time.

use core::fmt::Write as _;

use bitnet_edge_core::model::{InPlace, OneThread, Split};
use bitnet_edge_core::receipt::{
    BackendFacts, Borrowed, Digest, ModelFacts, Phase, Phases, PlanFacts, Prompt, Receipt, SCHEMA_VERSION,
    SelfTest, Versions, fallbacks, runs, weights,
};
use bitnet_edge_core::{Backend, Cpu};
use bitnet_edge_kernels::{ARITHMETIC_VERSION, Kernels, Scalar};
use bitnet_edge_protocol::{CHUNK_BYTES, Error, Response};
use heapless::String;
use sha2::{Digest as _, Sha256};

use super::Session;
use super::requests::{TITLE_BYTES, Words};
use crate::Board;

/// Bytes of the program that are hashed between two calls of [`Board::alive`].
const HASHED: usize = 4096;

/// What is known since the start.
pub(super) struct Boot {
    /// Cases of the self-test.
    pub(super) cases: u32,
    /// Whether the kernels to prefer passed it.
    pub(super) is_first: bool,
    /// From the start to the first prompt.
    pub(super) load_us: u64,
    /// The program's digest, once it was asked for, where there is one.
    pub(super) program: Option<Option<Digest>>,
}

impl<B: Board, K: Kernels, S: Split> Session<'_, '_, B, K, S> {
    /// The part of the receipt from `at` on. The receipt is made anew for each part: no memory has to hold it.
    #[inline(never)] // its frame is not on the stack of an answer
    pub(super) fn send_receipt(&mut self, tag: u8, at: u32) {
        let program = self.program();
        let mut bytes = [0; CHUNK_BYTES];
        let part = self.part(program, at as usize, &mut bytes);
        let response = match part {
            Some((written, total)) => {
                Response::Receipt { at, total: total as u32, bytes: bytes.get(..written).unwrap_or_default() }
            }
            None => Response::Error(Error::NoAnswer),
        };
        self.console.reply(tag, &response);
    }

    /// SHA-256 of the program, computed once.
    fn program(&mut self) -> Option<Digest> {
        if let Some(program) = self.boot.program {
            return program;
        }
        let board = self.console.board();
        let (mut at, mut hash) = (0, Sha256::new());
        let program = loop {
            board.alive();
            let Some(program) = board.program() else { break None };
            let rest = program.get(at..).unwrap_or_default();
            let part = rest.get(..HASHED).unwrap_or(rest);
            if part.is_empty() {
                break Some(Digest(hash.finalize().into()));
            }
            hash.update(part);
            at = at.saturating_add(part.len());
        };
        self.boot.program = Some(program);
        program
    }

    /// Writes a part: how many bytes, and how many there are in all.
    fn part(&mut self, program: Option<Digest>, at: usize, bytes: &mut [u8]) -> Option<(usize, usize)> {
        let answer = self.last.as_ref().filter(|_| self.receipt)?;
        let (engine, figures) = (&mut self.engine, answer.stats.figures());
        let own = engine.kernels.own();
        let mut title = Words::<TITLE_BYTES>(String::new());
        let _ = write!(title, "{}", self.title); // what does not fit is left out
        let (weights, kernels) = (weights(engine.model), runs(&engine.counts, engine.kernels.name(), own));
        let fallbacks = fallbacks(&engine.counts, own);
        // The ids lie in the arena, where the generator has read them.
        let mut memory =
            Cpu::new(engine.model, engine.plan, engine.arena, Scalar, OneThread, InPlace).ok()?;
        let [ids, _] = memory.words([engine.plan.tokens, engine.plan.text])?;
        let Prompt { tokens, digest, ids: () } = answer.given;
        let receipt: Receipt<Borrowed<'_>> = Receipt {
            schema: SCHEMA_VERSION,
            arithmetic: ARITHMETIC_VERSION,
            versions: Versions {
                program: concat!("bitnet-edge firmware ", env!("CARGO_PKG_VERSION")),
                runtime: Versions::RUNTIME,
            },
            program,
            machine: &title.0,
            model: ModelFacts::of(engine.model, &weights[..]),
            plan: PlanFacts::of(engine.plan, self.arena_bytes),
            config: self.config.clone(),
            prompt: Prompt { tokens, digest, ids: ids.get(..tokens as usize)? },
            output: answer.output,
            logits: Digest(answer.digest?),
            backend: BackendFacts {
                asked: None,
                chosen: engine.kernels.name(),
                why: if self.boot.is_first {
                    "the best of this board"
                } else {
                    "better ones failed the self-test"
                },
                threads: engine.split.threads() as u32,
                budget: engine.budget,
                self_test: Some(SelfTest { cases: self.boot.cases, failures: 0 }),
            },
            kernels: &kernels,
            fallbacks: &fallbacks,
            phases: Phases {
                load_us: self.boot.load_us,
                prefill: Phase::new(figures.prefill_us, figures.prompt),
                decode: Phase::new(figures.decode_us, figures.generated.saturating_sub(1)),
            },
        };
        Some(receipt.encode(at, bytes))
    }
}
