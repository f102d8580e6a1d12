//! The queries of one call.

use super::RECORD_HEAD;
use crate::Error;

/// Query heads that attend to the same rows of a KV cache: of some tokens, those that the KV head serves.
///
/// ```
/// use bitnet_edge_kernels::attention::Queries;
/// // Two tokens of three heads, of which the last two are meant.
/// let x: [f32; 6] = [0.0, 1.0, 2.0, 10.0, 11.0, 12.0];
/// let q = Queries { x: &x[1..], stride: 3, tokens: 2, heads: 2, head_dim: 1 };
/// assert_eq!((q.get(1), q.get(2), q.get(4)), (Some(&[2.0][..]), Some(&[11.0][..]), None));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Queries<'a> {
    /// `[tokens][stride]`, of which each row begins with `[heads][head_dim]`; the last row may end there.
    pub x: &'a [f32],
    /// Elements from one token's row to the next.
    pub stride: usize,
    /// Tokens.
    pub tokens: usize,
    /// Heads of a token.
    pub heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

impl<'a> Queries<'a> {
    pub(super) const SHORT: Error = Error::Operand("fewer queries than tokens and heads");

    /// The heads of one token: `x` is `[heads][head_dim]`.
    ///
    /// ```
    /// use bitnet_edge_kernels::attention::Queries;
    /// assert_eq!(Queries::of_token(&[1.0; 12], 4).heads, 3);
    /// ```
    #[must_use]
    pub const fn of_token(x: &'a [f32], head_dim: usize) -> Self {
        let heads = match x.len().checked_div(head_dim) {
            Some(heads) => heads,
            None => 0,
        };
        Self { x, stride: x.len(), tokens: 1, heads, head_dim }
    }

    /// Queries of all tokens.
    ///
    /// ```
    /// use bitnet_edge_kernels::attention::Queries;
    /// assert_eq!(Queries { x: &[0.0; 24], stride: 8, tokens: 3, heads: 2, head_dim: 4 }.count(), 6);
    /// ```
    #[must_use]
    pub const fn count(&self) -> usize {
        self.tokens.saturating_mul(self.heads)
    }

    /// Query `i`, counted through the heads of the first token, then those of the next; `None` beyond the slice.
    ///
    /// ```
    /// use bitnet_edge_kernels::attention::Queries;
    /// assert_eq!(Queries::of_token(&[1.0, 2.0], 1).get(1), Some(&[2.0][..]));
    /// ```
    #[inline]
    #[must_use]
    pub fn get(&self, i: usize) -> Option<&'a [f32]> {
        let (token, head) = (i.checked_div(self.heads)?, i.checked_rem(self.heads)?);
        if token >= self.tokens {
            return None;
        }
        let at = token.checked_mul(self.stride)?.checked_add(head.checked_mul(self.head_dim)?)?;
        self.x.get(at..)?.get(..self.head_dim)
    }

    /// Refuses queries that are not all there, and records that are not one a query.
    pub(super) fn check(&self, records: usize) -> Result<(), Error> {
        if self.count().checked_mul(RECORD_HEAD.saturating_add(self.head_dim)) != Some(records) {
            return Err(Error::Operand("records are not 2 + head_dim a query"));
        }
        match self.count().checked_sub(1) {
            // Rows lie one behind the other: whoever has the last has all.
            Some(last) if self.get(last).is_none() => Err(Self::SHORT),
            _ => Ok(()),
        }
    }
}
