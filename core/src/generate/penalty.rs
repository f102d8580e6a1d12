//! What is added to logits, and taken from them, before a draw.

use heapless::Vec;

use super::config::GenerationConfig;
use crate::Error;

/// The longest window of penalties whose logits can be restored for log-probabilities.
pub(super) const MAX_KEPT_WINDOW: usize = if cfg!(feature = "full") { 256 } else { 0 };

/// Changes the logits of a few tokens before a [`sample`](super::sample): first the biases of the configuration are added,
/// in their order, then what is in the window, the last tokens of `context`, is penalized:
///
/// 1. a logit above 0 is divided by the repetition penalty, any other multiplied by it,
/// 2. and then `count * frequency_penalty + presence_penalty` is taken from it, with how often the token is in the window.
///
/// `logits`: `[vocab]`; ids that it does not have are passed over.
///
/// # Errors
/// [`Error::Kernel`] for a logit that is not finite after its change.
///
/// ```
/// use bitnet_edge_core::{GenerationConfig, generate::penalize};
/// # #[cfg(feature = "full")] {
/// let config = GenerationConfig::default().with_repetition_penalty(2.0).with_frequency_penalty(0.25);
/// let mut logits = [3.0, 3.0, -1.0];
/// penalize(&mut logits, &[0, 2, 0], &config.with_logit_bias(&[(1, -1.0)])?)?;
/// assert_eq!(logits, [1.0, 2.0, -2.25]);
/// # }
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
pub fn penalize(logits: &mut [f32], context: &[u32], config: &GenerationConfig) -> Result<(), Error> {
    penalize_keeping(logits, context, config, &mut |_, _| {})
}

/// [`penalize`], which hands each id and its logit to `keep` before it changes it.
#[inline(never)] // its memory is not on the stack of a draw
pub(super) fn penalize_keeping(
    logits: &mut [f32],
    context: &[u32],
    config: &GenerationConfig,
    keep: &mut dyn FnMut(u32, f32),
) -> Result<(), Error> {
    for &(id, bias) in &config.logit_bias {
        let Some(place) = logits.get_mut(id as usize) else { continue };
        keep(id, *place);
        *place += bias;
        check(place.is_finite())?;
    }
    if !config.penalizes() {
        return Ok(());
    }
    let start = context.len().saturating_sub(config.penalty_window as usize);
    let window = context.get(start..).unwrap_or(&[]);
    let (repetition, mut done) = (config.repetition_penalty, 0);
    while (done as usize) < logits.len() {
        let (tokens, below) = count(logits, window, done);
        let mut finite = true;
        for &Counted { id, logit, count } in &tokens {
            let Some(place) = logits.get_mut(id as usize) else { continue };
            keep(id, logit);
            let taken = count as f32 * config.frequency_penalty + config.presence_penalty;
            *place = if logit > 0.0 { logit / repetition } else { logit * repetition } - taken;
            finite &= place.is_finite();
        }
        check(finite)?;
        done = below;
    }
    Ok(())
}

fn check(finite: bool) -> Result<(), Error> {
    if finite { Ok(()) } else { Err(Error::Kernel(bitnet_edge_kernels::Error::NonFinite)) }
}

/// A token of the window, while it is counted.
struct Counted {
    id: u32,
    /// Its logit, where a mark is meanwhile.
    logit: f32,
    count: u32,
}

/// Tokens that are counted at a time.
const COUNTED: usize = 256;

/// The mark of the first that is counted, a NaN; those of the others follow. What a token has in `logits` is its mark if it is
/// the one that is counted there, whatever NaN a caller has.
const MARK: u32 = 0x7fc0_0000;

/// The tokens of a window from id `done` on, each once with how often it is there, up to the id that is returned. Their logits
/// are marks, until they are set. As many as are counted at a time, but for those that make room when more come: so a window
/// is read once for about every 200 tokens that differ, and nothing grows with its square.
fn count(logits: &mut [f32], window: &[u32], done: u32) -> (Vec<Counted, COUNTED>, u32) {
    let (mut tokens, mut below) = (Vec::<Counted, COUNTED>::new(), logits.len() as u32);
    for &id in window {
        if !(done..below).contains(&id) {
            continue;
        }
        let bits = logits.get(id as usize).map_or(0, |logit| logit.to_bits());
        if let Some(token) = tokens.get_mut((bits ^ MARK) as usize)
            && token.id == id
        {
            token.count = token.count.saturating_add(1);
            continue;
        }
        if tokens.is_full() {
            below = make_room(logits, &mut tokens);
        }
        if id < below
            && let Some(place) = logits.get_mut(id as usize)
        {
            let mark = MARK | tokens.len() as u32;
            let _ = tokens.push(Counted { id, logit: *place, count: 1 }); // there is room
            *place = f32::from_bits(mark);
        }
    }
    (tokens, below)
}

/// Drops the tokens with ids above the mean from what is counted, and gives them their logits back; the first such id.
fn make_room(logits: &mut [f32], tokens: &mut Vec<Counted, COUNTED>) -> u32 {
    let sum = tokens.iter().fold(0u64, |sum, token| sum.saturating_add(token.id.into()));
    let below = (sum / COUNTED as u64).saturating_add(1) as u32;
    tokens.retain(|token| {
        let keeps = token.id < below;
        if let Some(place) = logits.get_mut(token.id as usize).filter(|_| !keeps) {
            *place = token.logit;
        }
        keeps
    });
    for (mark, token) in (MARK..).zip(tokens.iter()) {
        if let Some(place) = logits.get_mut(token.id as usize) {
            *place = f32::from_bits(mark);
        }
    }
    below
}

/// Whether [`penalize`] changes anything.
pub(super) fn changes(config: &GenerationConfig) -> bool {
    !config.logit_bias.is_empty() || (config.penalizes() && config.penalty_window > 0)
}

#[cfg(all(test, feature = "full"))]
mod tests {
    use super::super::random;
    use super::*;
    use std::vec::Vec as Heap;

    /// The contract, word by word.
    fn defined(logits: &mut [f32], window: &[u32], config: &GenerationConfig) {
        for (id, logit) in (0..).zip(logits) {
            let count = window.iter().filter(|&&other| other == id).count();
            if count > 0 {
                let l = if *logit > 0.0 {
                    *logit / config.repetition_penalty
                } else {
                    *logit * config.repetition_penalty
                };
                *logit = l - (count as f32 * config.frequency_penalty + config.presence_penalty);
            }
        }
    }

    fn bits(logits: &[f32]) -> Heap<u32> {
        logits.iter().map(|l| l.to_bits()).collect()
    }

    #[test]
    fn windows_of_any_length_are_penalized_as_defined() {
        for (seed, vocab, length) in
            [(0, 1, 3), (1, 7, 0), (2, 7, 40), (3, 256, 900), (4, 257, 900), (5, 900, 700), (6, 5000, 3000)]
        {
            let number = |i: usize| random(seed, i as u64) >> 20;
            let mut logits: Heap<f32> =
                (0..vocab).map(|i| (number(i) % 4001) as f32 / 100.0 - 20.0).collect();
            let windows: [&dyn Fn(usize) -> u32; 4] = [
                &|i| (number(i) % vocab as u64) as u32,
                // Most ids are small, and some of no token.
                &|i| ((number(i) % (vocab as u64 + 9)) >> (number(i + 1) % 12)) as u32,
                &|i| (length - i) as u32,
                &|i| if i % 2 == 0 { 1 << (i % 25) } else { i as u32 },
            ];
            for window in windows {
                let window: Heap<u32> = (0..length).map(window).collect();
                let config = GenerationConfig::default()
                    .with_repetition_penalty(1.3)
                    .with_frequency_penalty(0.1)
                    .with_presence_penalty(-0.7)
                    .with_penalty_window(u32::MAX);
                let (before, mut want) = (bits(&logits), logits.clone());
                defined(&mut want, &window, &config);
                let mut kept = Heap::new();
                penalize_keeping(&mut logits, &window, &config, &mut |id, l| kept.push((id, l))).unwrap();
                assert_eq!(bits(&logits), bits(&want), "{vocab} tokens, a window of {length}");
                kept.into_iter().for_each(|(id, l)| logits[id as usize] = l);
                assert_eq!(bits(&logits), before, "{vocab} tokens, a window of {length}");
            }
        }
    }

    #[test]
    fn nothing_but_finite_logits_comes_of_it() {
        let config = GenerationConfig::default().with_presence_penalty(1.0).with_penalty_window(u32::MAX);
        for strange in
            [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(MARK), f32::from_bits(MARK + 1)]
        {
            let mut logits = [strange, 1.0, 2.0];
            assert!(penalize(&mut logits, &[2, 1, 0, 2], &config).is_err());
            assert_eq!(logits[1..], [0.0, 1.0]);
            assert_eq!(penalize(&mut logits, &[2, 1, 2, 1], &config), Ok(()));
            assert_eq!(logits[1..], [-1.0, 0.0]);
        }
    }
}
