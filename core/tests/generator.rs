//! Prompts that are refused, contexts that are full, conversations that go on.

use bitnet_edge_core::memory::Line;
use bitnet_edge_core::{
    Cpu, Error, Event, GenerationConfig, Generator, MemoryPlan, Model, PlanOptions, Session, StopReason,
    include_image,
};

static IMAGE: &[u8] = include_image!("../testdata/tiny.bpk");
const CONTEXT: u32 = 16;

fn plan(model: &Model<'_>) -> MemoryPlan {
    let options = PlanOptions { context: CONTEXT, batch: 3, ..PlanOptions::new(&model.config()) };
    MemoryPlan::new(&model.config(), &options).unwrap()
}

fn greedy(max_tokens: u32) -> GenerationConfig {
    GenerationConfig { temperature: 0.0, max_tokens, ignore_eos: true, ..GenerationConfig::default() }
}

/// Generates until it ends.
fn finish<B: bitnet_edge_core::Backend>(generator: &mut Generator<'_, B>) -> (Vec<u32>, StopReason) {
    let mut ids = Vec::new();
    loop {
        match generator.step(1000).unwrap() {
            Event::Working | Event::Text(_) => {}
            Event::Token { id, .. } => ids.push(id),
            Event::Done(reason) => return (ids, reason),
        }
    }
}

#[test]
fn a_refused_prompt_changes_nothing() {
    let model = Model::new_checked(IMAGE).unwrap();
    let plan = plan(&model);
    let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    let cpu = Cpu::scalar(&model, &plan, &mut arena).unwrap();
    let mut generator = Generator::new(&model, &plan, cpu, greedy(2)).unwrap();
    generator.tokens(&[1, 2, 3]).unwrap();
    assert_eq!(finish(&mut generator).1, StopReason::MaxTokens);
    // Four positions are used, and the second generated token waits to be fed.
    let full = Error::ContextFull { need: 4 + 1 + 12, have: CONTEXT };
    assert_eq!(generator.tokens(&[1; 12]), Err(full));
    let text = "once upon a time once upon a time once upon a time";
    assert_eq!(generator.prompt(text), Err(Error::ContextFull { need: 4 + 1 + 20, have: CONTEXT }));
    assert_eq!(generator.tokens(&[]), Err(Error::EmptyPrompt));
    assert_eq!(generator.prompt(""), Err(Error::EmptyPrompt));
    // What was over stays over.
    assert_eq!(generator.step(u32::MAX), Ok(Event::Done(StopReason::MaxTokens)));
    generator.tokens(&[1; 11]).unwrap();
    assert_eq!(generator.tokens(&[1]), Err(Error::Order("a generation is under way")));
    let (ids, reason) = finish(&mut generator);
    assert_eq!((ids.len(), reason), (1, StopReason::ContextFull));
    assert_eq!(generator.session().room(), 0);
}

#[test]
fn a_conversation_is_one_text() {
    let model = Model::new_checked(IMAGE).unwrap();
    let plan = plan(&model);
    let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    let cpu = Cpu::scalar(&model, &plan, &mut arena).unwrap();
    let mut generator = Generator::new(&model, &plan, cpu, greedy(3)).unwrap();
    let first = [4, 5, 6, 7];
    generator.tokens(&first).unwrap();
    let (said, _) = finish(&mut generator);
    let second = [8, 9];
    generator.tokens(&second).unwrap();
    let (more, _) = finish(&mut generator);

    let whole = [&first[..], &said, &second].concat();
    let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    let cpu = Cpu::scalar(&model, &plan, &mut arena).unwrap();
    let mut generator = Generator::new(&model, &plan, cpu, greedy(3)).unwrap();
    generator.tokens(&whole).unwrap();
    assert_eq!(finish(&mut generator).0, more);
}

#[test]
fn a_session_refuses_what_does_not_fit_before_it_computes() {
    let model = Model::new_checked(IMAGE).unwrap();
    let plan = plan(&model);
    let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    let mut session = Session::new(&model, &plan, Cpu::scalar(&model, &plan, &mut arena).unwrap()).unwrap();
    let full = Some(Error::ContextFull { need: 17, have: CONTEXT });
    assert_eq!(session.prefill(&[1; 17], true).err(), full);
    assert_eq!((session.position(), session.is_busy()), (0, false));
    session.prefill(&[1; 16], true).unwrap();
    assert_eq!(session.decode(1).err(), full);
    session.rewind(15);
    session.begin(&[1], true).unwrap();
    assert_eq!(session.logits_of(0).err(), Some(Error::Order("a pass is under way")));
    assert!(session.decode(1).is_err());
    while session.step(1).unwrap() == bitnet_edge_core::model::Progress::Working {}
    assert_eq!(session.position(), 16);
}
