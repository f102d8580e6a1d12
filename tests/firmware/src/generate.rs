//! The areas of the model: generation, the session below it, and what is said when something is wrong.

use crate::opaque::{bytes, float, keep, number, text, with_arena, with_ram};
use bitnet_edge_core::generate::{Logprobs, penalize, sample};
use bitnet_edge_core::{
    Cpu, Error, Event, GenerationConfig, Generator, KvType, Line, MemoryPlan, Model, ModelConfig,
    PlanOptions, Session,
};
use core::fmt::{self, Write};

/// A whole generation, as the crate's documentation shows it.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn area_generate() {
    with_arena(|arena| keep(generated(arena)));
}

fn generated(arena: &mut [Line]) -> Result<(), Error> {
    let model = Model::new_checked(bytes())?;
    let plan = MemoryPlan::new(&model.config(), &options(&model.config()))?;
    let cpu = Cpu::scalar(&model, &plan, arena)?;
    let config = GenerationConfig {
        max_tokens: number(),
        temperature: float(),
        top_k: number(),
        seed: number().into(),
        ignore_eos: number() == 1,
        lossy: number() == 2,
        digest: number() == 3,
        ..preset()
    };
    let config = chosen(config)?;
    let mut generator = Generator::new(&model, &plan, cpu, config)?;
    generator.prompt(text())?;
    loop {
        match generator.step(number())? {
            Event::Done(reason) => {
                keep((reason, generator.digest()));
                return Ok(());
            }
            event => keep(event),
        }
        keep((generator.held().len(), generator.logprobs().cloned()));
    }
}

/// A choice among strings that may be anything.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn area_choice() {
    with_arena(|arena| keep(decided(arena)));
}

fn decided(arena: &mut [Line]) -> Result<(), Error> {
    let model = Model::new_checked(bytes())?;
    let plan = MemoryPlan::new(&model.config(), &options(&model.config()))?;
    let cpu = Cpu::scalar(&model, &plan, arena)?;
    let mut generator = Generator::new(&model, &plan, cpu, preset())?;
    generator.prompt(text())?;
    let mut chooser = generator.choose(&[text(), text(), text()])?;
    let choice = loop {
        if let Some(choice) = chooser.step(number())? {
            break choice;
        }
    };
    keep((choice.index, choice.probability, chooser.session().position()));
    keep(chooser.probabilities().last().copied());
    Ok(())
}

fn preset() -> GenerationConfig {
    match number() {
        0 => GenerationConfig::greedy(),
        1 => GenerationConfig::balanced(),
        2 => GenerationConfig::creative(),
        _ => GenerationConfig::default(),
    }
}

/// Every further option, by its method.
fn chosen(config: GenerationConfig) -> Result<GenerationConfig, Error> {
    config
        .with_top_p(float())
        .with_min_p(float())
        .with_typical_p(float())
        .with_repetition_penalty(float())
        .with_frequency_penalty(float())
        .with_presence_penalty(float())
        .with_penalty_window(number())
        .with_skip_special_tokens(number() == 1)
        .with_add_bos(number() == 1)
        .with_logprobs(u8::try_from(number()).ok())
        .with_stop_tokens(&[number(), number()])?
        .with_stop_strings(&[text(), text()])?
        .with_logit_bias(&[(number(), float())])
}

/// The sampler by itself: logits, context and options may be anything.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn area_sampler() {
    keep(sampled());
}

fn sampled() -> Result<(u32, Logprobs), Error> {
    let mut logits = [(); 48].map(|()| float());
    let config = chosen(preset())?;
    penalize(&mut logits, &[number(), number(), number()], &config)?;
    Ok((sample(&logits, &config, number().into())?, Logprobs::of(&logits, number(), number() as u8)?))
}

fn options(config: &ModelConfig) -> PlanOptions {
    let kv = match number() {
        0 => KvType::F32,
        1 => KvType::F16,
        _ => KvType::I8,
    };
    PlanOptions { context: number(), kv, batch: number(), prompt_bytes: number(), ..PlanOptions::new(config) }
}

/// Prefill, decode and rewinding, with token ids that may be anything.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn area_session() {
    with_arena(|arena| keep(decoded(arena)));
}

fn decoded(arena: &mut [Line]) -> Result<(), Error> {
    let model = Model::new_checked(bytes())?;
    let plan = MemoryPlan::new(&model.config(), &options(&model.config()))?;
    let mut session = Session::new(&model, &plan, Cpu::scalar(&model, &plan, arena)?)?;
    session.prefill(&[number(); 3], number() == 1)?;
    keep(session.decode(number())?.first().copied());
    keep(session.logits_of(number())?.last().copied());
    session.rewind(number());
    keep((session.position(), session.room()));
    Ok(())
}

/// Every error can be shown.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn area_errors() {
    let Err(error) = Model::new_checked(bytes()) else { return };
    with_ram(|ram| keep(write!(Screen(ram), "{error}")));
}

/// Text that a board would show.
struct Screen<'a>(&'a mut [u8]);

impl Write for Screen<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let (line, rest) = core::mem::take(&mut self.0).split_at_mut_checked(text.len()).ok_or(fmt::Error)?;
        line.iter_mut().zip(text.bytes()).for_each(|(to, byte)| *to = byte);
        self.0 = rest;
        Ok(())
    }
}
