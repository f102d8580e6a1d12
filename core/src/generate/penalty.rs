//! What is added to logits, and taken from them, before a draw.

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
pub(super) fn penalize_keeping(
    logits: &mut [f32],
    context: &[u32],
    config: &GenerationConfig,
    keep: &mut dyn FnMut(u32, f32),
) -> Result<(), Error> {
    let mut change = |id: u32, to: &dyn Fn(f32) -> f32| {
        let Some(logit) = logits.get_mut(id as usize) else { return Ok(()) };
        keep(id, *logit);
        *logit = to(*logit);
        if logit.is_finite() { Ok(()) } else { Err(Error::Kernel(bitnet_edge_kernels::Error::NonFinite)) }
    };
    for &(id, bias) in &config.logit_bias {
        change(id, &|l| l + bias)?;
    }
    if !config.penalizes() {
        return Ok(());
    }
    let start = context.len().saturating_sub(config.penalty_window as usize);
    let window = context.get(start..).unwrap_or(&[]);
    for (i, &id) in window.iter().enumerate() {
        let (before, from) = window.split_at_checked(i).unwrap_or((&[], &[]));
        if before.contains(&id) {
            continue;
        }
        let count = from.iter().filter(|&&other| other == id).count();
        let repetition = config.repetition_penalty;
        let taken = count as f32 * config.frequency_penalty + config.presence_penalty;
        change(id, &|l| if l > 0.0 { l / repetition } else { l * repetition } - taken)?;
    }
    Ok(())
}

/// Whether [`penalize`] changes anything.
pub(super) fn changes(config: &GenerationConfig) -> bool {
    !config.logit_bias.is_empty() || (config.penalizes() && config.penalty_window > 0)
}
