//! A crew as a way to split operations.

use bitnet_edge_core::Error;
use bitnet_edge_core::model::{Output, Split, Work};
use bitnet_edge_team::{Limits, Sharing, TeamPart};

use super::crew::{Crew, Wait};

/// Multiply-accumulates below which an operation stays on the calling core: of ternary weights, some ten microseconds of a
/// small core, where waking the others takes one.
const SMALL: u64 = 1 << 16;
/// Multiply-accumulates that a part has at least.
const PART: u64 = 1 << 14;

/// A core with those that wait for it: see the [module](super).
pub struct Team<'c, W: Wait> {
    crew: &'c Crew<W>,
    members: u32,
    sharing: Sharing,
}

impl<'c, W: Wait> Team<'c, W> {
    pub(super) const fn new(crew: &'c Crew<W>, members: u32) -> Self {
        Self { crew, members, sharing: Sharing::new(Limits { small: SMALL, part: PART }) }
    }

    /// The team with another limit below which an operation stays on the calling core, in multiply-accumulates. No result
    /// depends on it.
    #[must_use]
    pub fn with_limit(mut self, small: u64) -> Self {
        self.sharing = Sharing::new(Limits { small, part: PART });
        self
    }
}

impl<W: Wait> Drop for Team<'_, W> {
    fn drop(&mut self) {
        self.crew.dismiss();
    }
}

impl<W: Wait> core::fmt::Debug for Team<'_, W> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Team({} cores)", self.threads())
    }
}

impl<W: Wait> Split for Team<'_, W> {
    type Part<'p> = TeamPart<'p>;

    fn threads(&self) -> usize {
        self.members as usize + 1
    }

    fn run<const N: usize, F>(&self, outputs: [Output<'_>; N], work: &Work, f: F) -> Result<(), Error>
    where
        F: for<'p> Fn(&mut TeamPart<'p>) -> Result<(), Error> + Sync,
    {
        self.sharing.run(self.threads(), outputs, work, f, |task| {
            // SAFETY: A crew has one team, which has the number of its members and stays on one core, for it is not `Sync`; and
            // on this core there is one call at a time (`Sharing::run`).
            unsafe { self.crew.run(self.members, task) };
        })
    }
}

#[cfg(test)]
mod tests;
