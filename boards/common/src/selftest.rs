//! The kernels against their definition, before the first token.

use core::fmt::Write as _;

use bitnet_edge_kernels::Kernels;
use bitnet_edge_kernels::conformance::{self, Effort, Failure, Summary};

use crate::{Board, Console, Error};

/// The first of `kernels` that computes what the definition says, bit for bit, in a few cases of every kernel. What is
/// passed over is said, with the kernel's name. The last one should be the definition itself. [`Board::alive`] is called
/// before each case.
///
/// # Errors
/// [`Error::SelfTest`] if none does.
///
/// ```
/// use bitnet_edge_board::{Board, Console, choose};
/// use bitnet_edge_kernels::{Kernels, Scalar};
///
/// struct Screen(Vec<u8>);
/// impl Board for Screen {
///     fn read(&mut self) -> Option<u8> {
///         None
///     }
///     fn write(&mut self, bytes: &[u8]) {
///         self.0.extend_from_slice(bytes);
///     }
///     fn now_us(&mut self) -> u64 {
///         0
///     }
/// }
///
/// let mut screen = Screen(vec![]);
/// let chosen = choose(&[Scalar], &mut Console::new(&mut screen))?;
/// assert_eq!(chosen.name(), "scalar");
/// assert!(screen.0.starts_with(b"self-test: backend scalar is the definition, bit for bit, in "));
/// # Ok::<(), bitnet_edge_board::Error>(())
/// ```
pub fn choose<K: Kernels, B: Board>(kernels: &[K], console: &mut Console<'_, B>) -> Result<K, Error> {
    chosen(kernels, console).map(|chosen| chosen.kernels)
}

/// Kernels that were compared with the definition.
pub(crate) struct Chosen<K> {
    pub(crate) kernels: K,
    /// Cases that were compared.
    pub(crate) cases: u32,
    /// Whether they are those to prefer: none was passed over.
    pub(crate) is_first: bool,
}

/// As [`choose`], with what is known of the choice.
pub(crate) fn chosen<K: Kernels, B: Board>(
    kernels: &[K],
    console: &mut Console<'_, B>,
) -> Result<Chosen<K>, Error> {
    for (at, &candidate) in kernels.iter().enumerate() {
        let (summary, wrong) = compare(candidate, &mut || console.board().alive());
        let name = candidate.name();
        if summary.passed() {
            let cases = summary.cases;
            info!("self-test: backend {=str} passed {=u32} cases", name, cases);
            // Nothing can be done about a console that takes no text.
            let _ = writeln!(
                console,
                "self-test: backend {name} is the definition, bit for bit, in {cases} cases"
            );
            return Ok(Chosen { kernels: candidate, cases, is_first: at == 0 });
        }
        error!("self-test: backend {=str} is wrong in {=u32} cases", name, summary.failures);
        let _ = writeln!(
            console,
            "\n*** SELF-TEST FAILED: backend {name} is wrong in {} cases",
            summary.failures
        );
        if let Some(failure) = wrong {
            let _ = writeln!(console, "*** kernel {failure}");
        }
        if let Some(next) = kernels.get(at.saturating_add(1)) {
            let next = next.name();
            let _ = writeln!(console, "*** falling back to backend {next}: right, and slower\n");
        }
    }
    Err(Error::SelfTest)
}

/// Compares kernels with their definition, with a call of `between` before each case: the counts, and the first case that is
/// wrong.
pub(crate) fn compare<K: Kernels>(kernels: K, between: &mut dyn FnMut()) -> (Summary, Option<Failure>) {
    let mut wrong = None;
    let mut report = |failure: &Failure| {
        wrong.get_or_insert(*failure);
    };
    let mut call = || between();
    let summary = conformance::run_between(kernels, Effort::Boot, &mut report, &mut call);
    (summary, wrong)
}
