use std::vec::Vec;

use super::super::config::MAX_TEMPERATURE;
use super::super::sampler::{Blocks, Candidates};
use super::super::{penalize, random, sample};
use super::*;

/// Numbers from -8 to 8; with `ties`, of few values, zeros of both signs among them.
fn noise(n: usize, seed: u64, ties: bool) -> Vec<f32> {
    (0..n)
        .map(|i| {
            let x = (random(seed, i as u64) >> 40) as f32 / 1_048_576.0 - 8.0;
            if ties { (x as i32) as f32 * [1.0, 0.5, -0.0][i % 3] } else { x }
        })
        .collect()
}

/// All combinations of options that a seed chooses from.
fn options(seed: u64) -> GenerationConfig {
    let pick = |n: u64, of: &[f32]| of[(random(seed, n) % of.len() as u64) as usize];
    GenerationConfig::default()
        .with_temperature(pick(0, &[0.3, 0.7, 1.0, 3.0]))
        .with_top_k(pick(1, &[0.0, 2.0, 5.0, 40.0, 300.0]) as u32)
        .with_typical_p(pick(2, &[1.0, 0.95, 0.5, 0.1]))
        .with_top_p(pick(3, &[1.0, 0.99, 0.8, 0.3, 0.001]))
        .with_min_p(pick(4, &[0.0, 0.001, 0.05, 0.5, 1.0]))
        .with_seed(seed)
}

/// What the field says of the filters, by sorting, in f64: ids in order, and their probabilities at temperature 1.
fn reference(logits: &[f32], config: &GenerationConfig) -> Vec<u32> {
    let mut kept: Vec<(u32, f64)> = (0u32..).zip(logits.iter().map(|&l| f64::from(l))).collect();
    kept.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
    if config.top_k > 0 {
        kept.truncate(config.top_k as usize);
    }
    let best = kept[0].1;
    let weights = |kept: &[(u32, f64)]| kept.iter().map(|(_, l)| (l - best).exp()).collect::<Vec<_>>();
    // The first whose probabilities add up to `p`.
    let prefix = |kept: &mut Vec<(u32, f64)>, p: f32| {
        let weights = weights(kept);
        let (mut sum, all) = (0.0, weights.iter().sum::<f64>());
        let reached = weights.iter().position(|w| {
            sum += w;
            sum >= f64::from(p) * all
        });
        kept.truncate(reached.map_or(kept.len(), |at| at + 1));
    };
    if config.typical_p < 1.0 {
        let (w, all) = (weights(&kept), weights(&kept).iter().sum::<f64>());
        let entropy: f64 = w.iter().map(|w| -(w / all) * (w / all).ln()).sum();
        let surprise = |l: f64| (-((l - best).exp() / all).ln() - entropy).abs();
        kept.sort_by(|a, b| surprise(a.1).total_cmp(&surprise(b.1)).then(a.0.cmp(&b.0)));
        prefix(&mut kept, config.typical_p);
        kept.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
    }
    if config.top_p < 1.0 {
        prefix(&mut kept, config.top_p);
    }
    let (largest, least) = (kept[0].1, f64::from(config.min_p));
    kept.retain(|(_, l)| (l - largest).exp() >= least);
    let mut ids: Vec<u32> = kept.iter().map(|(id, _)| *id).collect();
    ids.sort_unstable();
    ids
}

fn kept(logits: &[f32], config: &GenerationConfig) -> Vec<u32> {
    let blocks = Blocks::new(logits);
    let (_, best) = blocks.first_largest();
    let candidates = Candidates::new(&blocks, config.top_k);
    let filter = Filter::new(config, candidates.iter(&blocks), best);
    let all = candidates.iter(&blocks).filter(|&(id, l)| filter.keeps(id, l));
    let kept: Vec<u32> = all.map(|(id, _)| id).collect();
    let largest =
        kept.iter().map(|id| logits[*id as usize]).fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
    assert_eq!(filter.largest, largest);
    assert!(kept.iter().all(|id| logits[*id as usize] >= filter.least_logit()));
    kept
}

#[test]
fn candidates_are_those_of_the_reference() {
    for seed in 0..2000 {
        let config = options(seed);
        let n = [1, 2, 3, 17, 100, 600, 3000][(random(seed, 9) % 7) as usize];
        let logits = noise(n, seed, false);
        assert_eq!(
            kept(&logits, &config),
            reference(&logits, &config),
            "{n} logits, seed {seed}, {config:?}"
        );
    }
}

/// With equal logits the ids decide. Typical: two logits at equal distances from the mean are equal to neither arithmetic.
#[test]
fn candidates_among_equals_are_those_of_the_reference() {
    for seed in 0..1000 {
        let config = options(seed).with_typical_p(1.0);
        let n = [2, 17, 100, 600][(random(seed, 9) % 4) as usize];
        let logits = noise(n, seed, true);
        assert_eq!(
            kept(&logits, &config),
            reference(&logits, &config),
            "{n} logits, seed {seed}, {config:?}"
        );
    }
    let equal = [1.5; 100];
    for (p, ids) in [(0.125, 13), (0.25, 25), (0.5, 50), (0.999, 100)] {
        let first: Vec<u32> = (0..ids).collect();
        assert_eq!(kept(&equal, &GenerationConfig::default().with_top_k(0).with_top_p(p)), first);
        assert_eq!(kept(&equal, &GenerationConfig::default().with_top_k(0).with_typical_p(p)), first);
    }
}

#[test]
fn a_draw_is_one_of_the_candidates_and_not_always_the_same() {
    for seed in 0..300 {
        let config = options(seed);
        let logits = noise(200, seed, seed % 2 == 0);
        let kept = kept(&logits, &config);
        let drawn: Vec<u32> = (0..50).map(|n| sample(&logits, &config, n).unwrap()).collect();
        assert!(!kept.is_empty() && drawn.iter().all(|id| kept.contains(id)), "{config:?}");
    }
}

/// `p(chi-square > bound) = 0.001` by the degrees of freedom (Wilson and Hilferty).
fn chi_bound(freedom: usize) -> f64 {
    let k = freedom as f64;
    k * (1.0 - 2.0 / (9.0 * k) + 3.09 * (2.0 / (9.0 * k)).sqrt()).powi(3)
}

#[test]
fn draws_follow_the_distribution_of_what_is_left() {
    let logits: Vec<f32> = (0..24).map(|i| ((i * 7) % 24) as f32 * 0.15).collect();
    let context = [3, 5, 3, 9];
    let plain = GenerationConfig::default().with_top_k(0).with_temperature(1.0).with_seed(11);
    for config in [
        plain.clone(),
        plain.clone().with_temperature(0.6),
        plain.clone().with_temperature(2.5),
        plain.clone().with_top_k(6),
        plain.clone().with_top_p(0.7),
        plain.clone().with_min_p(0.3),
        plain.clone().with_typical_p(0.6),
        plain.clone().with_repetition_penalty(1.5),
        plain.clone().with_frequency_penalty(0.5).with_presence_penalty(0.4),
        plain.clone().with_logit_bias(&[(0, 2.0), (23, -1.0)]).unwrap(),
        plain.with_top_k(20).with_typical_p(0.9).with_top_p(0.9).with_min_p(0.1).with_temperature(1.3),
    ] {
        let mut changed = logits.clone();
        penalize(&mut changed, &context, &config).unwrap();
        let ids = reference(&changed, &config);
        let weight = |id: &u32| (f64::from(changed[*id as usize]) / f64::from(config.temperature)).exp();
        let (all, n) = (ids.iter().map(weight).sum::<f64>(), 60_000u64);
        let mut counts = [0u64; 24];
        (0..n).for_each(|i| counts[sample(&changed, &config, i).unwrap() as usize] += 1);
        assert_eq!(ids.iter().map(|id| counts[*id as usize]).sum::<u64>(), n);
        let chi: f64 = ids
            .iter()
            .map(|id| {
                let expected = weight(id) / all * n as f64;
                (counts[*id as usize] as f64 - expected).powi(2) / expected
            })
            .sum();
        assert!(chi < chi_bound(ids.len() - 1), "chi-square {chi} of {} candidates, {config:?}", ids.len());
    }
}

#[test]
fn the_smallest_of_every_filter_is_greedy() {
    for seed in 0..200 {
        let logits = noise(300, seed, seed % 2 == 0);
        let greedy = sample(&logits, &GenerationConfig::greedy(), 0);
        let plain = GenerationConfig::default().with_top_k(0).with_seed(seed);
        assert_eq!(sample(&logits, &plain.clone().with_top_k(1), 3), greedy);
        if seed % 2 == 1 {
            assert_eq!(sample(&logits, &plain.clone().with_top_p(1e-6), 3), greedy);
            assert_eq!(sample(&logits, &plain.clone().with_min_p(1.0), 3), greedy);
        }
        // Filters that keep all change nothing but what has no weight at temperature 1.
        let low = plain.with_temperature(0.5);
        assert_eq!(sample(&logits, &low.clone().with_min_p(1e-9), 3), sample(&logits, &low, 3));
    }
}

#[test]
fn extremes_have_a_token_and_what_is_not_finite_an_error() {
    let max = f32::MAX;
    for logits in
        [&[0.0][..], &[max, -max], &[-max, max, max], &[1e-45, -1e-45, 0.0], &[-max; 40], &[max; 40]]
    {
        for seed in 0..200 {
            let id = sample(logits, &options(seed), seed).unwrap();
            assert!((id as usize) < logits.len());
            for temperature in [1e-45, f32::MIN_POSITIVE, 1.0, MAX_TEMPERATURE] {
                let id = sample(logits, &options(seed).with_temperature(temperature), seed).unwrap();
                assert!((id as usize) < logits.len());
            }
        }
    }
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in 0..20 {
            let mut logits = [0.5; 20];
            logits[at] = bad;
            assert!(sample(&logits, &GenerationConfig::greedy(), 0).is_err());
            assert!(sample(&logits, &GenerationConfig::balanced(), 0).is_err());
        }
    }
    assert!(sample(&[], &GenerationConfig::default(), 0).is_err());
}

#[test]
fn penalties_are_those_of_a_reference_in_order() {
    let config = GenerationConfig::default()
        .with_repetition_penalty(1.25)
        .with_frequency_penalty(0.5)
        .with_presence_penalty(-0.25)
        .with_penalty_window(5)
        .with_logit_bias(&[(2, 1.0), (2, 0.5), (99, 1.0)])
        .unwrap();
    // Token 1 is outside the window; token 77 has no logit.
    let context = [1, 1, 2, 0, 2, 77, 2];
    let mut logits = [-2.0, 1.0, 2.25, 3.0];
    penalize(&mut logits, &context, &config).unwrap();
    assert_eq!(logits, [-2.0 * 1.25 - 0.25, 1.0, 3.75 / 1.25 - 1.25, 3.0]);
    let mut same = [-2.0, 1.0];
    penalize(&mut same, &context, &config.clone().with_penalty_window(0)).unwrap();
    assert_eq!(same, [-2.0, 1.0]);
    assert!(penalize(&mut [f32::MAX], &[0], &config.with_repetition_penalty(0.5)).is_err());
}
