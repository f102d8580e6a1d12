//! How long a board is left alone.

use super::fake::{Fake, WORK};
use super::*;
use bitnet_edge_core::include_image;
use bitnet_edge_core::model::OneThread;
use bitnet_edge_kernels::Scalar;
use bitnet_edge_kernels::conformance::{self, Effort};
use bitnet_edge_kernels::simd::Scalar16;
use bitnet_edge_kernels::tile::{Int8Acts, Results, TernaryScale};
use std::vec;

static MODEL: &[u8] = include_image!("../../../../core/testdata/tiny.bpk");

/// The definition, with a count of its ternary products.
#[derive(Clone, Copy)]
enum Counts {
    Calls,
    MultiplyAccumulates,
}

impl Kernels for Counts {
    type Lanes = Scalar16;
    fn name(&self) -> &'static str {
        "counts"
    }
    fn matmul_t2r4_i8t<R: Results>(
        &self,
        w: &[u8],
        tokens: usize,
        acts: &Int8Acts<'_>,
        scale: TernaryScale<'_>,
        out: &mut R,
    ) -> Result<(), bitnet_edge_kernels::Error> {
        let work = match self {
            Self::Calls => 1,
            Self::MultiplyAccumulates => 4 * w.len() * tokens,
        };
        WORK.set(WORK.get() + work as u64);
        Scalar.matmul_t2r4_i8t(w, tokens, acts, scale, out)
    }
}

/// The board after it was given these keys.
fn after(keys: &str, kernels: Counts, budget: u32) -> Fake {
    WORK.set(0);
    let mut board = Fake::new(keys.as_bytes());
    let mut arena = vec![Line::ZERO; 4096];
    let machine = Machine {
        title: &"a test",
        model: MODEL,
        arena: &mut arena,
        kernels: &[kernels],
        split: OneThread,
        options: None,
        budget,
    };
    assert_eq!(run(&mut board, machine), Ok(()));
    board
}

#[test]
fn the_self_test_is_never_longer_than_a_case_without_a_call() {
    let board = after("/quit\r", Counts::Calls, u32::MAX);
    assert_eq!(board.longest, 1);
}

#[test]
fn the_check_of_the_model_calls_for_every_piece() {
    let (mut cases, mut pieces) = (0, 0);
    conformance::run_between(Scalar, Effort::Boot, &mut |_| (), &mut || cases += 1);
    Model::new_checked(MODEL).unwrap().verify_between(&mut || pieces += 1).unwrap();
    assert!(pieces > MODEL.len() / 4096, "{pieces}");
    // No key is waited for: all calls are from these two.
    assert_eq!(after("/quit\r", Counts::Calls, u32::MAX).alive, cases + pieces as u64);
}

#[test]
fn a_long_prompt_calls_while_it_is_made_tokens() {
    let prompt = "who is there? ".repeat(6);
    let board = after(&std::format!("{prompt}\r\x03/quit\r"), Counts::Calls, u32::MAX);
    let screen = board.screen();
    // One pass with one look at the keyboard behind it, and what the prompt's text takes.
    assert!(screen.contains("note: interrupted"), "{screen}");
    let before = after("/quit\r", Counts::Calls, u32::MAX).alive;
    assert!(board.alive > before + 2, "{} and {before}", board.alive);
}

#[test]
fn a_pass_works_no_longer_than_its_budget_or_a_unit_without_a_call() {
    // A unit is a row tile of four rows, for all tokens of a pass.
    let config = Model::new_checked(MODEL).unwrap().config();
    let unit = u64::from(4 * config.ffn * crate::BATCH);
    let boot = after("/quit\r", Counts::MultiplyAccumulates, 1000).longest;
    for budget in [1000_u32, 20_000] {
        let board = after("who is there?\r/quit\r", Counts::MultiplyAccumulates, budget);
        assert!(board.longest <= boot.max(unit).max(budget.into()), "{budget}: {}", board.longest);
    }
    // The count sees a pass that is not cut.
    let whole = after("who is there?\r/quit\r", Counts::MultiplyAccumulates, u32::MAX).longest;
    assert!(whole > boot.max(unit).max(20_000), "{whole}: {boot} {unit}");
}
