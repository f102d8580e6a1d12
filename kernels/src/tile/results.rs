//! Where a product's results go.

/// Takes the results of a product.
///
/// A kernel puts every row tile of every token exactly once, in any order, as many rows at a time as suits it. So a caller
/// can scale, add and store them where they belong, whatever the number of tokens, without a buffer in between.
///
/// ```
/// use bitnet_edge_kernels::tile::{FloatActs, Results, rows};
/// /// Keeps the largest output of one token: a head that never stores its logits.
/// struct Largest(f32);
/// impl Results for Largest {
///     fn put(&mut self, _token: usize, _row: usize, values: &[f32]) {
///         self.0 = values.iter().fold(self.0, |largest, &v| if v > largest { v } else { largest });
///     }
/// }
/// let mut w = [0u8; 256];
/// w[64..68].copy_from_slice(&2f32.to_le_bytes()); // row 1, column 0
/// let mut largest = Largest(f32::MIN);
/// rows::matmul::<f32, bitnet_edge_kernels::simd::Scalar16, _>(
///     &w, 1, &FloatActs { x: &[3.0], stride: 1, cols: 1 }, &mut largest)?;
/// assert_eq!(largest.0, 6.0);
/// # Ok::<(), bitnet_edge_kernels::Error>(())
/// ```
pub trait Results {
    /// `values` are the outputs `row..row + values.len()` of `token`. Rows count from the first row tile of the call;
    /// `row` and the number of values are multiples of four.
    fn put(&mut self, token: usize, row: usize, values: &[f32]);
}

/// Results in memory: `[tokens][stride]`.
///
/// What lies outside is not kept: padding rows of the last row tile, if the stride has no room for them.
///
/// ```
/// use bitnet_edge_kernels::tile::{Outputs, Results};
/// let mut y = [0.0; 6];
/// Outputs { y: &mut y, stride: 3 }.put(1, 0, &[1.0, 2.0, 3.0, 4.0]);
/// assert_eq!(y, [0.0, 0.0, 0.0, 1.0, 2.0, 3.0]);
/// ```
#[derive(Debug)]
pub struct Outputs<'a> {
    /// `[tokens][stride]`
    pub y: &'a mut [f32],
    /// Elements from one token's outputs to the next.
    pub stride: usize,
}

impl<'a> Outputs<'a> {
    /// The outputs of one token.
    ///
    /// ```
    /// use bitnet_edge_kernels::tile::{Outputs, Results};
    /// let mut y = [0.0; 4];
    /// Outputs::of_token(&mut y).put(0, 0, &[1.0; 4]);
    /// assert_eq!(y, [1.0; 4]);
    /// ```
    pub const fn of_token(y: &'a mut [f32]) -> Self {
        let stride = y.len();
        Self { y, stride }
    }
}

impl Results for Outputs<'_> {
    #[inline]
    fn put(&mut self, token: usize, row: usize, values: &[f32]) {
        let at = token.saturating_mul(self.stride);
        let token = self.y.get_mut(at..).and_then(|y| y.get_mut(..self.stride)).unwrap_or_default();
        let y = token.get_mut(row..).unwrap_or_default();
        // Whole, if all of it has a place: where the number of values is known that is a few vectors.
        if let Some(y) = y.get_mut(..values.len()) {
            y.copy_from_slice(values);
            return;
        }
        for (y, &v) in y.iter_mut().zip(values) {
            *y = v;
        }
    }
}
