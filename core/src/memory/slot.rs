//! Typed ranges of the arena.

use core::marker::PhantomData;
use core::ops::Range;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Error;

/// 64 bytes of arena. An arena is a slice of lines, so that it is aligned by its type.
///
/// ```
/// use bitnet_edge_core::Line;
/// static mut ARENA: [Line; 1024] = [Line::ZERO; 1024]; // 64 KiB
/// assert_eq!(size_of::<Line>(), 64);
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, align(64))]
pub struct Line([u8; 64]);

impl Line {
    /// A line of zeros.
    ///
    /// ```
    /// static mut ARENA: [bitnet_edge_core::Line; 512] = [bitnet_edge_core::Line::ZERO; 512]; // in .bss
    /// ```
    pub const ZERO: Self = Self([0; 64]);

    /// Lines that hold this many bytes.
    ///
    /// ```
    /// use bitnet_edge_core::Line;
    /// assert_eq!((Line::count(0), Line::count(64), Line::count(65)), (0, 1, 2));
    /// ```
    pub const fn count(bytes: usize) -> usize {
        bytes.div_ceil(64)
    }
}

/// A typed range of the arena: what the plan hands out, and what an operation names its operands by.
///
/// A CPU resolves it to a slice, a GPU to base plus offset.
///
/// ```
/// use bitnet_edge_core::Slot;
/// let slot = Slot::<f32>::at(64, 16);
/// assert_eq!((slot.bytes(), slot.len()), (64..128, 16));
/// ```
pub struct Slot<T> {
    at: usize,
    /// Behind the last byte.
    end: usize,
    element: PhantomData<fn() -> T>,
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slot<T> {}

impl<T> core::fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Slot({}..{})", self.at, self.bytes().end)
    }
}

impl<T> PartialEq for Slot<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.end) == (other.at, other.end)
    }
}

impl<T> Eq for Slot<T> {}

impl<T> Slot<T> {
    /// `len` elements from byte `at` of the arena, a multiple of 64; fewer if there are no addresses for them all.
    ///
    /// ```
    /// use bitnet_edge_core::Slot;
    /// const LOGITS: Slot<f32> = Slot::at(128, 10);
    /// assert_eq!(LOGITS.bytes(), 128..168);
    /// ```
    pub const fn at(at: usize, len: usize) -> Self {
        Self { at, end: at.saturating_add(len.saturating_mul(size_of::<T>())), element: PhantomData }
    }

    /// Elements `from .. from + len` of this slot; `None` beyond it. Only the whole slot starts at a multiple of 64.
    ///
    /// ```
    /// use bitnet_edge_core::Slot;
    /// assert_eq!(Slot::<u32>::at(64, 16).part(4, 2).map(|s| s.bytes()), Some(80..88));
    /// assert_eq!(Slot::<u32>::at(64, 16).part(4, 13), None);
    /// ```
    pub const fn part(&self, from: usize, len: usize) -> Option<Self> {
        match from.checked_add(len) {
            Some(end) if end <= self.len() => {
                Some(Self::at(self.at.saturating_add(from.saturating_mul(size_of::<T>())), len))
            }
            _ => None,
        }
    }

    /// Elements.
    ///
    /// ```
    /// use bitnet_edge_core::Slot;
    /// assert_eq!(Slot::<u16>::at(0, 3).len(), 3); // elements, not bytes
    /// ```
    pub const fn len(&self) -> usize {
        match size_of::<T>() {
            0 => 0,
            size => (self.end - self.at) / size,
        }
    }

    /// Whether it has no element.
    ///
    /// ```
    /// use bitnet_edge_core::Slot;
    /// assert!(Slot::<u8>::at(64, 0).is_empty());
    /// ```
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The range of bytes in the arena.
    ///
    /// ```
    /// use bitnet_edge_core::Slot;
    /// assert_eq!(Slot::<u16>::at(64, 3).bytes(), 64..70);
    /// ```
    pub const fn bytes(&self) -> Range<usize> {
        self.at..self.end
    }
}

/// What a resolved slot that does not fit means: a plan for another arena.
pub(crate) const MISFIT: Error =
    Error::Kernel(bitnet_edge_kernels::Error::Operand("a slot lies outside the arena"));

/// The bytes of several slots at once.
pub(crate) fn disjoint<const N: usize>(
    arena: &mut [u8],
    ranges: [Range<usize>; N],
) -> Result<[&mut [u8]; N], Error> {
    arena.get_disjoint_mut(ranges).map_err(|_| MISFIT)
}

/// Bytes of the arena as elements.
pub(crate) fn typed<T: FromBytes + IntoBytes + KnownLayout + Immutable>(
    bytes: &mut [u8],
) -> Result<&mut [T], Error>
where
    [T]: FromBytes + IntoBytes + KnownLayout<PointerMetadata = usize>,
{
    <[T]>::mut_from_bytes(bytes).map_err(|_| MISFIT)
}
