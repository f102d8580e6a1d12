//! What a receipt must be by itself: hygiene and consistency.

use std::collections::HashSet;

use anyhow::{Result, bail, ensure};
use bitnet_edge_core::receipt::{ModelFacts, Phase, TokenDigest, expected_work, weights};
use bitnet_edge_core::{KvType, Model, StopReason};
use bitnet_edge_kernels::Kernel;
use bitnet_edge_kernels::tile::Layout;

use super::build::owned_weights;
use super::form::OwnedReceipt;

/// Bytes of an id and of other text at most, and of kernels in a receipt.
const ID_BYTES: usize = 128;
const TEXT_BYTES: usize = 256;
const MOST_KERNELS: usize = 10_000;

/// Texts that can be printed, and as many as anyone has. Whoever wrote a receipt must not draw lines of who checks it.
pub(super) fn hygiene(receipt: &OwnedReceipt) -> Result<String> {
    let lists = [
        ("kernels", receipt.kernels.len()),
        ("fallbacks", receipt.fallbacks.len()),
        ("weights", receipt.model.weights.len()),
    ];
    for (what, length) in lists {
        ensure!(length <= MOST_KERNELS, "{length} {what}: at most {MOST_KERNELS} are allowed");
    }
    let kernels = receipt.kernels.iter().flat_map(|run| [&run.id, &run.by]);
    let names =
        kernels.chain(&receipt.fallbacks).chain(receipt.model.weights.iter().map(|line| &line.layout));
    let backend = &receipt.backend;
    for name in names.chain([&backend.chosen]) {
        ensure!(!name.is_empty(), "an id is empty");
        ensure!(name.len() <= ID_BYTES, "an id has {} bytes: at most {ID_BYTES} are allowed", name.len());
        ensure!(!name.contains(is_control), "the id {name:?} has control characters");
    }
    let texts = [
        ("machine", &receipt.machine),
        ("program's version", &receipt.versions.program),
        ("runtime's version", &receipt.versions.runtime),
        ("reason for the backend", &backend.why),
    ];
    for (what, text) in
        texts.into_iter().chain(backend.asked.iter().map(|asked| ("backend asked for", asked)))
    {
        let length = text.len();
        ensure!(length > 0, "the {what} is empty");
        ensure!(length <= TEXT_BYTES, "the {what} has {length} bytes: at most {TEXT_BYTES} are allowed");
        ensure!(!text.contains(is_control), "the {what} {text:?} has control characters");
    }
    Ok(format!("{} kernels, ids of 1 to {ID_BYTES} bytes", receipt.kernels.len()))
}

/// Whether a terminal does something at a character, or prints what is behind it elsewhere: controls, and marks of direction and lines.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// What says the same twice must say the same, and counts must be those of the tokens.
pub(super) fn consistency(receipt: &OwnedReceipt) -> Result<String> {
    kernels(receipt)?;
    tokens(receipt)?;
    times(receipt)?;
    let plan = &receipt.plan;
    let (need, have) = (plan.plan_bytes, plan.arena_bytes);
    ensure!(need <= have, "the plan of {need} bytes does not fit the arena of {have}");
    let [least, most] = passes(receipt);
    let (least, most) = (work_of_facts(receipt, least)?, work_of_facts(receipt, most)?);
    let (layers, prompt, output) = (receipt.model.layers, receipt.prompt.tokens, receipt.output.tokens);
    let whose = format!("{layers} layers, {prompt} and {output} tokens take");
    for ((kernel, least), (_, most)) in least.into_iter().zip(most) {
        within(receipt, kernel, [least, most], &whose)?;
    }
    let sampled = receipt.output.sampled;
    match (receipt.output.stop, sampled) {
        (Some(_), _) => Ok(format!(
            "counts are those of {layers} layers, {prompt} and {output} tokens; weights: {}",
            quantized(receipt)?
        )),
        (None, 0) => Ok(format!(
            "the run was cut short before its first token: counts are at most those of {layers} layers and {prompt} tokens"
        )),
        (None, _) => Ok(format!(
            "the run was cut short: counts are those of {layers} layers, {prompt} and {output} tokens, and at most one pass more; \
             weights: {}",
            quantized(receipt)?
        )),
    }
}

/// A kernel did the work that was to be done, no less and no more.
fn within(receipt: &OwnedReceipt, kernel: Kernel, [least, most]: [u64; 2], whose: &str) -> Result<()> {
    let (name, found) = (kernel.name(), work_of(receipt, kernel));
    if least == most {
        ensure!(found == least, "{name} did work of {found}, and {whose} {least}");
    }
    ensure!(
        (least..=most).contains(&found),
        "{name} did work of {found}, and {whose} {least} to {most}: the run was cut short"
    );
    Ok(())
}

/// The same with the model at hand: every kernel, by the model's own program.
pub(super) fn against(receipt: &OwnedReceipt, model: &Model<'_>) -> Result<String> {
    let facts = ModelFacts::of(model, weights(model).iter().map(owned_weights).collect());
    let (there, here) = (receipt.model.digest, facts.digest);
    ensure!(there == here, "it is of another model: its image has the digest {there}, this one {here}");
    ensure!(
        receipt.model == facts,
        "it describes this image wrongly: {:?}, and it is {facts:?}",
        receipt.model
    );
    let plan = &receipt.plan;
    let [least, most] = passes(receipt)
        .map(|(positions, heads)| expected_work(model, plan.context, plan.kv_cache, positions, heads));
    for ((kernel, least), most) in Kernel::ALL.into_iter().zip(least?).zip(most?) {
        within(receipt, kernel, [least, most], "the program of this model takes")?;
    }
    let kernels = receipt.kernels.len();
    if receipt.output.stop.is_none() {
        return Ok(format!(
            "the image is the receipt's, and the work of {kernels} kernels is that of its program cut short: at most one pass more than \
             that of {} steps",
            receipt.output.sampled
        ));
    }
    Ok(format!("the image is the receipt's, and the work of {kernels} kernels is that of its program"))
}

/// Work that a receipt states for a kernel.
pub(super) fn work_of(receipt: &OwnedReceipt, kernel: Kernel) -> u64 {
    receipt.kernels.iter().find(|run| run.id == kernel.name()).map_or(0, |run| run.work)
}

/// Positions that went through the model, and passes to the logits, at least and at most: the token sampled last is not fed. Of a
/// whole run that is one number; a run that was cut short may have been in its next pass.
fn passes(receipt: &OwnedReceipt) -> [(u64, u64); 2] {
    let of = |heads: u64| (u64::from(receipt.prompt.tokens).saturating_add(heads).saturating_sub(1), heads);
    match (receipt.output.stop, receipt.output.sampled) {
        (Some(_), sampled) => [of(sampled.max(1)); 2],
        (None, 0) => [(0, 0), of(1)],
        (None, sampled) => [of(sampled), of(sampled.saturating_add(1))],
    }
}

fn kernels(receipt: &OwnedReceipt) -> Result<()> {
    let chosen = &receipt.backend.chosen;
    let mut seen = HashSet::new();
    for run in &receipt.kernels {
        ensure!(Kernel::named(&run.id).is_some(), "there is no kernel {}", run.id);
        ensure!(seen.insert(&run.id), "the kernel {} is there twice", run.id);
        ensure!(
            run.calls > 0 && run.work >= run.calls,
            "{} calls of {} did work of {}",
            run.calls,
            run.id,
            run.work
        );
        let by_definition = run.by == "scalar" && chosen != "scalar";
        ensure!(
            by_definition || run.by == *chosen,
            "{} ran by {}, which is not the backend chosen",
            run.id,
            run.by
        );
        ensure!(
            by_definition == receipt.fallbacks.contains(&run.id),
            "{} ran by {}, which the list of fallbacks denies",
            run.id,
            run.by
        );
    }
    let all = receipt.fallbacks.iter().find(|name| !seen.contains(name));
    ensure!(all.is_none(), "a fallback did not run: {}", all.map_or("", String::as_str));
    Ok(())
}

fn tokens(receipt: &OwnedReceipt) -> Result<()> {
    let (prompt, output, vocab) = (&receipt.prompt, &receipt.output, receipt.model.vocab);
    ensure!(
        prompt.ids.len() as u64 == u64::from(prompt.tokens),
        "{} ids for {} tokens",
        prompt.ids.len(),
        prompt.tokens
    );
    ensure!(!prompt.ids.is_empty(), "the prompt has no token");
    let beyond = prompt.ids.iter().find(|&&id| id >= vocab);
    ensure!(beyond.is_none(), "token {} of {vocab}", beyond.copied().unwrap_or_default());
    ensure!(TokenDigest::of(&prompt.ids) == prompt.digest, "the prompt's digest is not that of its ids");
    let generated = u64::from(output.tokens);
    let sampled = match output.stop {
        Some(StopReason::Stop(_)) => generated + 1,
        Some(StopReason::MaxTokens | StopReason::ContextFull | StopReason::StopString(_)) => generated,
        // Of these a step may have been sampled for a token that did not come out.
        _ => output.sampled.clamp(generated, generated + 1),
    };
    ensure!(output.sampled == sampled, "{} steps were sampled for {generated} tokens", output.sampled);
    let most = receipt.config.max_tokens;
    ensure!(output.tokens <= most, "{generated} tokens, and at most {most} were asked for");
    let ([(positions, _), _], context) = (passes(receipt), receipt.plan.context);
    ensure!(positions <= u64::from(context), "{positions} positions in a context of {context}");
    ensure!(receipt.config.digest, "the configuration has no logit digest, and the receipt has one");
    Ok(())
}

fn times(receipt: &OwnedReceipt) -> Result<()> {
    let phases = &receipt.phases;
    let phases = [
        ("prefill", phases.prefill, receipt.prompt.tokens),
        ("decode", phases.decode, receipt.output.tokens.saturating_sub(1)),
    ];
    for (name, phase, tokens) in phases {
        ensure!(phase.tokens == tokens, "the {name} of {tokens} tokens is said to have had {}", phase.tokens);
        ensure!(
            phase == Phase::new(phase.us, phase.tokens),
            "the speed of the {name} is not that of its time and tokens"
        );
    }
    Ok(())
}

/// Work that follows from what a receipt says of its model: products by layout, and what depends on its shape alone.
fn work_of_facts(receipt: &OwnedReceipt, (positions, heads): (u64, u64)) -> Result<Vec<(Kernel, u64)>> {
    let model = &receipt.model;
    let mut work = Vec::new();
    let mut seen = HashSet::new();
    for line in &model.weights {
        let Some(layout) = Layout::ALL.into_iter().find(|layout| layout.name() == line.layout) else {
            bail!("there is no layout {}", line.layout);
        };
        ensure!(seen.insert(layout.id()), "the layout {} is there twice", line.layout);
        let product =
            line.layers_bytes.saturating_mul(positions).saturating_add(line.head_bytes.saturating_mul(heads));
        work.push((Kernel::product(layout), product));
    }
    let without = Layout::ALL.into_iter().filter(|layout| !seen.contains(&layout.id()));
    work.extend(without.map(|layout| (Kernel::product(layout), 0)));
    let [layers, q_heads, width] = [model.layers, model.heads, model.head_dim].map(u64::from);
    work.push((Kernel::Gate, positions.saturating_mul(layers).saturating_mul(model.ffn.into())));
    let is_int8 = receipt.plan.kv_cache == KvType::I8;
    let (attend, other) =
        if is_int8 { (Kernel::AttendI8, Kernel::Attend) } else { (Kernel::Attend, Kernel::AttendI8) };
    // Token t sees t + 1 positions.
    let seen = positions.saturating_mul(positions.saturating_add(1)) / 2;
    work.push((attend, seen.saturating_mul(layers).saturating_mul(q_heads).saturating_mul(width)));
    work.push((other, 0));
    Ok(work)
}

/// Quantized weights were multiplied as integers: which.
fn quantized(receipt: &OwnedReceipt) -> Result<String> {
    let layouts = receipt.model.weights.iter().filter_map(|line| {
        let layout = Layout::ALL.into_iter().find(|layout| layout.name() == line.layout)?;
        let kernel = Kernel::product(layout);
        kernel.is_quantized_product().then_some((line, kernel))
    });
    let mut names = Vec::new();
    for (line, kernel) in layouts {
        ensure!(work_of(receipt, kernel) > 0, "{} weights were not multiplied as integers", line.layout);
        names.push(line.layout.as_str());
    }
    let path = if names.is_empty() {
        "none is quantized".to_owned()
    } else {
        format!("{} as integers", names.join(", "))
    };
    Ok(path)
}
