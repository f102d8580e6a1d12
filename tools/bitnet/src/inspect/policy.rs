//! Rules for the statistics of models, as TOML (docs/inspect.md).

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;

use super::role::Kind;
use super::stats::{Class, Stats};
use super::subject::Subject;

/// The rules of the program.
pub(super) const BUILT_IN: &str = include_str!("rules.toml");

/// Sets of rules, of which a model has to keep one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    #[serde(rename = "set")]
    sets: Vec<Set>,
}

/// The rules for models of certain architectures and types. The first set that a model fits counts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Set {
    pub(super) name: String,
    /// Patterns, one of which `general.architecture` matches.
    #[serde(default = "everything")]
    architectures: Vec<String>,
    /// `ternary`, `block`, `float`, or the name of a type: what most weights of the projections are stored as.
    #[serde(default = "everything")]
    types: Vec<String>,
    #[serde(rename = "rule")]
    pub(super) rules: Vec<Rule>,
}

/// What is allowed of a tensor. The first rule that a tensor fits counts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// Patterns, one of which the tensor's name matches: the runtime's (`3.attn_norm`) or the file's.
    #[serde(default = "everything")]
    tensors: Vec<String>,
    /// What the tensor is for.
    kind: Option<Kind>,
    /// Where the numbers come from, for people.
    #[serde(default)]
    #[allow(dead_code)] // people read it
    source: String,
    /// What the tensor may be stored as, as in a set's `types`.
    pub(super) stored: Option<Vec<String>>,
    /// Smallest and largest RMS.
    pub(super) rms: Option<[f64; 2]>,
    /// Smallest and largest share of zeros.
    pub(super) zeros: Option<[f64; 2]>,
    /// Smallest and largest scale.
    pub(super) scale: Option<[f64; 2]>,
}

fn everything() -> Vec<String> {
    vec!["*".to_owned()]
}

impl Policy {
    /// The rules of the program.
    pub(super) fn built_in() -> Result<Self> {
        Self::parse(BUILT_IN).context("the rules of the program")
    }

    /// Reads rules.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let policy: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            anyhow!("the rules cannot be read: line {line}: {}", error.message())
        })?;
        for set in &policy.sets {
            for rule in &set.rules {
                for (what, range) in [("rms", rule.rms), ("zeros", rule.zeros), ("scale", rule.scale)] {
                    let fits = range.is_none_or(|[least, most]| least <= most);
                    ensure!(
                        fits,
                        "the rules cannot be read: set {:?}, {}: {what} needs a smallest and a largest number",
                        set.name,
                        rule.label()
                    );
                }
            }
        }
        Ok(policy)
    }

    /// The rules for a model.
    pub(super) fn set_for(&self, subject: &Subject<'_>) -> Result<&Set> {
        let (architecture, ty, class) = (subject.architecture.as_str(), subject.ty.as_str(), subject.class);
        let fits =
            |set: &&Set| any_matches(&set.architectures, architecture) && is_type(&set.types, ty, class);
        let Some(set) = self.sets.iter().find(fits) else {
            let names: Vec<&str> = self.sets.iter().map(|set| set.name.as_str()).collect();
            bail!(
                "no set of rules is for architecture {architecture:?} with weights of type {ty}; the sets are {}",
                names.join(", ")
            );
        };
        Ok(set)
    }
}

impl Set {
    /// The rule for a tensor.
    pub(super) fn rule_for(&self, tensor: &Stats) -> Option<&Rule> {
        self.rules.iter().find(|rule| {
            rule.kind.is_none_or(|kind| kind == tensor.kind)
                && [&tensor.role, &tensor.name].iter().any(|name| any_matches(&rule.tensors, name))
        })
    }
}

impl Rule {
    /// What the rule is for, as a violation names it.
    pub(super) fn label(&self) -> String {
        let kind = self.kind.map(|kind| format!("{kind:?} ").to_lowercase()).unwrap_or_default();
        format!("rule {kind}{}", self.tensors.join(", "))
    }
}

/// Whether a type is one of those listed: by its name, or by what it is.
pub(super) fn is_type(listed: &[String], ty: &str, class: Class) -> bool {
    let is = |name: &String| {
        name == "*" || name.eq_ignore_ascii_case(ty) || name.eq_ignore_ascii_case(class.name())
    };
    listed.iter().any(is)
}

fn any_matches(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern.as_bytes(), name.as_bytes()))
}

/// Whether `name` fits `pattern`, in which `*` stands for any text and `?` for one character.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    // Where to go on if what follows the last `*` does not fit: the star takes one byte more.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, n) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_stars_and_question_marks() {
        for (pattern, name) in [
            ("*", ""),
            ("*", "3.q"),
            ("*.q", "3.q"),
            ("?.q", "3.q"),
            ("blk.*.attn_*.weight", "blk.10.attn_q.weight"),
            ("*norm*", "output_norm.weight"),
            ("a*b*c", "abcbc"),
        ] {
            assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in [("", "a"), ("*.q", "3.q_norm"), ("?.q", "13.q"), ("a*b", "ac"), ("abc", "ab")]
        {
            assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }

    #[test]
    fn the_rules_of_the_program_can_be_read_and_say_where_they_come_from() {
        let policy = Policy::built_in().unwrap();
        assert!(policy.sets.iter().flat_map(|set| &set.rules).all(|rule| !rule.source.is_empty()));
        // No model is without rules.
        let last = policy.sets.last().unwrap();
        assert_eq!((&last.architectures, &last.types), (&everything(), &everything()));
    }

    #[test]
    fn what_is_wrong_with_rules_is_said_with_its_line() {
        let wrong = |text: &str| Policy::parse(text).unwrap_err().to_string();
        let line = wrong("[[set]]\nname = \"a\"\nrules = []\n");
        assert!(line.starts_with("the rules cannot be read: line 3: unknown field `rules`"), "{line}");
        let line = wrong("[[set]]\nname = \"a\"\n[[set.rule]]\nkind = \"nrom\"\n");
        assert!(line.contains("line 4: unknown variant `nrom`"), "{line}");
        let line = wrong("[[set]]\nname = \"a\"\n[[set.rule]]\nkind = \"norm\"\nrms = [2.0, 1.0]\n");
        assert_eq!(
            line,
            "the rules cannot be read: set \"a\", rule norm *: rms needs a smallest and a largest number"
        );
        assert!(wrong("[[set]]\nname = \"a\"\n[[set.rule]]\nrms = [nan, 1.0]\n").contains("rms needs"));
    }
}
