//! A real chat model answers, through its own chat template.

use bitnet_edge_core::text::{Ending, Message, Piece, Role, Utf8Stream};
use bitnet_edge_core::{Cpu, Event, GenerationConfig, Generator, MemoryPlan, Model, PlanOptions, StopReason};
use bitnet_edge_std::Arena;
use bitnet_edge_tests::files;
use bitnet_pack::convert::{Options, convert};

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
                stream.feed(bytes, |text| answer.push_str(text))
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
