//! Queries and a KV cache.

use bitnet_edge_kernels::attention::{CHUNK, Queries, RECORD_HEAD};
use bitnet_edge_kernels::format::f32_to_f16;
use bitnet_edge_kernels::{Error, Kernels};

use crate::noise;

/// One token's query heads over the positions of one KV head, in f16.
#[derive(Debug)]
pub struct Attention {
    heads: usize,
    head_dim: usize,
    q: Vec<f32>,
    k: Vec<u16>,
    v: Vec<u16>,
    records: Vec<f32>,
    y: Vec<f32>,
}

impl Attention {
    /// Random queries of `heads` heads, and `positions` positions.
    #[must_use]
    pub fn new(heads: usize, head_dim: usize, positions: usize) -> Self {
        let half = || noise(positions * head_dim).into_iter().map(f32_to_f16).collect::<Vec<u16>>();
        let record = RECORD_HEAD + head_dim;
        Self {
            heads,
            head_dim,
            q: noise(heads * head_dim),
            k: half(),
            v: half(),
            records: vec![0.0; positions.div_ceil(CHUNK) * heads * record],
            y: vec![0.0; head_dim],
        }
    }

    /// Every chunk, and their combination for each head.
    ///
    /// # Errors
    /// The kernel's; there are none for operands of [`new`](Self::new).
    pub fn run<K: Kernels>(&mut self, kernels: K) -> Result<(), Error> {
        let Self { heads, head_dim, q, k, v, records, y } = self;
        let queries =
            Queries { x: q, stride: *heads * *head_dim, tokens: 1, heads: *heads, head_dim: *head_dim };
        let stride = *heads * (RECORD_HEAD + *head_dim);
        let (chunk, c) = (CHUNK * *head_dim, 1.0 / 16.0);
        for ((k, v), records) in k.chunks(chunk).zip(v.chunks(chunk)).zip(records.chunks_mut(stride)) {
            kernels.attend(&queries, k, v, c, records)?;
        }
        let chunks = records.len() / stride;
        (0..*heads).try_for_each(|head| {
            kernels.combine(&records[head * (RECORD_HEAD + *head_dim)..], stride, chunks, y)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitnet_edge_kernels::Scalar;

    #[test]
    fn any_number_of_positions_can_be_attended_to() {
        for positions in [1, 64, 65, 200] {
            let mut attention = Attention::new(4, 128, positions);
            attention.run(Scalar).unwrap();
            assert!(attention.y.iter().all(|y| y.is_finite()) && attention.y.iter().any(|&y| y != 0.0));
        }
    }
}
