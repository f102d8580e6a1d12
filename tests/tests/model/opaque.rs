//! The golden set on a backend whose memory the host cannot reach.

use bitnet_edge_core::{
    Backend, Cpu, Event, GenerationConfig, Generator, KvType, MemoryPlan, Model, PlanOptions, Session,
};
use bitnet_edge_std::Arena;
use bitnet_edge_tests::golden::Golden;
use bitnet_edge_tests::models::{self, STORIES260K, STORY, TINY_2B4T, TINY_SILU};
use bitnet_edge_tests::opaque::Opaque;

/// The bits of the logits of every golden step, by the scalar backend and by the opaque one.
fn check(image: &[u8], golden: &Golden) {
    let model = Model::new_checked(image).unwrap();
    let longest = golden.cases.iter().map(|c| c.prompt_ids.len() + c.steps.len()).max().unwrap();
    let plan = models::plan(&model, longest as u32, KvType::F16, 8);
    let mut arena = Arena::new(plan.bytes());
    let mut scalar = Session::new(&model, &plan, Cpu::scalar(&model, &plan, arena.lines()).unwrap()).unwrap();
    let mut expected = Vec::new();
    golden.each_step(&mut scalar, |_, _, logits| expected.push(bits(logits)));

    let mut opaque = Session::new(&model, &plan, Opaque::new(&model, &plan)).unwrap();
    let mut steps = expected.iter();
    golden.each_step(&mut opaque, |case, step, logits| {
        assert!(steps.next() == Some(&bits(logits)), "{:?}: step {step} has other bits", case.prompt);
    });
    assert!(steps.next().is_none());
    let device = opaque.backend_mut();
    println!(
        "{} steps; {} buffers on the device, {} pairs of which share bytes in the plan",
        expected.len(),
        device.buffers(),
        device.overlaps()
    );
    // Were there none, the run would say nothing about slots that share memory.
    assert!(device.overlaps() > 0);
}

fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|l| l.to_bits()).collect()
}

#[test]
fn stories260k() {
    check(STORIES260K.image().as_slice(), &STORIES260K.golden());
}

#[test]
fn tinystories_micro() {
    check(STORY.image().as_slice(), &STORY.golden());
}

#[test]
fn tiny_2b4t() {
    check(TINY_2B4T.image().as_slice(), &TINY_2B4T.golden());
}

#[test]
fn tiny_2b4t_with_silu() {
    check(TINY_SILU.image().as_slice(), &TINY_SILU.golden());
}

/// One of the prompts: the chunks of attention, the `Q4_1` products and the `Q6_K` head are the same in all.
#[cfg(feature = "fetched")]
#[test]
fn smollm2() {
    use bitnet_edge_tests::files;
    use bitnet_pack::convert::{Options, convert};
    let file = files::read(files::fetched().join("SmolLM2-135M-Instruct.Q4_1.gguf"));
    let image = convert(&file, &Options::default()).unwrap().image;
    let mut golden: Golden = files::read_json("tests/data/golden/smollm2-135m-q4_1.json");
    golden.cases.truncate(1);
    golden.cases[0].steps.truncate(4);
    check(image.as_slice(), &golden);
}

/// A story from its prompt, sampled, in steps that end within operations: text, tokens and digest.
#[test]
fn a_story_has_the_digest_of_the_scalar_backend() {
    let image = STORY.image();
    let model = Model::new_checked(image.as_slice()).unwrap();
    for kv in [KvType::F32, KvType::F16, KvType::I8] {
        let config = model.config();
        let options = PlanOptions { context: 64, kv, prompt_bytes: 64, ..PlanOptions::new(&config) };
        let plan = MemoryPlan::new(&config, &options).unwrap();
        let mut arena = Arena::new(plan.bytes());
        let scalar = Cpu::scalar(&model, &plan, arena.lines()).unwrap();
        let expected = story(&model, &plan, scalar, u32::MAX);
        assert_eq!(story(&model, &plan, Opaque::new(&model, &plan), 50_000), expected, "{kv:?}");
        // With options that look at the context and change logits.
        let mut arena = Arena::new(plan.bytes());
        let scalar = Cpu::scalar(&model, &plan, arena.lines()).unwrap();
        let options = GenerationConfig::creative().with_typical_p(0.95).with_presence_penalty(0.2);
        let options = options.with_logprobs(Some(2)).with_logit_bias(&[(5, 0.5)]).unwrap();
        let changed = story_of(&model, &plan, scalar, u32::MAX, options.clone());
        let opaque = story_of(&model, &plan, Opaque::new(&model, &plan), 50_000, options);
        assert_eq!(opaque, changed, "{kv:?}");
        println!("KV cache {}: {:?}", kv.name(), String::from_utf8_lossy(&expected.0));
    }
}

fn story<B: Backend>(
    model: &Model<'_>,
    plan: &MemoryPlan,
    backend: B,
    budget: u32,
) -> (Vec<u8>, Option<[u8; 32]>) {
    story_of(model, plan, backend, budget, GenerationConfig::default())
}

fn story_of<B: Backend>(
    model: &Model<'_>,
    plan: &MemoryPlan,
    backend: B,
    budget: u32,
    config: GenerationConfig,
) -> (Vec<u8>, Option<[u8; 32]>) {
    let config = config.with_max_tokens(30).with_digest(true);
    let mut generator = Generator::new(model, plan, backend, config).unwrap();
    generator.prompt("once upon a time").unwrap();
    let mut text = Vec::new();
    loop {
        match generator.step(budget).unwrap() {
            Event::Working => {}
            Event::Text(bytes) | Event::Token { bytes, .. } => text.extend(bytes),
            Event::Done(_) => return (text, generator.digest()),
        }
    }
}
