//! Options of a generation, on a model: stops, penalties, log-probabilities, control tokens.
#![cfg(feature = "full")]

use bitnet_edge_core::generate::{Logprobs, penalize, sample};
use bitnet_edge_core::memory::Line;
use bitnet_edge_core::{
    Cpu, Error, Event, GenerationConfig, Generator, MemoryPlan, Model, PlanOptions, Session, StopReason,
    include_image,
};

static IMAGE: &[u8] = include_image!("../testdata/tiny.bpk");
const PROMPT: &str = "once upon a time";
const STORY: &str = ", there lived one model so small that it fit on every board.";

/// What a generation brings: text, ids, how many events of text without a token, reason.
fn generated(config: GenerationConfig, budget: u32) -> (String, Vec<u32>, usize, StopReason) {
    let model = Model::new_checked(IMAGE).unwrap();
    let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config())).unwrap();
    let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    let cpu = Cpu::scalar(&model, &plan, &mut arena).unwrap();
    let mut generator = Generator::new(&model, &plan, cpu, config).unwrap();
    generator.prompt(PROMPT).unwrap();
    let (mut text, mut ids, mut held) = (Vec::new(), Vec::new(), 0);
    loop {
        match generator.step(budget).unwrap() {
            Event::Working => {}
            Event::Text(bytes) => {
                assert!(!bytes.is_empty());
                held += 1;
                text.extend_from_slice(bytes);
            }
            Event::Token { id, bytes } => {
                ids.push(id);
                text.extend_from_slice(bytes);
            }
            Event::Done(reason) => {
                assert_eq!(generator.step(budget).ok(), again(reason), "what is over stays over");
                return (String::from_utf8(text).unwrap(), ids, held, reason);
            }
        }
    }
}

/// What a step behind the end brings.
fn again(reason: StopReason) -> Option<Event<'static>> {
    (!matches!(reason, StopReason::Stop(_))).then_some(Event::Done(reason))
}

fn stops(strings: &[&str]) -> GenerationConfig {
    GenerationConfig::greedy().with_stop_strings(strings).unwrap()
}

#[test]
fn text_ends_right_before_any_stop_string() {
    let (plain, ids, ..) = generated(GenerationConfig::greedy(), u32::MAX);
    assert_eq!(plain, STORY);
    for start in 0..STORY.len() {
        for length in [1, 2, 5, 12, 30] {
            let Some(stop) = STORY.get(start..start + length) else { continue };
            let at = STORY.find(stop).unwrap();
            let (text, some, _, reason) = generated(stops(&["no such text", stop]), u32::MAX);
            assert_eq!((text.as_str(), reason), (&STORY[..at], StopReason::StopString(1)), "{stop:?}");
            assert_eq!(some, ids[..some.len()]);
        }
    }
}

#[test]
fn text_that_only_begins_as_a_stop_string_comes_whole() {
    let whole = generated(GenerationConfig::greedy(), u32::MAX);
    for (at, _) in STORY.match_indices(' ') {
        let almost = format!("{}~", &STORY[at..STORY.len().min(at + 25)]);
        for budget in [u32::MAX, 3000] {
            let (text, ids, held, reason) = generated(stops(&[&almost]), budget);
            assert_eq!((&text, &ids, reason), (&whole.0, &whole.1, whole.3), "{almost:?}");
            assert!(held > 0);
        }
    }
    // What is held back at another end comes before it.
    for n in 1..whole.1.len() as u32 {
        let short = generated(GenerationConfig::greedy().with_max_tokens(n), u32::MAX);
        let held = generated(stops(&[&format!("{STORY}~")]).with_max_tokens(n), u32::MAX);
        assert_eq!((held.0, held.1, held.2, held.3), (short.0, short.1, 1, short.3));
    }
}

#[test]
fn tokens_stop_before_strings() {
    let ids = generated(GenerationConfig::greedy(), u32::MAX).1;
    let both = stops(&[" lived"]).with_stop_tokens(&[ids[2]]).unwrap();
    let (text, some, _, reason) = generated(both, u32::MAX);
    assert_eq!((text.as_str(), some.len(), reason), (", there", 2, StopReason::Stop(ids[2])));
    let (.., end) = generated(stops(&["board.~"]), u32::MAX);
    assert!(matches!(end, StopReason::Stop(_)));
}

#[test]
fn names_of_control_tokens_are_text_if_asked_for() {
    let config = GenerationConfig::greedy().with_ignore_eos(true).with_max_tokens(15);
    assert_eq!(generated(config.clone(), u32::MAX).0, STORY);
    let (text, ids, ..) = generated(config.with_skip_special_tokens(false), u32::MAX);
    let model = Model::new_checked(IMAGE).unwrap();
    let tokenizer = model.tokenizer().unwrap();
    let name = String::from_utf8_lossy(tokenizer.token_bytes(*ids.last().unwrap()));
    assert_eq!(text, format!("{STORY}{name}"));
    assert!(!name.is_empty());
}

#[test]
fn ids_outside_the_vocabulary_are_refused() {
    let model = Model::new_checked(IMAGE).unwrap();
    let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config())).unwrap();
    let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    let vocab = model.tokenizer().unwrap().token_count();
    let plain = GenerationConfig::default;
    for config in
        [plain().with_stop_tokens(&[0, vocab]).unwrap(), plain().with_logit_bias(&[(vocab, 1.0)]).unwrap()]
    {
        let cpu = Cpu::scalar(&model, &plan, &mut arena).unwrap();
        let refused = Generator::new(&model, &plan, cpu, config).err();
        assert_eq!(refused, Some(Error::TokenOutOfRange { id: vocab, vocab }));
    }
}

/// A context of two prompts with an answer between them, by hand: logits as the session gives them, changed and drawn from.
#[test]
fn every_token_is_that_of_the_definition_in_a_long_context() {
    for (window, batch, budget) in [(64, 7, u32::MAX), (3, 1, u32::MAX), (u32::MAX, 20, 2000), (0, 8, 2000)] {
        let config = GenerationConfig::default()
            .with_repetition_penalty(1.3)
            .with_frequency_penalty(0.2)
            .with_presence_penalty(0.1)
            .with_penalty_window(window)
            .with_top_p(0.95)
            .with_min_p(0.01)
            .with_typical_p(0.98)
            .with_logit_bias(&[(7, 1.5), (5, -4.0)])
            .unwrap()
            .with_temperature(3.0)
            .with_ignore_eos(true)
            .with_max_tokens(12)
            .with_logprobs((window <= 256).then_some(3));
        let model = Model::new_checked(IMAGE).unwrap();
        let options = PlanOptions { batch, ..PlanOptions::new(&model.config()) };
        let plan = MemoryPlan::new(&model.config(), &options).unwrap();
        let mut arenas = [(); 2].map(|()| vec![Line::ZERO; Line::count(plan.bytes())]);
        let [mine, theirs] = &mut arenas;
        let mut session = Session::new(&model, &plan, Cpu::scalar(&model, &plan, mine).unwrap()).unwrap();
        let cpu = Cpu::scalar(&model, &plan, theirs).unwrap();
        let mut generator = Generator::new(&model, &plan, cpu, config.clone()).unwrap();

        let (mut context, mut n, mut fed) = (Vec::new(), 0, 0);
        for prompt in [&[4, 5, 6, 7, 4][..], &[9, 9, 2]] {
            generator.tokens(prompt).unwrap();
            context.extend_from_slice(prompt);
            loop {
                match generator.step(budget).unwrap() {
                    Event::Working | Event::Text(_) => {}
                    Event::Token { id, .. } => {
                        session.prefill(&context[fed..], true).unwrap();
                        fed = context.len();
                        let raw = session.logits().unwrap().to_vec();
                        let mut logits = raw.clone();
                        penalize(&mut logits, &context, &config).unwrap();
                        assert_eq!(sample(&logits, &config, n), Ok(id), "token {n}, window {window}");
                        let logprobs = config.logprobs.map(|of| Logprobs::of(&raw, id, of).unwrap());
                        assert_eq!(generator.logprobs(), logprobs.as_ref());
                        context.push(id);
                        n += 1;
                    }
                    Event::Done(reason) => break assert_eq!(reason, StopReason::MaxTokens),
                }
            }
        }
        // Another end of the same beginning: what was forgotten is in no window.
        generator.rewind(3);
        generator.tokens(&[8, 8]).unwrap();
        let id = loop {
            match generator.step(u32::MAX).unwrap() {
                Event::Working => {}
                Event::Token { id, .. } => break id,
                other => panic!("{other:?}"),
            }
        };
        session.rewind(3);
        session.prefill(&[8, 8], true).unwrap();
        let mut logits = session.logits().unwrap().to_vec();
        penalize(&mut logits, &[4, 5, 6, 8, 8], &config).unwrap();
        assert_eq!(sample(&logits, &config, n), Ok(id));
    }
}
