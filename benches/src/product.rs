//! A matrix and activations.

use bitnet_edge_kernels::tile::{Activations, FloatActs, Int8Acts, Layout, Outputs, TernaryScale};
use bitnet_edge_kernels::{Error, Kernels};
use bitnet_edge_std::Bytes;

use crate::{bytes, noise};

/// A matrix, and the activations of some tokens.
#[derive(Debug)]
pub struct Product {
    layout: Layout,
    rows: usize,
    cols: usize,
    tokens: usize,
    weights: Bytes,
    floats: Vec<f32>,
    q: Vec<i8>,
    scales: Vec<f32>,
    sums: Vec<i32>,
    groups: usize,
}

impl Product {
    /// Random weights and activations.
    ///
    /// # Panics
    /// If the layout cannot hold rows of `cols`.
    #[must_use]
    pub fn new(layout: Layout, rows: usize, cols: usize, tokens: usize) -> Self {
        let form = layout.activations();
        let groups = form.groups(cols);
        let stride = cols.next_multiple_of(64);
        let len = layout.matrix_bytes(rows, cols).expect("the layout holds the shape");
        let mut weights = Bytes::zeroed(len);
        for (weight, byte) in weights.as_mut_slice().iter_mut().zip(bytes(len)) {
            // Bytes of the other layouts are scales, too: small, and no float is infinite.
            *weight = match form {
                Activations::Token => [0x00, 0x55, 0xaa, 0x64][usize::from(byte & 3)],
                _ => byte & 0x3b,
            };
        }
        let float = form == Activations::Float;
        Self {
            layout,
            rows,
            cols,
            tokens,
            weights,
            floats: if float { noise(tokens * stride) } else { Vec::new() },
            q: if float {
                Vec::new()
            } else {
                noise(tokens * stride).iter().map(|x| (x * 127.0) as i8).collect()
            },
            scales: vec![1.5; tokens * groups],
            sums: vec![7; tokens * groups],
            groups,
        }
    }

    /// Bytes of the weights.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.weights.as_slice().len()
    }

    /// Room for the results.
    #[must_use]
    pub fn results(&self) -> Vec<f32> {
        vec![0.0; self.tokens * self.rows.next_multiple_of(4)]
    }

    /// The product.
    ///
    /// # Errors
    /// The kernel's; there are none for operands of [`new`](Self::new).
    pub fn run<K: Kernels>(&self, kernels: K, results: &mut [f32]) -> Result<(), Error> {
        let (w, n, stride) = (self.weights.as_slice(), self.tokens, self.cols.next_multiple_of(64));
        let (scales, sums, groups) = (&self.scales[..], &self.sums[..], self.groups);
        let acts = &Int8Acts { q: &self.q, stride, scales, sums, groups };
        let floats = &FloatActs { x: &self.floats, stride, cols: self.cols };
        let out = &mut Outputs { stride: results.len() / n.max(1), y: results };
        match self.layout {
            Layout::T2r4 => kernels.matmul_t2r4_i8t(w, n, acts, TernaryScale::Tensor(0.5), out),
            Layout::Q8r4 => kernels.matmul_q8r4_i8g32(w, n, acts, out),
            Layout::Q4r4 => kernels.matmul_q4r4_i8g32(w, n, acts, out),
            Layout::Q4m4 => kernels.matmul_q4m4_i8g32(w, n, acts, out),
            Layout::Q5r4 => kernels.matmul_q5r4_i8g32(w, n, acts, out),
            Layout::Q4k4 => kernels.matmul_q4k4_i8g256(w, n, acts, out),
            Layout::Q5k4 => kernels.matmul_q5k4_i8g256(w, n, acts, out),
            Layout::Q6r4 => kernels.matmul_q6r4_i8g256(w, n, acts, out),
            Layout::F32 => kernels.matmul_f32_f32(w, n, floats, out),
            Layout::F16 => kernels.matmul_f16_f32(w, n, floats, out),
            Layout::Bf16 => kernels.matmul_bf16_f32(w, n, floats, out),
            _ => Err(Error::Operand("a layout that the benchmarks do not know")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitnet_edge_kernels::Scalar;

    #[test]
    fn every_layout_has_finite_results() {
        for layout in Layout::ALL {
            let product = Product::new(layout, 8, 256, 2);
            let mut results = product.results();
            product.run(Scalar, &mut results).unwrap();
            assert!(results.iter().all(|y| y.is_finite()), "{layout:?}");
            assert!(results.iter().any(|&y| y != 0.0), "{layout:?}");
        }
    }
}
