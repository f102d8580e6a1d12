//! The image that the examples in the documentation of core run.

use bitnet_edge_core::image::SectionKind;
use bitnet_edge_core::text::{Ending, Message, Role};
use bitnet_edge_core::{
    Cpu, Event, GenerationConfig, Generator, KvType, MemoryPlan, Model, PlanOptions, StopReason,
};
use bitnet_edge_std::{Arena, Bytes};
use bitnet_edge_tests::{example_model, files};
use bitnet_pack::convert::{Options, convert};

fn image() -> Bytes {
    let options = Options { source_name: "tiny.gguf".to_owned(), ..Options::default() };
    convert(&example_model::gguf("bitnet-b1.58"), &options).unwrap().image
}

/// `BLESS=1` writes it anew.
#[test]
fn the_image_in_core_is_current() {
    let path = files::root().join("core/testdata/tiny.bpk");
    let image = image();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, image.as_slice()).unwrap();
    }
    assert!(
        files::read(&path) == image.as_slice(),
        "a change of the format or of the model: run this test with BLESS=1"
    );
}

/// What is generated from `prompt`, or from a message to the chat template.
fn generated(
    kv: KvType,
    batch: u32,
    config: GenerationConfig,
    prompt: &str,
    chat: bool,
) -> (String, StopReason) {
    let image = image();
    let model = Model::new_checked(image.as_slice()).unwrap();
    let options = PlanOptions { kv, batch, ..PlanOptions::new(&model.config()) };
    let plan = MemoryPlan::new(&model.config(), &options).unwrap();
    let mut arena = Arena::new(plan.bytes());
    let cpu = Cpu::scalar(&model, &plan, arena.lines()).unwrap();
    let mut generator = Generator::new(&model, &plan, cpu, config).unwrap();
    if chat {
        let messages = [Message { role: Role::User, content: prompt.as_bytes() }];
        let pieces = model.chat().unwrap().render(None, &messages, Ending::Reply).unwrap();
        generator.pieces(pieces, false, u32::MAX, &mut || {}).unwrap();
    } else {
        generator.prompt(prompt).unwrap();
    }
    let mut text = Vec::new();
    loop {
        match generator.step(u32::MAX).unwrap() {
            Event::Working => {}
            Event::Text(bytes) | Event::Token { bytes, .. } => text.extend(bytes),
            Event::Done(reason) => return (String::from_utf8(text).unwrap(), reason),
        }
    }
}

/// The weights say what is generated, so no run of our own is needed to know it.
#[test]
fn it_says_what_its_weights_say() {
    let tokens = example_model::tokens();
    for prompt in ["time", "once upon a time", "a small a", "abc", "why?", "x"] {
        for (kv, batch) in [(KvType::F32, 8), (KvType::F16, 3), (KvType::I8, 1)] {
            for config in [
                GenerationConfig { temperature: 0.0, ..GenerationConfig::default() },
                GenerationConfig { seed: 7, top_k: 0, ..GenerationConfig::default() },
            ] {
                // The last token of the prompt alone decides.
                let mut id = tokens
                    .iter()
                    .enumerate()
                    .filter(|(_, token)| prompt.ends_with(**token))
                    .max_by_key(|(_, token)| token.len())
                    .unwrap()
                    .0;
                let mut expected = String::new();
                loop {
                    id = example_model::next(id);
                    if id == 0 {
                        break;
                    }
                    expected.push_str(tokens[id]);
                }
                let (text, reason) = generated(kv, batch, config, prompt, false);
                assert_eq!((text, reason), (expected, StopReason::Stop(0)), "{prompt:?}");
            }
        }
    }
    let (text, reason) = generated(KvType::F16, 8, GenerationConfig::default(), "hi", true);
    assert_eq!((text.as_str(), reason), ("hello friend!", StopReason::Stop(0)));
}

/// The two names under which files of one architecture are in circulation.
#[test]
fn bitnet_25_is_bitnet_b1_58() {
    let converted = |architecture| {
        let image = convert(&example_model::gguf(architecture), &Options::default()).unwrap().image;
        let model = Model::new_checked(image.as_slice()).unwrap();
        let weights = model.image().section(SectionKind::Tensors).unwrap().to_vec();
        (model.config(), model.turns().to_vec(), weights)
    };
    assert_eq!(converted("bitnet-25"), converted("bitnet-b1.58"));
}
