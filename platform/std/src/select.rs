//! Which tier to use: what `--backend` and `BITNET_BACKEND` say.

use std::fmt;

use bitnet_edge_kernels::Kernels;

use crate::Host;

/// A tier by name: its backend, or what this machine lacks.
pub type Tier<H> = (&'static str, fn() -> Result<H, &'static str>);

/// Why no backend could be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SelectError {
    /// No tier has this name. The name, and those that there are.
    Unknown(String, Vec<&'static str>),
    /// This machine cannot run the tier: the name, and what is missing.
    NotAvailable(&'static str, &'static str),
    /// Two tiers are forced, or one is forced and others forbidden. The two terms.
    Conflict(String, String),
    /// All that this machine can run is forbidden.
    NothingLeft,
}

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name, known) => {
                write!(f, "there is no backend `{name}`; known are auto, {}", known.join(", "))
            }
            Self::NotAvailable(name, missing) => {
                write!(f, "the backend {name} cannot run on this machine: {missing} is missing")
            }
            Self::Conflict(a, b) => {
                write!(f, "`{a}` and `{b}` contradict each other: name one backend, or those to forbid")
            }
            Self::NothingLeft => f.write_str("every backend that this machine can run is forbidden"),
        }
    }
}

impl std::error::Error for SelectError {}

/// The backend that was chosen, and why: what a program prints and a receipt keeps.
#[derive(Clone, Debug)]
pub struct Selection<H = Host> {
    /// The backend.
    pub backend: H,
    /// What was asked for, if anything was.
    pub asked: Option<String>,
    /// Why it is this one, in words.
    pub why: String,
}

impl<H: Kernels> fmt::Display for Selection<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.backend.name(), self.why)
    }
}

/// A type whose values are the tiers of an architecture, one of them the scalar definition.
///
/// ```
/// use bitnet_edge_kernels::Kernels;
/// use bitnet_edge_std::{Host, Tiers};
/// let selection = Host::select(Some("scalar"))?;
/// assert_eq!(selection.backend.name(), "scalar");
/// assert_eq!(selection.why, "asked for");
/// assert!(Host::available().contains(&Host::best()));
/// # Ok::<(), bitnet_edge_std::SelectError>(())
/// ```
pub trait Tiers: Kernels + Copy + fmt::Debug + PartialEq + 'static {
    /// Every tier, the one to prefer first; the last is the scalar definition, which every machine has.
    const TIERS: &'static [Tier<Self>];

    /// The names of all tiers, whether this machine has them or not, the one to prefer first.
    fn names() -> impl Iterator<Item = &'static str> {
        Self::TIERS.iter().map(|&(name, _)| name)
    }

    /// The tiers of this machine, the one to prefer first; the scalar definition is the last.
    #[must_use]
    fn available() -> Vec<Self> {
        Self::TIERS.iter().filter_map(|(_, probe)| probe().ok()).collect()
    }

    /// The tier to prefer on this machine.
    #[must_use]
    fn best() -> Self {
        let best = Self::TIERS.iter().find_map(|(_, probe)| probe().ok());
        best.expect("every machine has the scalar definition")
    }

    /// The tier with this name.
    ///
    /// # Errors
    /// [`SelectError::Unknown`] lists the names that there are, [`SelectError::NotAvailable`] says what this machine lacks.
    fn by_name(name: &str) -> Result<Self, SelectError> {
        let &(name, probe) =
            Self::TIERS.iter().find(|(known, _)| *known == name).ok_or_else(|| unknown::<Self>(name))?;
        probe().map_err(|missing| SelectError::NotAvailable(name, missing))
    }

    /// The tier that a specification asks for, as `--backend` and `BITNET_BACKEND` give it.
    ///
    /// A name forces that tier; `-name` and `no-name` forbid one, several with commas between; `auto`, nothing, and
    /// an empty text are the best tier of this machine. Nothing is chosen in silence: what was forced and cannot run is
    /// an error.
    ///
    /// ```
    /// use bitnet_edge_std::{Host, SelectError, Tiers};
    /// let best = Host::select(None)?;
    /// let other = Host::select(Some(&format!("-{}", bitnet_edge_kernels::Kernels::name(&best.backend))));
    /// assert!(other.is_ok_and(|other| other.backend != best.backend) || best.backend == Host::by_name("scalar")?);
    /// assert!(matches!(Host::select(Some("mmx")), Err(SelectError::Unknown(..))));
    /// # Ok::<(), SelectError>(())
    /// ```
    ///
    /// # Errors
    /// As [`by_name`](Self::by_name); [`SelectError::Conflict`], [`SelectError::NothingLeft`].
    fn select(spec: Option<&str>) -> Result<Selection<Self>, SelectError> {
        let asked = spec.map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned);
        let terms = asked.as_deref().unwrap_or("").split(',').map(str::trim);
        let mut forced: Option<&str> = None;
        let mut forbidden = Vec::new();
        for term in terms.filter(|term| !term.is_empty()) {
            let name = term.strip_prefix('-').or_else(|| term.strip_prefix("no-"));
            if let Some(name) = name {
                if !Self::names().any(|known| known == name) {
                    return Err(unknown::<Self>(name));
                }
                forbidden.push(name);
            } else if let Some(before) = forced.filter(|&before| before != term) {
                return Err(SelectError::Conflict(before.to_owned(), term.to_owned()));
            } else {
                forced = Some(term);
            }
        }
        match (forced.filter(|&name| name != "auto"), forbidden.first()) {
            (Some(name), Some(no)) => Err(SelectError::Conflict(name.to_owned(), format!("-{no}"))),
            (Some(name), None) => {
                Ok(Selection { backend: Self::by_name(name)?, asked, why: "asked for".to_owned() })
            }
            (None, _) => {
                let (backend, why) = best_without(&forbidden)?;
                Ok(Selection { backend, asked, why })
            }
        }
    }
}

fn unknown<H: Tiers>(name: &str) -> SelectError {
    SelectError::Unknown(name.to_owned(), H::names().collect())
}

fn best_without<H: Tiers>(forbidden: &[&str]) -> Result<(H, String), SelectError> {
    let mut passed_over = Vec::new();
    for &(name, probe) in H::TIERS {
        if forbidden.contains(&name) {
            passed_over.push(format!("{name} forbidden"));
            continue;
        }
        match probe() {
            Ok(backend) if passed_over.is_empty() => {
                return Ok((backend, "the best there is".to_owned()));
            }
            Ok(backend) => {
                return Ok((backend, format!("the best of this machine; {}", passed_over.join(", "))));
            }
            Err(missing) => passed_over.push(format!("{name} needs {missing}")),
        }
    }
    Err(SelectError::NothingLeft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitnet_edge_kernels::simd::Scalar16;

    fn name(spec: &str) -> Result<&'static str, SelectError> {
        Host::select(Some(spec)).map(|s| s.backend.name())
    }

    /// The tiers of a machine that lacks the first.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Example(&'static str);

    impl Kernels for Example {
        type Lanes = Scalar16;

        fn name(&self) -> &'static str {
            self.0
        }
    }

    impl Tiers for Example {
        const TIERS: &'static [Tier<Self>] = &[
            ("new", || Err("a new unit")),
            ("old-unit", || Ok(Self("old-unit"))),
            ("scalar", || Ok(Self("scalar"))),
        ];
    }

    #[test]
    fn every_choice_has_its_reason() {
        let chosen = |spec| Example::select(Some(spec)).map(|selection| selection.to_string());
        let text = |text: &str| Ok(text.to_owned());
        assert_eq!(chosen("auto"), text("old-unit (the best of this machine; new needs a new unit)"));
        assert_eq!(chosen("-new"), text("old-unit (the best of this machine; new forbidden)"));
        assert_eq!(
            chosen("no-old-unit"),
            text("scalar (the best of this machine; new needs a new unit, old-unit forbidden)")
        );
        assert_eq!(chosen("scalar"), text("scalar (asked for)"));
        assert_eq!((Example::best(), Example::available().len()), (Example("old-unit"), 2));
        let refused = |spec| Example::select(Some(spec)).unwrap_err().to_string();
        assert_eq!(refused("new"), "the backend new cannot run on this machine: a new unit is missing");
        assert_eq!(refused("newer"), "there is no backend `newer`; known are auto, new, old-unit, scalar");
        assert_eq!(
            refused("scalar,-new"),
            "`scalar` and `-new` contradict each other: name one backend, or those to forbid"
        );
        assert_eq!(refused("-old-unit,-scalar"), "every backend that this machine can run is forbidden");
    }

    #[test]
    fn a_name_forces_and_signs_forbid() {
        assert_eq!(name("scalar"), Ok("scalar"));
        for best in ["auto", "", " ", "auto,"] {
            assert_eq!(name(best), Ok(Host::best().name()), "{best:?}");
        }
        let all: Vec<String> = Host::names().filter(|&n| n != "scalar").map(|n| format!("-{n}")).collect();
        assert_eq!(name(&all.join(",")), Ok("scalar"));
        assert_eq!(name(&all.join(", ").replace('-', "no-").replace("no-vnni", "-vnni")), Ok("scalar"));
        assert_eq!(name(&format!("{},no-scalar", all.join(","))), Err(SelectError::NothingLeft));
    }

    #[test]
    fn names_are_those_of_the_kernels_and_the_last_is_scalar() {
        let available = Host::available();
        assert_eq!(available.last().map(Kernels::name), Some("scalar"));
        for host in available {
            assert_eq!(Host::by_name(host.name()), Ok(host));
        }
    }

    #[test]
    fn what_cannot_be_is_an_error_with_a_reason() {
        let unknown = Host::by_name("avx1024").unwrap_err().to_string();
        for known in Host::names() {
            assert!(unknown.contains(known), "{unknown}");
            if let Err(error) = Host::by_name(known) {
                let SelectError::NotAvailable(_, missing) = &error else { panic!("{error}") };
                assert!(!missing.is_empty() && error.to_string().contains(missing));
            }
        }
        assert_eq!(name("-mmx"), Err(SelectError::Unknown("mmx".to_owned(), Host::names().collect())));
        assert!(matches!(name("scalar,other"), Err(SelectError::Conflict(..))));
        assert!(matches!(name("scalar,-scalar"), Err(SelectError::Conflict(..))));
    }

    #[test]
    fn the_reason_says_what_was_passed_over() {
        let first = Host::best().name();
        let other = Host::select(Some(&format!("-{first}")));
        if first != "scalar" {
            assert!(other.unwrap().why.contains(&format!("{first} forbidden")));
        }
    }
}
