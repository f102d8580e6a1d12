//! A real chat model answers, through its own chat template.

use bitnet_edge_core::model::InPlace;
use bitnet_edge_core::text::{
    EncodeOptions, Encoder, Ending, Message, Piece, Progress, Role, Tokenizer, Utf8Stream, scratch_words,
};
use bitnet_edge_core::{
    Cpu, Event, GenerationConfig, Generator, MemoryPlan, Model, PlanOptions, Session, StopReason,
};
use bitnet_edge_std::{Arena, Host, Pool, Tiers, physical_cores};
use bitnet_edge_tests::files;
use bitnet_pack::convert::{Options, convert};
use serde::Deserialize;

/// The README's example: what `bitnet run` prints for this question, which ends by the template's own end token.
#[test]
fn smollm2_answers_the_readmes_question() {
    let file = files::read(files::fetched().join("SmolLM2-135M-Instruct.Q4_1.gguf"));
    let image = convert(&file, &Options::default()).unwrap().image;
    let model = Model::new_checked(image.as_slice()).unwrap();
    let options = PlanOptions { context: 128, ..PlanOptions::new(&model.config()) };
    let plan = MemoryPlan::new(&model.config(), &options).unwrap();
    let mut arena = Arena::new(plan.bytes());
    let cpu = Cpu::scalar(&model, &plan, arena.lines()).unwrap();
    let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::default()).unwrap();

    let question = [Message { role: Role::User, content: b"Explain gravity in one sentence." }];
    let pieces: Vec<Piece<'_>> =
        model.chat().unwrap().render(None, &question, Ending::Reply).unwrap().collect();
    generator.pieces(pieces.into_iter(), false, u32::MAX, &mut || {}).unwrap();
    let (mut stream, mut answer) = (Utf8Stream::new(), String::new());
    let reason = loop {
        match generator.step(u32::MAX).unwrap() {
            Event::Working => {}
            Event::Text(bytes) | Event::Token { bytes, .. } => {
                stream.feed(bytes, |text| answer.push_str(text));
            }
            Event::Done(reason) => break reason,
        }
    };
    stream.finish(|text| answer.push_str(text));
    println!("{answer}");
    assert!(matches!(reason, StopReason::Stop(_)), "{reason}");
    let readme = String::from_utf8(files::read("README.md")).unwrap();
    assert!(answer.len() > 20 && readme.contains(&answer), "{answer:?} is not in the README");
}

/// Conversations in llama.cpp: `tests/python/llama_chat.py` made them.
#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    messages: Vec<Turn>,
    rendered: String,
    ids: Vec<u32>,
    steps: Vec<Step>,
    reply: String,
    stop: Option<u32>,
}

#[derive(Deserialize)]
struct Turn {
    role: String,
    content: String,
}

/// A token of a reply, and the likeliest five with their log-probabilities.
#[derive(Deserialize)]
struct Step {
    id: u32,
    top: Vec<(u32, f64)>,
}

/// How far our log-probabilities may be from llama.cpp's: right above 0.712, what the rounding of activations does to this model,
/// see docs/arithmetic.md. Where a token is ahead of the next one by more than this in llama.cpp, it is the likeliest here.
const LOGPROBS: f64 = 0.75;

/// Of all 118 tokens of the replies, at least so many are ahead by more.
const AHEAD: usize = 80;

impl Case {
    /// What the template makes of it, as text and as tokens.
    fn check_rendering(&self, pieces: &[Piece<'_>], tokenizer: &Tokenizer<'_>) {
        let mut rendered = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => rendered.extend_from_slice(text),
                Piece::Special(id) => rendered.extend_from_slice(tokenizer.token_bytes(*id)),
            }
        }
        assert_eq!(String::from_utf8(rendered).unwrap(), self.rendered);
        let (mut scratch, mut ids) = (vec![0; scratch_words(4096)], vec![0; 512]);
        let options = EncodeOptions::default();
        let mut encoder = Encoder::new(tokenizer, pieces.iter().copied(), &mut scratch, &mut ids, options);
        let Progress::Done { tokens } = encoder.step(u32::MAX).unwrap() else {
            panic!("the budget is no limit")
        };
        assert_eq!(ids[..tokens], self.ids);
    }
}

/// The natural logarithm of the probability of each token.
fn logprobs(logits: &[f32]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f32::MIN, |a, b| if b > a { b } else { a });
    let sum: f64 = logits.iter().map(|l| f64::from(l - most).exp()).sum();
    logits.iter().map(|l| f64::from(l - most) - sum.ln()).collect()
}

/// The likeliest token.
fn best(logprobs: &[f64]) -> u32 {
    let best = (0..).zip(logprobs).max_by(|a, b| a.1.total_cmp(b.1));
    best.unwrap().0
}

/// Rendering and tokens are llama.cpp's; behind the same tokens log-probabilities are near, and the likeliest token is the same
/// where it is well ahead; replies end with the same token.
#[test]
fn smollm2_talks_as_in_llama_cpp() {
    let golden: Golden = files::read_json("tests/data/golden/smollm2-chat.json");
    let file = files::read(files::fetched().join("SmolLM2-135M-Instruct.Q4_1.gguf"));
    let image = convert(&file, &Options::default()).unwrap().image;
    let model = Model::new_checked(image.as_slice()).unwrap();
    let (template, tokenizer) = (model.chat().unwrap(), model.tokenizer().unwrap());
    let options = PlanOptions { context: 256, ..PlanOptions::new(&model.config()) };
    let plan = MemoryPlan::new(&model.config(), &options).unwrap();
    let mut arena = Arena::new(plan.bytes());
    let (mut distances, mut ahead, mut steps) = (Vec::new(), 0, 0);
    for case in &golden.cases {
        let role = |turn: &Turn| match turn.role.as_str() {
            "system" => Role::System,
            "user" => Role::User,
            _ => Role::Assistant,
        };
        let message = |turn| Message { role: role(turn), content: turn.content.as_bytes() };
        let messages: Vec<_> = case.messages.iter().map(message).collect();
        let pieces: Vec<Piece<'_>> = template.render(None, &messages, Ending::Reply).unwrap().collect();
        case.check_rendering(&pieces, &tokenizer);

        let backend = Host::select(None).unwrap().backend;
        let pool = Pool::new(physical_cores()).unwrap();
        let cpu = Cpu::new(&model, &plan, arena.lines(), backend, &pool, InPlace).unwrap();
        let mut session = Session::new(&model, &plan, cpu).unwrap();
        session.prefill(&case.ids, true).unwrap();
        let mut ours = logprobs(session.logits().unwrap());
        steps += case.steps.len();
        for step in &case.steps {
            distances.extend(step.top.iter().map(|&(id, theirs)| (ours[id as usize] - theirs).abs()));
            if step.top[0].1 - step.top[1].1 > LOGPROBS {
                assert_eq!(best(&ours), step.id, "{}", case.reply);
                ahead += 1;
            }
            ours = logprobs(session.decode(step.id).unwrap());
        }
        if let Some(stop) = case.stop {
            assert!(best(&ours) == stop && tokenizer.is_end(stop), "{}: {}", case.reply, best(&ours));
        }
    }
    distances.sort_by(f64::total_cmp);
    let (median, most) = (distances[distances.len() / 2], distances[distances.len() - 1]);
    println!(
        "log-probabilities of SmolLM2 Q4_1 and of llama.cpp: distances {median:.3} (median), {most:.3} (largest)"
    );
    assert!(most < LOGPROBS, "{most}");
    println!(
        "the likeliest token is the same at all {ahead} of {steps} tokens where it is ahead by {LOGPROBS}"
    );
    assert!(ahead >= AHEAD, "{ahead}");
}
