//! What a decode step reads, from the image's own sizes.

use bitnet_edge_core::Model;
use bitnet_edge_core::image::{Data, Role, Tensor, TensorId};
use bitnet_edge_kernels::tile::{TILE_ROWS, TernaryScale};

/// Bytes that a decode step reads.
pub(crate) struct Traffic {
    /// Weights: every matrix and vector of every layer, the head, one row of the embedding.
    weights: u64,
    /// A position of the KV cache, in f16.
    position: u64,
}

impl Traffic {
    pub(crate) fn of(model: &Model<'_>) -> Self {
        let config = model.config();
        let layers = (0..config.layers).flat_map(|layer| Role::ALL.map(|role| TensorId::of(layer, role)));
        let tensors = layers.chain([TensorId::HEAD, TensorId::FINAL_NORM]).filter_map(|id| model.tensor(id));
        let row = model.tensor(TensorId::EMBEDDING).map_or(0, |embedding| match embedding.data {
            Data::Matrix { row_tile_bytes, .. } => (row_tile_bytes / TILE_ROWS) as u64,
            Data::Vector(_) => 0,
        });
        let (kv_heads, head_dim) = (u64::from(config.kv_heads), u64::from(config.head_dim));
        Self {
            weights: tensors.map(bytes).sum::<u64>() + row,
            position: u64::from(config.layers) * kv_heads * head_dim * 2 * 2,
        }
    }

    /// A token's share of `tokens` decoded into an empty context: the cache grows by a position a token.
    pub(crate) const fn decode(&self, tokens: u32) -> u64 {
        self.weights + self.position * (tokens as u64 + 1) / 2
    }
}

fn bytes(tensor: Tensor<'_>) -> u64 {
    let scales = match tensor.data {
        Data::Matrix { scale: TernaryScale::Rows(rows), .. } => size_of_val(rows) as u64,
        _ => 0,
    };
    tensor.len + scales
}
