//! A set of token ids that is asked for every sampled token.

use heapless::Vec;

use super::MAX_STOP_TOKENS;
use crate::Error;

/// Token ids that end a generation: up to [`MAX_STOP_TOKENS`] of them, without a heap.
///
/// [`contains`](Self::contains) takes the same time for one id and for 64: an open-addressed table of 256 slots, of which
/// at most a quarter is taken, so that nearly every id of a vocabulary is told from them by one load. (A build without
/// the feature `full` compares its few ids one by one, in a few instructions of flash.)
///
/// ```
/// use bitnet_edge_core::generate::StopSet;
/// let set = StopSet::new(&[2, 128_009, 128_001])?;
/// assert!(set.contains(128_009) && !set.contains(3));
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone)]
pub struct StopSet {
    ids: Vec<u32, MAX_STOP_TOKENS>,
    /// Of each slot: one more than the index of its id, or 0. An id lies at its hash, or in the first free slot behind.
    #[cfg(feature = "full")]
    slots: [u8; 256],
}

impl StopSet {
    /// A set without ids.
    ///
    /// ```
    /// use bitnet_edge_core::generate::StopSet;
    /// const NONE: StopSet = StopSet::empty();
    /// assert!(NONE.is_empty() && !NONE.contains(0));
    /// ```
    pub const fn empty() -> Self {
        Self {
            ids: Vec::new(),
            #[cfg(feature = "full")]
            slots: [0; 256],
        }
    }

    /// A set of these ids. One that comes twice is there once.
    ///
    /// # Errors
    /// [`Error::PlanOption`] for more than [`MAX_STOP_TOKENS`].
    ///
    /// ```
    /// use bitnet_edge_core::{Error, generate::{MAX_STOP_TOKENS, StopSet}};
    /// assert_eq!(StopSet::new(&[7, 5, 7])?.as_slice(), [7, 5]);
    /// let many: Vec<u32> = (0..=MAX_STOP_TOKENS as u32).collect();
    /// assert!(matches!(StopSet::new(&many), Err(Error::PlanOption(_))));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new(ids: &[u32]) -> Result<Self, Error> {
        let mut set = Self::empty();
        for &id in ids {
            set.insert(id)?;
        }
        Ok(set)
    }

    /// Adds an id. One that is there already changes nothing.
    ///
    /// # Errors
    /// [`Error::PlanOption`] if there are [`MAX_STOP_TOKENS`] others.
    ///
    /// ```
    /// let mut set = bitnet_edge_core::generate::StopSet::empty();
    /// set.insert(50_256)?;
    /// assert!(set.contains(50_256));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn insert(&mut self, id: u32) -> Result<(), Error> {
        if self.contains(id) {
            return Ok(());
        }
        self.ids
            .push(id)
            .map_err(|_| Error::PlanOption("there are more stop tokens than a configuration takes"))?;
        #[cfg(feature = "full")]
        {
            let mut slot = hash(id);
            while self.slot(slot) != 0 {
                slot = slot.wrapping_add(1);
            }
            if let Some(free) = self.slots.get_mut(usize::from(slot)) {
                *free = self.ids.len() as u8;
            }
        }
        Ok(())
    }

    /// Whether `id` is in the set.
    ///
    /// ```
    /// let set = bitnet_edge_core::generate::StopSet::new(&[1, 257, 513])?;
    /// assert_eq!((0..1000).filter(|&id| set.contains(id)).collect::<Vec<_>>(), [1, 257, 513]);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    #[inline]
    pub fn contains(&self, id: u32) -> bool {
        #[cfg(feature = "full")]
        {
            // It ends: three quarters of the slots are free.
            let mut slot = hash(id);
            loop {
                let Some(index) = self.slot(slot).checked_sub(1) else { return false };
                if self.ids.get(usize::from(index)) == Some(&id) {
                    return true;
                }
                slot = slot.wrapping_add(1);
            }
        }
        #[cfg(not(feature = "full"))]
        self.ids.contains(&id)
    }

    /// The ids, in the order in which they were added.
    ///
    /// ```
    /// let set = bitnet_edge_core::generate::StopSet::new(&[9, 3])?;
    /// assert_eq!(set.as_slice(), [9, 3]);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn as_slice(&self) -> &[u32] {
        &self.ids
    }

    /// How many ids there are.
    ///
    /// ```
    /// assert_eq!(bitnet_edge_core::generate::StopSet::new(&[9, 3])?.len(), 2);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    ///
    /// ```
    /// assert!(bitnet_edge_core::generate::StopSet::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    #[cfg(feature = "full")]
    fn slot(&self, slot: u8) -> u8 {
        self.slots.get(usize::from(slot)).copied().unwrap_or(0)
    }
}

/// The slot where the search for an id begins. Special tokens are neighbours in a vocabulary: multiplied by the golden
/// ratio, neighbours and equal steps are spread evenly.
#[cfg(feature = "full")]
const fn hash(id: u32) -> u8 {
    (id.wrapping_mul(0x9e37_79b9) >> 24) as u8
}

impl Default for StopSet {
    fn default() -> Self {
        Self::empty()
    }
}

impl core::fmt::Debug for StopSet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_set().entries(&self.ids).finish()
    }
}

/// Two sets are equal if they have the same ids in the same order: a configuration is written and read as a list.
impl PartialEq for StopSet {
    fn eq(&self, other: &Self) -> bool {
        self.ids == other.ids
    }
}

#[cfg(all(test, feature = "full"))]
mod tests {
    use std::collections::HashSet;
    use std::vec::Vec;

    use super::super::random;
    use super::*;

    /// Sets of every size up to the largest, of neighbours, of equal steps, and of ids all over the vocabulary.
    #[test]
    fn ids_are_those_of_a_hash_set() {
        for count in 0..=MAX_STOP_TOKENS as u64 {
            for (kind, step) in [(0, 1), (1, 256), (2, 4096), (3, 0)] {
                let ids: Vec<u32> = (0..count)
                    .map(
                        |i| if kind == 3 { random(count, i) as u32 >> 14 } else { 128_000 + step * i as u32 },
                    )
                    .collect();
                let (set, expected) =
                    (StopSet::new(&ids).unwrap(), ids.iter().copied().collect::<HashSet<_>>());
                assert_eq!(set.len(), expected.len());
                let asked = (0..4000).map(|i| random(7, i) as u32 >> 14);
                for id in asked.chain(ids.iter().copied()).chain(ids.iter().map(|id| id + 1)) {
                    assert_eq!(set.contains(id), expected.contains(&id), "{id} of {ids:?}");
                }
            }
        }
    }

    /// The worst there is: every id hashes to one slot, the last of the table.
    #[test]
    fn ids_of_one_slot_are_told_apart() {
        let mut same = (0u32..).filter(|&id| hash(id) == 255);
        let ids: Vec<u32> = same.by_ref().take(MAX_STOP_TOKENS).collect();
        let set = StopSet::new(&ids).unwrap();
        assert!(ids.iter().all(|&id| set.contains(id)));
        assert!(same.take(100).all(|id| !set.contains(id)));
        assert_eq!(set.clone(), set);
    }

    #[test]
    fn a_full_set_refuses_one_more_and_takes_its_own() {
        let ids: Vec<u32> = (0..MAX_STOP_TOKENS as u32).collect();
        let mut set = StopSet::new(&ids).unwrap();
        assert!(set.insert(1 << 20).is_err());
        assert!(!set.contains(1 << 20));
        set.insert(5).unwrap();
        assert_eq!(set.as_slice(), ids);
    }
}
