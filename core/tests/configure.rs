//! Another configuration between and within generations: no event is lost, and nothing of the old one is told.
#![cfg(feature = "full")]

use bitnet_edge_core::generate::{MAX_BIAS, MAX_TEMPERATURE, penalize, sample};
use bitnet_edge_core::memory::Line;
use bitnet_edge_core::{
    Backend, Cpu, Error, Event, GenerationConfig, Generator, MemoryPlan, Model, PlanOptions, StopReason,
    include_image,
};

static IMAGE: &[u8] = include_image!("../testdata/tiny.bpk");
const STORY: &str = ", there lived one model so small that it fit on every board.";

/// A greedy generator that tells its log-probabilities and stops at a string, with the prompt of the story.
macro_rules! generator {
    ($generator:ident, $stop:expr) => {
        let model = Model::new_checked(IMAGE).unwrap();
        let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config())).unwrap();
        let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
        let cpu = Cpu::scalar(&model, &plan, &mut arena).unwrap();
        let config = GenerationConfig::greedy().with_logprobs(Some(1)).with_stop_strings(&[$stop]).unwrap();
        let mut $generator = Generator::new(&model, &plan, cpu, config).unwrap();
        $generator.prompt("once upon a time").unwrap();
    };
}

fn rest<B: Backend>(generator: &mut Generator<'_, B>, text: &mut String) -> StopReason {
    loop {
        match generator.step(u32::MAX).unwrap() {
            Event::Working => {}
            Event::Text(bytes) | Event::Token { bytes, .. } => {
                text.push_str(core::str::from_utf8(bytes).unwrap());
            }
            Event::Done(reason) => return reason,
        }
    }
}

#[test]
fn what_has_still_to_come_refuses_another_configuration() {
    generator!(generator, "lived two");
    let mut text = String::new();
    let mut refused = 0;
    loop {
        let is_refused = matches!(generator.configure(GenerationConfig::default()), Err(Error::Order(_)));
        assert!(is_refused || generator.held().is_empty());
        refused += usize::from(is_refused);
        // A generator that took it goes on with the old one here.
        if !is_refused {
            let config = GenerationConfig::greedy().with_stop_strings(&["lived two"]).unwrap();
            generator.configure(config).unwrap();
        }
        match generator.step(u32::MAX).unwrap() {
            Event::Working => {}
            Event::Text(bytes) | Event::Token { bytes, .. } => {
                text.push_str(core::str::from_utf8(bytes).unwrap());
            }
            Event::Done(reason) => break assert!(matches!(reason, StopReason::Stop(_))),
        }
    }
    assert!(refused > 2, "the prompt, what is held back, and the token behind it: {refused}");
    assert_eq!(text, STORY);
}

#[test]
fn a_generator_at_rest_takes_another_configuration() {
    generator!(generator, "no such text");
    let mut text = String::new();
    rest(&mut generator, &mut text);
    generator.configure(GenerationConfig::greedy().with_max_tokens(2)).unwrap();
    generator.rewind(0);
    generator.prompt("once upon a time").unwrap();
    let mut text = String::new();
    assert_eq!(rest(&mut generator, &mut text), StopReason::MaxTokens);
    assert_eq!(text, ", there");
    // The same text goes on under a longer limit.
    generator.configure(GenerationConfig::greedy()).unwrap();
    assert!(matches!(rest(&mut generator, &mut text), StopReason::Stop(_)));
    assert_eq!(text, STORY);
    generator.prompt("hello").unwrap();
    assert!(matches!(generator.configure(GenerationConfig::greedy()), Err(Error::Order(_))));
    generator.cancel();
    generator.configure(GenerationConfig::greedy()).unwrap();
}

#[test]
fn logprobs_are_those_of_this_prompt_and_configuration() {
    generator!(generator, "no such text");
    let mut text = String::new();
    rest(&mut generator, &mut text);
    assert!(generator.logprobs().is_some());
    generator.prompt("hello").unwrap();
    assert_eq!(generator.logprobs(), None);
    rest(&mut generator, &mut text);
    generator.rewind(0);
    assert_eq!(generator.logprobs(), None);
    generator.prompt("hello").unwrap();
    rest(&mut generator, &mut text);
    generator.configure(GenerationConfig::greedy()).unwrap();
    assert_eq!(generator.logprobs(), None);
}

#[test]
fn a_banned_token_is_drawn_at_no_temperature() {
    let ban = GenerationConfig::default().with_logit_bias(&[(1, -MAX_BIAS)]).unwrap().with_top_k(0);
    let mut logits = [0.0, 700_000.0, 1.0];
    penalize(&mut logits, &[], &ban).unwrap();
    for temperature in [0.5, 1.0, MAX_TEMPERATURE] {
        let config = ban.clone().with_temperature(temperature);
        config.validate().unwrap();
        for n in 0..500 {
            assert_ne!(sample(&logits, &config, n), Ok(1), "{temperature}");
        }
    }
    assert!(ban.with_temperature(1000.1).validate().is_err());
}
