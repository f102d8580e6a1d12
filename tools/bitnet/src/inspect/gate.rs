//! Statistics against rules.

use serde::Serialize;

use super::policy::{Rule, Set, is_type};
use super::stats::Stats;

/// What a gate found.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Outcome {
    /// The set of rules.
    pub(super) set: String,
    /// Tensors that a rule of the set is for.
    pub(super) checked: usize,
    /// Tensors that none is for.
    pub(super) unchecked: usize,
    pub(super) violations: Vec<Violation>,
}

/// A rule that a tensor does not keep.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Violation {
    /// As the file calls it.
    pub(super) tensor: String,
    /// What is wrong: `rms`, `zeros`, `scale`, `stored`, `data`.
    pub(super) what: &'static str,
    pub(super) found: String,
    pub(super) allowed: String,
    pub(super) rule: String,
}

/// Checks every tensor against the first rule of the set that it fits.
pub(super) fn check(set: &Set, tensors: &[Stats]) -> Outcome {
    let mut outcome = Outcome { set: set.name.clone(), checked: 0, unchecked: 0, violations: Vec::new() };
    for tensor in tensors {
        if let Some(problem) = &tensor.numbers.problem {
            // Whatever the rules say, numbers are needed.
            outcome.violations.push(Violation {
                tensor: tensor.name.clone(),
                what: "data",
                found: problem.clone(),
                allowed: "weights that can be read".to_owned(),
                rule: "every gate".to_owned(),
            });
        }
        match set.rule_for(tensor) {
            Some(rule) => {
                outcome.checked += 1;
                check_tensor(rule, tensor, &mut outcome.violations);
            }
            None => outcome.unchecked += 1,
        }
    }
    outcome
}

fn check_tensor(rule: &Rule, tensor: &Stats, violations: &mut Vec<Violation>) {
    let mut violated = |what, found: String, allowed: String| {
        let (tensor, rule) = (tensor.name.clone(), rule.label());
        violations.push(Violation { tensor, what, found, allowed, rule });
    };
    if let Some(stored) = &rule.stored
        && !is_type(stored, &tensor.ty, tensor.class)
    {
        violated("stored", tensor.ty.clone(), stored.join(", "));
    }
    let numbers = &tensor.numbers;
    let scales = numbers.scale.map(|scale| [scale.min, scale.max]);
    let of_one = |value: Option<f64>| value.map(|value| [value, value]);
    for (what, found, allowed) in [
        ("rms", of_one(numbers.rms), rule.rms),
        ("zeros", of_one(numbers.zeros), rule.zeros),
        ("scale", scales, rule.scale),
    ] {
        // What a tensor does not have, a float one a scale, is not checked: `stored` can ask for a type that has it.
        let (Some([min, max]), Some([least, most])) = (found, allowed) else { continue };
        // Not the other way around: a NaN is not within.
        let within = |value: f64| value >= least && value <= most;
        if !(within(min) && within(max)) {
            let found = if within(max) { min } else { max };
            violated(what, number(found), format!("{} to {}", number(least), number(most)));
        }
    }
}

/// A number in few digits, however small.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() || (1e-3..1e6).contains(&value.abs()) {
        let digits = format!("{value:.5}");
        let short = digits.trim_end_matches('0').trim_end_matches('.');
        return if digits.contains('.') { short.to_owned() } else { digits };
    }
    format!("{value:.3e}")
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.25, "0.25"),
            (-1.5, "-1.5"),
            (0.123_456_7, "0.12346"),
            (1e-6, "1.000e-6"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
            (100.0, "100"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
