//! Stop strings end a real model's answers as in another engine.

use bitnet_edge_core::model::InPlace;
use bitnet_edge_core::{
    Backend, Cpu, Event, GenerationConfig, Generator, MemoryPlan, Model, PlanOptions, StopReason,
};
use bitnet_edge_std::{Arena, Host, Pool, Tiers, physical_cores};
use bitnet_edge_tests::files;
use bitnet_pack::convert::{Options, convert};
use serde::Deserialize;

/// Completions of llama.cpp's Python package: `tests/python/llama_stops.py` made them.
#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
    /// One token completes more than one stop string.
    several: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    prompt_ids: Vec<u32>,
    stops: Vec<String>,
    max_tokens: u32,
    text: String,
    /// What the same call gives as a stream.
    streamed: Option<String>,
    /// `stop` for a stop string and for the model's own end token, or `length`.
    reason: String,
    /// Without an end token.
    ids: Vec<u32>,
    /// By how much the likeliest token was ahead of the next one, at least.
    margin: f32,
}

/// The greedy texts themselves are not what is compared: prompts were chosen whose tokens are all ahead by more than what the
/// rounding of activations does to this model (0.712, see docs/arithmetic.md).
const LEAST_MARGIN: f32 = 0.75;

/// What a generation brings: its text, its tokens, why it ended.
fn generated<B: Backend>(generator: &mut Generator<'_, B>, case: &Case) -> (Vec<u8>, Vec<u32>, StopReason) {
    let stops: Vec<&str> = case.stops.iter().map(String::as_str).collect();
    let config =
        GenerationConfig::greedy().with_max_tokens(case.max_tokens).with_stop_strings(&stops).unwrap();
    generator.restart();
    generator.configure(config).unwrap();
    generator.tokens(&case.prompt_ids).unwrap();
    let (mut text, mut ids) = (Vec::new(), Vec::new());
    loop {
        match generator.step(u32::MAX).unwrap() {
            Event::Working => {}
            Event::Text(bytes) => text.extend_from_slice(bytes),
            Event::Token { id, bytes } => {
                ids.push(id);
                text.extend_from_slice(bytes);
            }
            Event::Done(reason) => return (text, ids, reason),
        }
    }
}

/// Which stop string comes where one token completes several. The package looks at whole tokens: it takes the first of its list, or
/// as a stream the one that begins leftmost. Here the first string to be complete wins, byte by byte, so that text does not depend
/// on how tokens cut it; of those that the same byte completes, the longest. In the order of the golden file: text, index of the
/// string.
const SEVERAL: [(&str, usize); 6] =
    [(" Hello ", 0), (" Hello ", 1), (" Hello w", 0), (" Hello w", 1), (" Hello w", 0), (" Hello w", 1)];

#[test]
fn smollm2_stops_as_in_llama_cpp() {
    let golden: Golden = files::read_json("tests/data/golden/smollm2-stops.json");
    let file = files::read(files::fetched().join("SmolLM2-135M-Instruct.Q4_1.gguf"));
    let image = convert(&file, &Options::default()).unwrap().image;
    let model = Model::new_checked(image.as_slice()).unwrap();
    let tokenizer = model.tokenizer().unwrap();
    let options = PlanOptions { context: 256, ..PlanOptions::new(&model.config()) };
    let plan = MemoryPlan::new(&model.config(), &options).unwrap();
    let (mut arena, pool) = (Arena::new(plan.bytes()), Pool::new(physical_cores()).unwrap());
    let backend = Host::select(None).unwrap().backend;
    let cpu = Cpu::new(&model, &plan, arena.lines(), backend, &pool, InPlace).unwrap();
    let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::greedy()).unwrap();

    assert_eq!(golden.cases.len(), 24);
    for case in &golden.cases {
        assert!(case.margin > LEAST_MARGIN, "{}: {}", case.name, case.margin);
        let (text, ids, reason) = generated(&mut generator, case);
        assert_eq!(String::from_utf8(text).unwrap(), case.text, "{}", case.name);
        assert_eq!(ids, case.ids, "{}", case.name);
        let theirs = match reason {
            StopReason::Stop(id) => {
                assert!(tokenizer.is_end(id) && (ids.len() as u32) < case.max_tokens, "{}", case.name);
                "stop"
            }
            StopReason::StopString(_) => "stop",
            _ => "length",
        };
        assert_eq!(theirs, case.reason, "{}: {reason}", case.name);
    }

    assert_eq!(golden.several.len(), SEVERAL.len());
    let mut agree = 0;
    for (case, (ours, index)) in golden.several.iter().zip(SEVERAL) {
        assert!(case.margin > LEAST_MARGIN, "{}: {}", case.name, case.margin);
        let (text, ids, reason) = generated(&mut generator, case);
        assert_eq!(
            (text.as_slice(), reason),
            (ours.as_bytes(), StopReason::StopString(index)),
            "{}",
            case.name
        );
        assert_eq!((ids, "stop"), (case.ids.clone(), case.reason.as_str()), "{}", case.name);
        let streamed = case.streamed.as_deref().unwrap();
        agree += usize::from(case.text == ours && streamed == ours);
        println!("{}: {ours:?}; theirs {:?}, as a stream {streamed:?}", case.name, case.text);
    }
    assert_eq!(agree, 2, "of those where a token completes several");
    println!(
        "{} stops as in llama-cpp-python; {agree} of {} where a token completes several",
        golden.cases.len(),
        SEVERAL.len()
    );
}
