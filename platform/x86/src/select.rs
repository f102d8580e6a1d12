//! Which tier to use: what `--backend` and `BITNET_BACKEND` say.

use std::fmt;

use bitnet_edge_kernels::{Kernels, Scalar};

use crate::Host;
#[cfg(target_arch = "x86_64")]
use crate::{Amx, Avx2, Avx512Vnni, AvxVnni, Sse41};

/// A tier by name: its token, or what this machine lacks.
type Probe = fn() -> Result<Host, &'static str>;

/// Every tier, the one to prefer first.
#[cfg(target_arch = "x86_64")]
const TIERS: &[(&str, Probe)] = &[
    ("amx", || Amx::probe().map(Host::Amx)),
    ("avx512-vnni", || Avx512Vnni::probe().map(Host::Avx512Vnni)),
    ("avx-vnni", || AvxVnni::probe().map(Host::AvxVnni)),
    ("avx2", || Avx2::probe().map(Host::Avx2)),
    ("sse4.1", || Sse41::probe().map(Host::Sse41)),
    ("scalar", || Ok(Host::Scalar(Scalar))),
];

/// Every tier, the one to prefer first.
#[cfg(not(target_arch = "x86_64"))]
const TIERS: &[(&str, Probe)] = &[("scalar", || Ok(Host::Scalar(Scalar)))];

/// Why no backend could be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// No tier has this name.
    Unknown(String),
    /// This machine cannot run the tier: the name, and what is missing.
    NotAvailable(&'static str, &'static str),
    /// Two tiers are forced, or one is forced and others forbidden. The two terms.
    Conflict(String, String),
    /// All that this machine can run is forbidden.
    NothingLeft,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                write!(f, "there is no backend `{name}`; known are auto")?;
                TIERS.iter().try_for_each(|(name, _)| write!(f, ", {name}"))
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

impl std::error::Error for Error {}

/// The backend that was chosen, and why: what a program prints and a receipt keeps.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The backend.
    pub backend: Host,
    /// What was asked for, if anything was.
    pub asked: Option<String>,
    /// Why it is this one, in words.
    pub why: String,
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.backend.name(), self.why)
    }
}

impl PartialEq for Host {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Host {}

impl Host {
    /// The names of all tiers, whether this machine has them or not, the one to prefer first.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TIERS.iter().map(|&(name, _)| name)
    }

    /// The tiers of this machine, the one to prefer first; the scalar definition is the last.
    #[must_use]
    pub fn available() -> Vec<Self> {
        TIERS.iter().filter_map(|(_, probe)| probe().ok()).collect()
    }

    /// The tier to prefer on this machine.
    #[must_use]
    pub fn best() -> Self {
        TIERS.iter().find_map(|(_, probe)| probe().ok()).unwrap_or(Self::Scalar(Scalar))
    }

    /// The tier with this name.
    ///
    /// # Errors
    /// [`Error::Unknown`] lists the names that there are, [`Error::NotAvailable`] says what this machine lacks.
    pub fn by_name(name: &str) -> Result<Self, Error> {
        let &(name, probe) =
            TIERS.iter().find(|(known, _)| *known == name).ok_or_else(|| Error::Unknown(name.to_owned()))?;
        probe().map_err(|missing| Error::NotAvailable(name, missing))
    }

    /// The tier that a specification asks for, as `--backend` and `BITNET_BACKEND` give it.
    ///
    /// A name forces that tier; `-name` and `no-name` forbid one, several with commas between; `auto`, nothing, and
    /// an empty text are the best tier of this machine. Nothing is chosen in silence: what was forced and cannot run is
    /// an error.
    ///
    /// ```
    /// use bitnet_edge_x86::{Error, Host};
    /// let best = Host::select(None)?;
    /// let other = Host::select(Some(&format!("-{}", bitnet_edge_kernels::Kernels::name(&best.backend))));
    /// assert!(other.is_ok_and(|other| other.backend != best.backend) || best.backend == Host::by_name("scalar")?);
    /// assert_eq!(Host::select(Some("mmx")).unwrap_err(), Error::Unknown("mmx".to_owned()));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`by_name`](Self::by_name); [`Error::Conflict`], [`Error::NothingLeft`].
    pub fn select(spec: Option<&str>) -> Result<Selection, Error> {
        let asked = spec.map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned);
        let terms = asked.as_deref().unwrap_or("").split(',').map(str::trim);
        let mut forced: Option<&str> = None;
        let mut forbidden = Vec::new();
        for term in terms.filter(|term| !term.is_empty()) {
            let name = term.strip_prefix('-').or_else(|| term.strip_prefix("no-"));
            if let Some(name) = name {
                if !Self::names().any(|known| known == name) {
                    return Err(Error::Unknown(name.to_owned()));
                }
                forbidden.push(name);
            } else if let Some(before) = forced.filter(|&before| before != term) {
                return Err(Error::Conflict(before.to_owned(), term.to_owned()));
            } else {
                forced = Some(term);
            }
        }
        match (forced.filter(|&name| name != "auto"), forbidden.first()) {
            (Some(name), Some(no)) => Err(Error::Conflict(name.to_owned(), format!("-{no}"))),
            (Some(name), None) => {
                Ok(Selection { backend: Self::by_name(name)?, asked, why: "asked for".to_owned() })
            }
            (None, _) => {
                let (backend, why) = Self::best_without(&forbidden)?;
                Ok(Selection { backend, asked, why })
            }
        }
    }

    fn best_without(forbidden: &[&str]) -> Result<(Self, String), Error> {
        let mut passed_over = Vec::new();
        for &(name, probe) in TIERS {
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
        Err(Error::NothingLeft)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(spec: &str) -> Result<&'static str, Error> {
        Host::select(Some(spec)).map(|s| s.backend.name())
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
        assert_eq!(name(&format!("{},no-scalar", all.join(","))), Err(Error::NothingLeft));
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
                let Error::NotAvailable(_, missing) = &error else { panic!("{error}") };
                assert!(!missing.is_empty() && error.to_string().contains(missing));
            }
        }
        assert_eq!(name("-mmx"), Err(Error::Unknown("mmx".to_owned())));
        assert!(matches!(name("scalar,avx2"), Err(Error::Conflict(..))));
        assert!(matches!(name("scalar,-avx2"), Err(Error::Conflict(..))));
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
