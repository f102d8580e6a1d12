//! Uses an image for all that it is good for, whatever is in it.

use std::io;

use bitnet_edge_core::image::Image;
use bitnet_edge_core::text::{Ending, Message, Role};
use bitnet_edge_core::{
    Backend, Cpu, Error, Event, GenerationConfig, Generator, KvType, MemoryPlan, Model, ModelConfig,
    PlanOptions, Session,
};
use bitnet_edge_std::Arena;
use bitnet_pack::{inspect, plan, verify};

/// A plan of more bytes is not run: a damaged number may ask for any.
const ARENA: usize = 1 << 20;

/// Opens the image, describes it, plans, generates a few tokens with each of these caches.
///
/// # Errors
/// Why there is none. What a model that opens runs into afterwards is no error of the image.
///
/// # Panics
/// If anything that was checked is not so.
pub fn exercise(image: &[u8], caches: &[KvType]) -> Result<(), Error> {
    let config = ModelConfig::read(image);
    let container = Image::new_checked(image)?;
    assert!(container.sections().all(|section| section.bytes.len() <= image.len()));
    let _ = (container.digest(), container.verify(), verify::image(image));
    let model = Model::new_checked(image)?;
    assert_eq!(Ok(model.config()), config, "a const fn reads the same");
    inspect::image(&model, &mut io::sink()).unwrap();
    let own = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()));
    if let Ok(own) = own {
        plan::print(&model, &own, &mut io::sink()).unwrap();
    }
    for &kv in caches {
        let _ = run(&model, kv);
    }
    Ok(())
}

/// A few tokens with this cache, in small steps.
///
/// # Errors
/// The runtime's.
///
/// # Panics
/// If a logit that came out is not finite, or a step does not end.
pub fn run(model: &Model<'_>, kv: KvType) -> Result<(), Error> {
    let config = model.config();
    let options = PlanOptions {
        context: config.context.min(8),
        kv,
        batch: 2,
        prompt_bytes: 64,
        ..PlanOptions::new(&config)
    };
    let plan = MemoryPlan::new(&config, &options)?;
    if plan.bytes() > ARENA {
        return Ok(());
    }
    let mut arena = Arena::new(plan.bytes());
    let generation = GenerationConfig { max_tokens: 2, ..GenerationConfig::default() };
    let mut generator = Generator::new(model, &plan, Cpu::scalar(model, &plan, arena.lines())?, generation)?;
    if model.tokenizer().is_some() {
        if generator.prompt("ab c").is_ok() {
            finish(&mut generator)?;
        }
        let messages = [Message { role: Role::User, content: b"a" }];
        let pieces = model.chat().and_then(|chat| chat.render(None, &messages, Ending::Reply).ok());
        if let Some(pieces) = pieces
            && generator.pieces(pieces, false, 100, &mut || {}).is_ok()
        {
            finish(&mut generator)?;
        }
    }
    let mut session = Session::new(model, &plan, Cpu::scalar(model, &plan, arena.lines())?)?;
    let ids = [0, 1, 2].map(|id: u32| id.min(config.vocab - 1));
    session.prefill(&ids[..ids.len().min(options.context as usize)], true)?;
    assert!(session.logits()?.iter().all(|logit| logit.is_finite()));
    Ok(())
}

/// Steps until the generation ends.
fn finish<B: Backend>(generator: &mut Generator<'_, B>) -> Result<(), Error> {
    let steps = (0..100_000).find_map(|_| match generator.step(1000) {
        Ok(Event::Done(_)) => Some(Ok(())),
        Ok(_) => None,
        Err(e) => Some(Err(e)),
    });
    steps.expect("a generation ends")
}
