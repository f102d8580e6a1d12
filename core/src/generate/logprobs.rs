//! How likely a token was, and which others were.

use bitnet_edge_kernels::math::{exp, ln1};
use bitnet_edge_kernels::simd::{F32x16, Scalar16};
use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::config::MAX_LOGPROBS;
use super::sampler::{Blocks, Candidates};
use crate::Error;

/// Log-probabilities of a token and of the likeliest ones, of the model itself: before biases, penalties and temperature.
///
/// ```
/// use bitnet_edge_core::generate::Logprobs;
/// let logprobs = Logprobs::of(&[1.0, 3.0, 2.0, 3.0], 2, 3)?;
/// assert!((logprobs.logprob - (2.0 - (2.0f32.exp() * 2.0 + 1.0 + 1.0f32.exp()).ln() - 1.0)).abs() < 1e-6);
/// assert_eq!(logprobs.top.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 3, 2]); // of equals the lowest id first
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Logprobs {
    /// The token.
    pub id: u32,
    /// The natural logarithm of its probability.
    pub logprob: f32,
    /// The likeliest tokens and theirs, the likeliest first; the token itself may be among them.
    pub top: Vec<(u32, f32), MAX_LOGPROBS>,
}

impl Logprobs {
    /// Those of token `id` and of the `n` likeliest; of fewer if there are fewer. `logits`: `[vocab]`.
    ///
    /// `logprob = (logit - largest) - ln(sum of exp(logit - largest))`, the sum in 16 stripes (`docs/arithmetic.md`).
    ///
    /// # Errors
    /// [`Error::Kernel`] for a logit that is not finite; [`Error::TokenOutOfRange`]; [`Error::PlanOption`] for more than
    /// [`MAX_LOGPROBS`].
    ///
    /// ```
    /// use bitnet_edge_core::generate::Logprobs;
    /// let two = Logprobs::of(&[0.0, 0.0], 1, 0)?;
    /// assert_eq!((two.logprob, two.top.len()), (-core::f32::consts::LN_2, 0)); // one of two
    /// assert!(Logprobs::of(&[0.0, f32::INFINITY], 0, 1).is_err());
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn of(logits: &[f32], id: u32, n: u8) -> Result<Self, Error> {
        if !logits.iter().fold(true, |finite, l| finite & l.is_finite()) {
            return Err(Error::Kernel(bitnet_edge_kernels::Error::NonFinite));
        }
        let vocab = logits.len() as u32;
        let logit = *logits.get(id as usize).ok_or(Error::TokenOutOfRange { id, vocab })?;
        if usize::from(n) > MAX_LOGPROBS {
            return Err(Error::PlanOption("too many log-probabilities"));
        }
        let blocks = Blocks::new(logits);
        let (_, largest) = blocks.first_largest();
        let whole = ln1(sum_of_exp(logits, largest));
        let logprob = |l: f32| (l - largest) - whole;
        let mut top = Vec::new();
        if n > 0 {
            for (id, l) in Candidates::new(&blocks, n.into()).iter(&blocks) {
                // Behind all that are as large, which have lower ids; the others move on.
                let mut last = (id, l);
                let smaller = top.iter_mut().skip_while(|(_, other)| *other >= l);
                smaller.for_each(|place| core::mem::swap(place, &mut last));
                let _ = top.push(last); // there is room for `n`
            }
            // With fewer than `n` logits all are candidates.
            top.truncate(n.into());
            top.iter_mut().for_each(|(_, l)| *l = logprob(*l));
        }
        Ok(Self { id, logprob: logprob(logit), top })
    }
}

/// `sum16` of `exp(logit - largest)`.
fn sum_of_exp(logits: &[f32], largest: f32) -> f32 {
    let terms = |part: &[f32; 16]| exp(Scalar16::load(part).sub(Scalar16::splat(largest)));
    let (whole, rest) = logits.as_chunks::<16>();
    let sums = whole.iter().fold(Scalar16::splat(0.0), |sums, part| sums.add(terms(part)));
    let (mut part, mut of_part) = ([0.0; 16], [0.0; 16]);
    part.iter_mut().zip(rest).for_each(|(to, l)| *to = *l);
    terms(&part).store(&mut of_part);
    of_part.iter_mut().skip(rest.len()).for_each(|term| *term = 0.0);
    sums.add(Scalar16::load(&of_part)).fold()
}

#[cfg(test)]
mod tests {
    use super::super::random;
    use super::*;
    use std::vec::Vec as Heap;

    #[test]
    fn logprobs_are_those_of_a_reference() {
        for n in [1, 2, 15, 16, 17, 100, 1000, 50_257] {
            let logits: Heap<f32> =
                (0..n).map(|i| (random(n, i) >> 40) as f32 / 1_048_576.0 - 8.0 - (i % 3) as f32).collect();
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
            let sum: f64 = logits.iter().map(|l| f64::from(l - largest).exp()).sum();
            let of = |id: u32| f64::from(logits[id as usize] - largest) - sum.ln();
            let mut order: Heap<u32> = (0..n as u32).collect();
            order.sort_by(|a, b| logits[*b as usize].partial_cmp(&logits[*a as usize]).unwrap());
            for k in [0, 1, 5, MAX_LOGPROBS] {
                let id = (random(5, n) % n) as u32;
                let got = Logprobs::of(&logits, id, k as u8).unwrap();
                assert!(
                    (f64::from(got.logprob) - of(id)).abs() < 4e-6,
                    "{n}: {} and {}",
                    got.logprob,
                    of(id)
                );
                let ids: Heap<u32> = got.top.iter().map(|(id, _)| *id).collect();
                assert_eq!(ids, order[..k.min(n as usize)]);
                assert!(got.top.iter().all(|(id, p)| (f64::from(*p) - of(*id)).abs() < 4e-6));
            }
        }
    }
}
