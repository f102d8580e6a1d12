//! Perplexity as llama.cpp's tool computes it, so that figures compare.

use std::thread;

use bitnet_edge_core::text::{EncodeOptions, encode, scratch_words};
use bitnet_edge_core::{Cpu, KvType, MemoryPlan, Model, PlanOptions, Session};
use bitnet_edge_std::Arena;

/// Tokens of a text, without marks at its ends.
///
/// # Panics
/// If the model has no tokenizer, or the text cannot be encoded.
#[must_use]
pub fn tokens(model: &Model<'_>, text: &str) -> Vec<u32> {
    let mut scratch = vec![0; scratch_words(text.len())];
    let mut ids = vec![0; text.len()];
    let tokenizer = model.tokenizer().unwrap();
    // llama.cpp drops bytes that have no token.
    let options = EncodeOptions { lossy: true, ..EncodeOptions::default() };
    let n = encode(&tokenizer, text.as_bytes(), &mut scratch, &mut ids, options).unwrap();
    ids.truncate(n);
    ids
}

/// Negative log likelihood of the second half of each window of `context` tokens, and how many tokens that is.
/// Windows begin with `bos` where given; the KV cache is of type `kv`. Each window is a session of its own, two at a time.
///
/// # Panics
/// If the model fails.
#[must_use]
pub fn windows(
    model: &Model<'_>,
    ids: &[u32],
    context: usize,
    count: usize,
    bos: Option<u32>,
    kv: KvType,
) -> Vec<(f64, usize)> {
    let windows: Vec<&[u32]> = ids.chunks_exact(context).take(count).collect();
    assert_eq!(windows.len(), count, "the text is too short for {count} windows of {context}");
    let mut scores = Vec::new();
    for pair in windows.chunks(2) {
        thread::scope(|scope| {
            let running: Vec<_> =
                pair.iter().map(|w| scope.spawn(move || window(model, w, bos, kv))).collect();
            scores.extend(running.into_iter().map(|r| r.join().unwrap()));
        });
    }
    scores
}

fn window(model: &Model<'_>, ids: &[u32], bos: Option<u32>, kv: KvType) -> (f64, usize) {
    let mut ids = ids.to_vec();
    ids[0] = bos.unwrap_or(ids[0]);
    let options =
        PlanOptions { context: ids.len() as u32, kv, batch: 64, ..PlanOptions::new(&model.config()) };
    let plan = MemoryPlan::new(&model.config(), &options).unwrap();
    let mut arena = Arena::new(plan.bytes());
    let cpu = Cpu::scalar(model, &plan, arena.lines()).unwrap();
    let mut session = Session::new(model, &plan, cpu).unwrap();
    let (first, mut nll, mut counted) = (ids.len() / 2, 0.0, 0);
    let mut at = 0;
    for batch in ids.chunks(64) {
        let scored = at + batch.len() > first;
        session.prefill(batch, scored).unwrap();
        for row in 0..batch.len() {
            let position = at + row;
            if position >= first && position + 1 < ids.len() {
                let logits = session.logits_of(row as u32).unwrap();
                nll -= log_probability(logits, ids[position + 1]);
                counted += 1;
            }
        }
        at += batch.len();
    }
    (nll, counted)
}

fn log_probability(logits: &[f32], id: u32) -> f64 {
    let max = logits.iter().fold(f32::MIN, |m, &l| m.max(l));
    let sum: f64 = logits.iter().map(|&l| f64::from(l - max).exp()).sum();
    f64::from(logits[id as usize] - max) - sum.ln()
}

/// Perplexity over the windows so far, after each.
#[must_use]
pub fn cumulative(windows: &[(f64, usize)]) -> Vec<f64> {
    let (mut nll, mut n) = (0.0, 0);
    windows
        .iter()
        .map(|w| {
            nll += w.0;
            n += w.1;
            (nll / n as f64).exp()
        })
        .collect()
}
