//! The same prompt on the board and here: token by token, and by the logit digest.

use std::path::Path;

use anyhow::{Context, Result, bail};
use bitnet_edge_core::text::{Ending, Message, Piece, Role};
use bitnet_edge_core::{
    Backend, Event, GenerationConfig, Generator, KvType, MemoryPlan, Model, PlanOptions, StopReason,
};
use bitnet_edge_protocol::{Description, KvCache, Stop};
use bitnet_pack::cli::{HOST_BATCH, ImportArgs};
use bitnet_pack::convert::hex;
use bitnet_pack::report::{advised, say};
use bitnet_pack::source;

use super::DeviceArgs;
use super::answer::{Part, Printer, ask, report};
use super::link::Link;
use crate::engine::{Engine, arena};
use crate::model::open;

pub(super) fn run(args: &DeviceArgs, link: &mut Link, board: &Description<'_>) -> Result<()> {
    let name = args.model.as_deref().unwrap_or(Path::new("the story model"));
    let source = open(args.model.as_deref(), &ImportArgs::default(), args.backend.huge_pages)?;
    let model = source::model(source.bytes(), name)?;
    let here = model.image().digest();
    if here != board.image {
        bail!(
            "the board runs another image than {}: its digest is {} and that of this one {}; --model must be the image that \
             the board has",
            name.display(),
            hex(&board.image),
            hex(&here)
        );
    }
    let engine = Engine::new(&args.backend.select()?, args.threads)?;
    let plan = plan(&model, board)?;
    let mut memory = arena(&plan)?;
    let cpu = engine.cpu(&model, &plan, &mut memory)?;
    let config = GenerationConfig { digest: true, ..args.sampling.config(board.vocab)? };
    let mut generator = Generator::new(&model, &plan, cpu, config.clone())?;
    give(args, &model, &mut generator)?;
    let mut printer = Printer::new(args, board)?;
    let mut tokens = 0;
    let done = ask(args, link, &config, &mut |part| {
        printer.part(&part)?;
        match part {
            Part::Token(id, bytes) => {
                same_token(&mut generator, tokens, id, bytes)?;
                tokens += 1;
            }
            Part::Logprobs(there) if generator.logprobs() != Some(there) => bail!(
                "the log-probabilities of token {} differ: the board's are {there:?} and those of this machine {:?}",
                there.id,
                generator.logprobs()
            ),
            Part::Text(_) | Part::Logprobs(_) => {}
        }
        Ok(())
    })?;
    printer.end()?;
    report(args, board, &done);
    if done.stop == Stop::Cancelled {
        bail!("interrupted: {tokens} tokens are the same, and the digest was not compared");
    }
    same_end(&mut generator, tokens, done.stop)?;
    let (board, host) =
        (done.digest.context("the board sent no digest")?, generator.digest().context("no digest")?);
    if board != host {
        bail!(
            "all {tokens} tokens are the same and the logits are not: the board's digest is {} and that of this machine {}",
            hex(&board),
            hex(&host)
        );
    }
    say(format_args!(
        "check: {tokens} tokens and the logit digest are those of this machine, {}",
        engine.describe()
    ));
    Ok(())
}

/// A plan with everything of the board's that results depend on.
fn plan(model: &Model<'_>, board: &Description<'_>) -> Result<MemoryPlan> {
    let kv = match board.kv {
        KvCache::F32 => KvType::F32,
        KvCache::F16 => KvType::F16,
        KvCache::Int8 => KvType::I8,
        _ => bail!("the board's KV cache is of a type that this program does not know"),
    };
    let options = PlanOptions {
        context: board.context,
        kv,
        batch: HOST_BATCH.min(board.context),
        prompt_bytes: board.prompt_bytes.max(1),
        ..PlanOptions::new(&model.config())
    };
    MemoryPlan::new(&model.config(), &options).map_err(advised)
}

/// Gives the prompt to the model here, as the board does.
fn give<B: Backend>(args: &DeviceArgs, model: &Model<'_>, generator: &mut Generator<'_, B>) -> Result<()> {
    let user = Message { role: Role::User, content: args.prompt().as_bytes() };
    let system = args.system.as_deref().map(|text| Message { role: Role::System, content: text.as_bytes() });
    let result = if let Some(template) = model.chat().filter(|_| !args.raw) {
        let messages: Vec<_> = system.into_iter().chain([user]).collect();
        let pieces = template.render(None, &messages, Ending::Reply)?;
        generator.pieces(pieces, false, u32::MAX, &mut || {})
    } else {
        generator.pieces([Piece::from(args.prompt())].into_iter(), true, u32::MAX, &mut || {})
    };
    result.map(drop).map_err(advised).context("the prompt cannot be given to the model")
}

/// The next token here, or why there is none.
fn next<B: Backend>(generator: &mut Generator<'_, B>) -> Result<Result<(u32, Vec<u8>), StopReason>> {
    loop {
        match generator.step(u32::MAX).map_err(advised)? {
            // What was held back was compared as the tokens that it is of.
            Event::Working | Event::Text(_) => {}
            Event::Token { id, bytes } => return Ok(Ok((id, bytes.to_vec()))),
            Event::Done(reason) => return Ok(Err(reason)),
        }
    }
}

fn same_token<B: Backend>(generator: &mut Generator<'_, B>, at: u32, id: u32, bytes: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy;
    match next(generator)? {
        Ok((here, _)) if here == id => Ok(()),
        Ok((here, other)) => bail!(
            "token {at} of the answer differs: the board sampled {id} ({:?}) and this machine {here} ({:?})",
            text(bytes),
            text(&other)
        ),
        Err(reason) => {
            bail!(
                "the board sampled {id} ({:?}) as token {at}, where the text ends here: {reason}",
                text(bytes)
            )
        }
    }
}

fn same_end<B: Backend>(generator: &mut Generator<'_, B>, at: u32, stop: Stop) -> Result<()> {
    let reason = match next(generator)? {
        Ok((id, bytes)) => {
            bail!(
                "the board's answer ends after {at} tokens ({stop:?}), where this machine sampled {id} ({:?})",
                String::from_utf8_lossy(&bytes)
            )
        }
        Err(reason) => reason,
    };
    let same = match (stop, reason) {
        (Stop::Token(there), StopReason::Stop(here)) => there == here,
        (Stop::String(there), StopReason::StopString(here)) => there as usize == here,
        (Stop::MaxTokens, StopReason::MaxTokens) | (Stop::ContextFull, StopReason::ContextFull) => true,
        _ => false,
    };
    if !same {
        bail!(
            "after {at} tokens the board's answer ends with {stop:?} and that of this machine because {reason}"
        );
    }
    Ok(())
}
