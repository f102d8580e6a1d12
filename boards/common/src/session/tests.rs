use super::fake::Fake;
use super::*;
use crate::Hex;
use bitnet_edge_core::model::OneThread;
use bitnet_edge_core::text::{Ending, Message, Piece, Role};
use bitnet_edge_core::{Cpu, Event, Generator, KvType, include_image};
use bitnet_edge_kernels::Scalar;
use bitnet_edge_kernels::simd::Scalar16;
use bitnet_edge_kernels::tile::{Int8Acts, Results, TernaryScale};
use std::string::{String, ToString};
use std::vec;

static MODEL: &[u8] = include_image!("../../../../core/testdata/tiny.bpk");

/// The definition, or kernels with a wrong product of ternary weights: it leaves the activations' last token out.
#[derive(Clone, Copy)]
enum Tier {
    Right,
    Wrong,
}

impl Kernels for Tier {
    type Lanes = Scalar16;
    fn name(&self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
        }
    }
    fn matmul_t2r4_i8t<R: Results>(
        &self,
        w: &[u8],
        tokens: usize,
        acts: &Int8Acts<'_>,
        scale: TernaryScale<'_>,
        out: &mut R,
    ) -> Result<(), bitnet_edge_kernels::Error> {
        match self {
            Self::Right => Scalar.matmul_t2r4_i8t(w, tokens, acts, scale, out),
            Self::Wrong => {
                let mut q = acts.q.to_vec();
                if let Some(last) = q.last_mut() {
                    *last = last.wrapping_add(1);
                }
                Scalar.matmul_t2r4_i8t(w, tokens, &Int8Acts { q: &q, ..*acts }, scale, out)
            }
        }
    }
}

fn with<K: Kernels>(keys: &str, kernels: &[K], lines: usize, model: &[u8]) -> (Result<(), Error>, String) {
    let mut board = Fake::new(keys.as_bytes());
    let mut arena = vec![Line::ZERO; lines];
    let machine = Machine {
        title: &"a test",
        model,
        arena: &mut arena,
        kernels,
        split: OneThread,
        options: None,
        budget: u32::MAX,
    };
    (run(&mut board, machine), board.screen())
}

fn screen(keys: &str) -> String {
    let (result, screen) = with(keys, &[Scalar], 4096, MODEL);
    assert_eq!(result, Ok(()));
    screen
}

/// The line that begins so.
fn line<'a>(screen: &'a str, start: &str) -> &'a str {
    screen.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start:?} in {screen}"))
}

/// The digest of a prompt, by the generator itself.
fn digest_of(pieces: &[Piece<'_>], begin: bool) -> String {
    let model = Model::new_checked(MODEL).unwrap();
    let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config())).unwrap();
    let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    let cpu = Cpu::scalar(&model, &plan, &mut arena).unwrap();
    let config = GenerationConfig { digest: true, ..GenerationConfig::default() };
    let mut generator = Generator::new(&model, &plan, cpu, config).unwrap();
    generator.pieces(pieces.iter().copied(), begin, u32::MAX, &mut || {}).unwrap();
    while !matches!(generator.step(u32::MAX).unwrap(), Event::Done(_)) {}
    Hex(&generator.digest().unwrap()).to_string()
}

#[test]
fn a_message_is_answered_with_digest_and_statistics() {
    let screen = screen("hi\r/quit\r");
    let model = Model::new_checked(MODEL).unwrap();
    let messages = [Message { role: Role::User, content: b"hi" }];
    let pieces: std::vec::Vec<_> =
        model.chat().unwrap().render(None, &messages, Ending::Reply).unwrap().collect();
    assert!(screen.contains("> hi\r\nhello friend!\r\nlogit digest "), "{screen}");
    assert_eq!(line(&screen, "logit digest "), std::format!("logit digest {}", digest_of(&pieces, false)));
    let statistics = line(&screen, "5 prompt tokens, 3 generated | prefill ");
    assert!(statistics.ends_with(" bytes | backend scalar, 1 core | seed 1"), "{statistics}");
    assert!(screen.ends_with("> /quit\r\n"), "{screen}");
}

#[test]
fn settings_hold_for_the_prompts_behind_them() {
    let screen = screen("/tokens 1\r/seed 9\r/temperature 0\rhi\r/nothing\r/help\r\x04");
    assert!(screen.contains("> hi\r\nhello\r\n"), "{screen}");
    assert!(line(&screen, "5 prompt tokens, 1 generated").ends_with("seed 9"));
    assert!(screen.contains("> /nothing\r\nerror: no such command"), "{screen}");
    assert!(screen.contains("/temperature T"), "{screen}");
}

#[test]
fn what_is_wrong_with_a_prompt_is_said_and_the_next_one_waited_for() {
    let screen = screen("hI\r\x15hi\r/quit\r");
    assert!(line(&screen, "error: ").contains("'I'") || screen.contains("error: "), "{screen}");
    assert!(screen.contains("hello friend!"), "{screen}");
}

#[test]
fn an_answer_can_be_interrupted() {
    let screen = screen("abcdefgh\r\x03/quit\r");
    assert!(screen.contains("note: interrupted\r\nlogit digest "), "{screen}");
}

#[test]
fn a_wrong_kernel_is_named_and_the_next_backend_taken() {
    let (result, wrong) = with("hi\r/quit\r", &[Tier::Wrong, Tier::Right], 4096, MODEL);
    assert_eq!(result, Ok(()));
    line(&wrong, "*** SELF-TEST FAILED: backend wrong is wrong in ");
    assert!(line(&wrong, "*** kernel ").contains("matmul_t2r4_i8t ["), "{wrong}");
    line(&wrong, "*** falling back to backend right");
    assert_eq!(line(&wrong, "logit digest "), line(&screen("hi\r/quit\r"), "logit digest "));
    let (result, screen) = with("", &[Tier::Wrong], 4096, MODEL);
    assert_eq!(result, Err(Error::SelfTest));
    assert!(!screen.contains("falling back"), "{screen}");
}

#[test]
fn an_arena_too_small_has_both_numbers() {
    let (result, _) = with("", &[Scalar], 10, MODEL);
    let Err(Error::Model(CoreError::ArenaTooSmall { need, have: 640 })) = result else {
        panic!("{result:?}")
    };
    assert!(need > 640);
    let text = result.unwrap_err().to_string();
    assert_eq!(text, std::format!("the arena has 640 bytes and the memory plan needs {need}"));
    // With options of the board's own, too.
    let config = Model::new_checked(MODEL).unwrap().config();
    let options = PlanOptions { kv: KvType::I8, batch: 1, prompt_bytes: 64, ..PlanOptions::new(&config) };
    let machine = Machine {
        title: &"a test",
        model: MODEL,
        arena: &mut [Line::ZERO; 2],
        kernels: &[Scalar],
        split: OneThread,
        options: Some(options),
        budget: 1000,
    };
    let result = run(&mut Fake::new(b""), machine);
    assert!(matches!(result, Err(Error::Model(CoreError::ArenaTooSmall { have: 128, .. }))), "{result:?}");
}

#[test]
fn a_damaged_or_misplaced_model_is_refused() {
    let mut copy = vec![Line::ZERO; MODEL.len() / 64 + 2];
    // What is copied begins at a multiple of 64.
    let bytes = zeroed(&mut copy);
    bytes[..MODEL.len()].copy_from_slice(MODEL);
    bytes[MODEL.len() / 2] ^= 1;
    let refused = with("", &[Scalar], 4096, &bytes[..MODEL.len()]).0;
    assert_eq!(refused, Err(Error::Model(CoreError::SectionDamaged("tensors"))));
    bytes.copy_within(..MODEL.len(), 4);
    let refused = with("", &[Scalar], 4096, &bytes[4..MODEL.len() + 4]).0;
    assert_eq!(refused, Err(Error::Model(CoreError::ImageMisaligned)));
}

fn zeroed(lines: &mut [Line]) -> &mut [u8] {
    use zerocopy::IntoBytes;
    lines.as_mut_bytes()
}

#[test]
fn a_small_budget_changes_nothing_and_keeps_the_board_alive() {
    let mut board = Fake::new(b"hi\r/quit\r");
    let mut arena = vec![Line::ZERO; 4096];
    let machine = Machine {
        title: &"a test",
        model: MODEL,
        arena: &mut arena,
        kernels: &[Scalar],
        split: OneThread,
        options: None,
        budget: 1000,
    };
    assert_eq!(run(&mut board, machine), Ok(()));
    assert!(board.alive > 20, "{}", board.alive);
    assert_eq!(line(&board.screen(), "logit digest "), line(&screen("hi\r/quit\r"), "logit digest "));
}
