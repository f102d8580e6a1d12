//! Every option of generation gives the same tokens, log-probabilities and logits on every backend and architecture: the
//! constants here are those of all of them.

use bitnet_edge_core::model::InPlace;
use bitnet_edge_core::{Cpu, Event, GenerationConfig, Generator, MemoryPlan, Model, PlanOptions, StopReason};
use bitnet_edge_kernels::Kernels;
use bitnet_edge_std::{Arena, Host, Pool, Tiers};
use bitnet_edge_tests::models::STORY;
use sha2::{Digest, Sha256};

const PROMPT: &str = "once upon a time";
const TOKENS: u32 = 40;

/// Options by name, and the SHA-256 (its first eight bytes) of what they gave.
fn cases() -> Vec<(&'static str, GenerationConfig, &'static str)> {
    let draw = || GenerationConfig::default().with_temperature(1.0).with_top_k(0);
    let all = GenerationConfig::creative()
        .with_temperature(1.3)
        .with_top_k(60)
        .with_typical_p(0.97)
        .with_top_p(0.95)
        .with_min_p(0.01)
        .with_repetition_penalty(1.2)
        .with_frequency_penalty(0.3)
        .with_presence_penalty(-0.2)
        .with_penalty_window(24)
        .with_seed(99)
        .with_logit_bias(&[(5, -1.0), (74, 0.75)])
        .and_then(|config| config.with_stop_strings(&[" the end", "\n\n"]));
    vec![
        ("temperature", draw(), "a285924de543d159"),
        ("top-k", draw().with_top_k(5), "d728a6f61b070ceb"),
        ("top-p", draw().with_top_p(0.7), "ab4fa7cf4c9cf588"),
        ("min-p", draw().with_min_p(0.2), "1f52892e386817f6"),
        ("typical-p", draw().with_typical_p(0.5), "dadd6ffdede32ceb"),
        ("repetition penalty", GenerationConfig::greedy().with_repetition_penalty(1.5), "45e6b7a8b9b27592"),
        ("frequency penalty", GenerationConfig::greedy().with_frequency_penalty(1.5), "7a6b50bd3ec4f06c"),
        ("presence penalty", GenerationConfig::greedy().with_presence_penalty(2.5), "674deca304041c82"),
        ("bias", GenerationConfig::greedy().with_logit_bias(&[(5, -9.0)]).unwrap(), "46264f90aa38fddf"),
        ("balanced", GenerationConfig::balanced(), "9d1cb558f45a6c4b"),
        ("creative", GenerationConfig::creative(), "3da6908e1375123b"),
        ("seed", GenerationConfig::creative().with_seed(2), "259d10feb17181bd"),
        ("stop string", draw().with_stop_strings(&["clever", "swing"]).unwrap(), "9b2e8ca3aadb5fbb"),
        ("all", all.unwrap(), "8136fbd1623b4e74"),
    ]
}

/// Every token with the bits of its log-probabilities, the logit digest and the end, hashed; and the text.
fn told(generator: &mut Generator<'_, impl bitnet_edge_core::Backend>) -> (String, String) {
    generator.prompt(PROMPT).unwrap();
    let (mut hash, mut text) = (Sha256::new(), Vec::new());
    let end = loop {
        match generator.step(u32::MAX).unwrap() {
            Event::Working => {}
            Event::Text(bytes) => text.extend_from_slice(bytes),
            Event::Token { id, bytes } => {
                hash.update(id.to_le_bytes());
                text.extend_from_slice(bytes);
                let logprobs = generator.logprobs().unwrap();
                for (id, logprob) in [(logprobs.id, logprobs.logprob)].iter().chain(&logprobs.top) {
                    hash.update(id.to_le_bytes());
                    hash.update(logprob.to_bits().to_le_bytes());
                }
            }
            Event::Done(reason) => break reason,
        }
    };
    hash.update(&text);
    hash.update(generator.digest().unwrap());
    hash.update(end.to_string());
    assert!(matches!(end, StopReason::MaxTokens | StopReason::StopString(_)), "{end}");
    let digest = hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    (digest, String::from_utf8(text).unwrap())
}

#[test]
fn every_option_gives_the_same_on_every_backend() {
    let image = STORY.image();
    let model = Model::new_checked(image.as_slice()).unwrap();
    let options = PlanOptions { context: 64, batch: 4, ..PlanOptions::new(&model.config()) };
    let plan = MemoryPlan::new(&model.config(), &options).unwrap();
    let pool = Pool::new(2).unwrap();
    let mut texts = Vec::new();
    for name in Host::names() {
        let host = match Host::by_name(name) {
            Ok(host) => host,
            Err(why) => {
                println!("not run: {name} ({why})");
                continue;
            }
        };
        for (case, config, expected) in cases() {
            let mut arena = Arena::new(plan.bytes());
            let cpu = Cpu::new(&model, &plan, arena.lines(), host, &pool, InPlace).unwrap();
            let config = config.with_max_tokens(TOKENS).with_digest(true).with_logprobs(Some(3));
            let mut generator = Generator::new(&model, &plan, cpu, config).unwrap();
            let (digest, text) = told(&mut generator);
            assert_eq!(digest, expected, "{} with {case}: {text:?}", host.name());
            texts.push((case, text));
        }
    }
    // Each option does something: no two texts are alike.
    let tiers = texts.len() / cases().len();
    texts.sort_by(|a, b| a.1.cmp(&b.1));
    texts.dedup_by(|a, b| a.1 == b.1);
    assert_eq!(texts.len(), cases().len(), "{tiers} tiers: {texts:#?}");
}
