//! Comparing, counting, reporting.

use core::fmt;

use super::Effort;
use super::operands::{Pattern, Source};
use crate::Error;

/// A case in which a backend differs from the definition.
///
/// ```
/// use bitnet_edge_kernels::conformance::{Difference, Failure, Pattern};
/// let difference = Difference::Bits { output: "y", at: 7, expected: 0x3f80_0000, found: 0x3f80_0001 };
/// let failure = Failure { kernel: "rms_norm", pattern: Pattern::Tiny, sizes: [17, 0, 0], difference };
/// assert_eq!(failure.to_string(), "rms_norm [17, 0, 0] Tiny: y[7] is 3f800001 and must be 3f800000");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The method.
    pub kernel: &'static str,
    /// What the operands were.
    pub pattern: Pattern,
    /// Their sizes: columns, tokens, row tiles of a product; elements of a vector; head width and positions of attention.
    pub sizes: [usize; 3],
    /// What is different. The first difference of each output is reported.
    pub difference: Difference,
}

/// How a result differs.
///
/// ```
/// use bitnet_edge_kernels::{Error, conformance::Difference};
/// let missed = Difference::Result { expected: Some(Error::NonFinite), found: None };
/// assert_eq!(missed.to_string(), "Ok where it must be an error (a value is NaN or infinite (damaged weights?))");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// An element of an output.
    Bits {
        /// The output.
        output: &'static str,
        /// Index of the element.
        at: usize,
        /// Its bits in the definition.
        expected: u32,
        /// Its bits in the backend.
        found: u32,
    },
    /// An error in one and none, or another one, in the other.
    Result {
        /// The definition's error.
        expected: Option<Error>,
        /// The backend's error.
        found: Option<Error>,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bits { output, at, expected, found } => {
                write!(f, "{output}[{at}] is {found:08x} and must be {expected:08x}")
            }
            Self::Result { expected: Some(e), found: None } => {
                write!(f, "Ok where it must be an error ({e})")
            }
            Self::Result { expected: None, found: Some(e) } => {
                write!(f, "an error where there is none ({e})")
            }
            Self::Result { .. } => f.write_str("another error than the definition's"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?}: {}", self.kernel, self.sizes, self.pattern, self.difference)
    }
}

/// What was run.
///
/// ```
/// use bitnet_edge_kernels::conformance::Summary;
/// assert!(!Summary { cases: 10, skipped: 0, failures: 1 }.passed());
/// assert!(!Summary::default().passed()); // nothing was run
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Cases that were run.
    pub cases: u32,
    /// Cases that the effort has no memory for.
    pub skipped: u32,
    /// Differences found.
    pub failures: u32,
}

impl Summary {
    /// Whether cases were run and all were right.
    ///
    /// ```
    /// use bitnet_edge_kernels::conformance::Summary;
    /// assert!(Summary { cases: 10, skipped: 2, failures: 0 }.passed());
    /// assert!(!Summary { cases: 0, skipped: 2, failures: 0 }.passed()); // nothing was compared
    /// ```
    pub const fn passed(&self) -> bool {
        self.cases > 0 && self.failures == 0
    }
}

/// A value as its bits.
pub(super) trait Bits: Copy {
    fn bits(self) -> u32;
    fn is_nan(self) -> bool {
        false
    }
}

impl Bits for f32 {
    fn bits(self) -> u32 {
        self.to_bits()
    }
    fn is_nan(self) -> bool {
        Self::is_nan(self)
    }
}

/// f16 bits: `Kernels` has no other u16.
impl Bits for u16 {
    fn bits(self) -> u32 {
        u32::from(self)
    }
    fn is_nan(self) -> bool {
        self & 0x7fff > 0x7c00
    }
}

impl Bits for i8 {
    fn bits(self) -> u32 {
        i32::from(self) as u32
    }
}

impl Bits for i32 {
    fn bits(self) -> u32 {
        self as u32
    }
}

/// One run.
pub(super) struct Check<'r> {
    effort: Effort,
    summary: Summary,
    report: &'r mut dyn FnMut(&Failure),
    between: &'r mut dyn FnMut(),
    kernel: &'static str,
    pattern: Pattern,
    sizes: [usize; 3],
}

impl<'r> Check<'r> {
    pub(super) fn new(
        effort: Effort,
        report: &'r mut dyn FnMut(&Failure),
        between: &'r mut dyn FnMut(),
    ) -> Self {
        let summary = Summary::default();
        Self { effort, summary, report, between, kernel: "", pattern: Pattern::Plain, sizes: [0; 3] }
    }

    pub(super) const fn summary(&self) -> Summary {
        self.summary
    }

    pub(super) const fn effort(&self) -> Effort {
        self.effort
    }

    /// Patterns of valid operands for this effort.
    pub(super) const fn patterns(&self) -> &'static [Pattern] {
        match self.effort {
            Effort::Boot => &[Pattern::Plain, Pattern::Tiny, Pattern::Extreme],
            Effort::Full => &Pattern::VALID,
        }
    }

    /// Begins a case; its operands come from the source.
    pub(super) fn begin(&mut self, kernel: &'static str, sizes: [usize; 3], pattern: Pattern) -> Source {
        (self.between)();
        (self.kernel, self.sizes, self.pattern) = (kernel, sizes, pattern);
        self.summary.cases = self.summary.cases.saturating_add(1);
        Source::new(sizes, pattern)
    }

    /// The case that was begun last did not fit the memory.
    pub(super) fn skip(&mut self) {
        self.summary.cases = self.summary.cases.saturating_sub(1);
        self.summary.skipped = self.summary.skipped.saturating_add(1);
    }

    fn fail(&mut self, difference: Difference) {
        self.summary.failures = self.summary.failures.saturating_add(1);
        let Self { kernel, pattern, sizes, .. } = *self;
        (self.report)(&Failure { kernel, pattern, sizes, difference });
    }

    /// Compares what two calls returned. True if both succeeded, so that the outputs are to be compared.
    pub(super) fn results(&mut self, expected: Result<(), Error>, found: Result<(), Error>) -> bool {
        let (expected, found) = (expected.err(), found.err());
        let same = match (expected, found) {
            (None, None) => true,
            // A value that is not finite has an error of its own; whose operand does not fit has any of the others.
            (Some(e), Some(f)) => (e == Error::NonFinite) == (f == Error::NonFinite),
            _ => false,
        };
        if !same {
            self.fail(Difference::Result { expected, found });
        }
        same && expected.is_none()
    }

    /// Compares an output; reports the first difference.
    pub(super) fn output<T: Bits>(&mut self, output: &'static str, expected: &[T], found: &[T]) {
        self.element(output, first_difference(expected, found));
    }

    /// Reports an element that is different: where, what it must be, what it is.
    pub(super) fn element<T: Bits>(&mut self, output: &'static str, different: Option<(usize, T, T)>) {
        if let Some((at, expected, found)) = different {
            self.fail(Difference::Bits { output, at, expected: expected.bits(), found: found.bits() });
        }
    }
}

/// The first element that is different. NaNs are not, whatever their payload.
pub(super) fn first_difference<T: Bits>(expected: &[T], found: &[T]) -> Option<(usize, T, T)> {
    let mut pairs = expected.iter().zip(found).enumerate();
    let (at, (&expected, &found)) =
        pairs.find(|(_, (e, f))| e.bits() != f.bits() && !(e.is_nan() && f.is_nan()))?;
    Some((at, expected, found))
}
