//! What a tensor is in its model, whatever the file calls it.

use bitnet_edge_core::image::Role;
use serde::{Deserialize, Serialize};

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// The token embedding.
    Embedding,
    /// The weights of a norm.
    Norm,
    /// A matrix of a layer.
    Projection,
    /// The bias of a projection.
    Bias,
    /// The output head.
    Head,
    /// Something else.
    Other,
}

/// A tensor's place in the order of the forward pass, and its name there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    stage: u32,
    within: u32,
    /// `embedding`, `3.attn_norm`, `final_norm`, `head`; of a tensor that the runtime has no role for, the file's name.
    pub(super) name: String,
}

impl Place {
    pub(super) fn embedding() -> Self {
        Self { stage: 0, within: 0, name: "embedding".to_owned() }
    }

    pub(super) fn of_layer(layer: u32, role: Role) -> Self {
        Self { stage: layer.saturating_add(1), within: role as u32, name: format!("{layer}.{}", role.name()) }
    }

    pub(super) fn final_norm() -> Self {
        Self { stage: u32::MAX - 1, within: 0, name: "final_norm".to_owned() }
    }

    pub(super) fn head() -> Self {
        Self { stage: u32::MAX - 1, within: 1, name: "head".to_owned() }
    }

    /// Behind all others, in the order of the file.
    pub(super) fn other(index: usize, name: &str) -> Self {
        let within = u32::try_from(index).unwrap_or(u32::MAX);
        Self { stage: u32::MAX, within, name: name.to_owned() }
    }

    /// What the tensor is for; one without a role is known by its name and shape.
    pub(super) fn kind(&self, is_matrix: bool) -> Kind {
        let last = self.name.rsplit('.').find(|part| *part != "weight").unwrap_or_default();
        let known = self.stage != u32::MAX;
        match last {
            "embedding" if known => Kind::Embedding,
            "head" if known => Kind::Head,
            "token_embd" if !known => Kind::Embedding,
            "output" if !known => Kind::Head,
            name if name.ends_with("norm") => Kind::Norm,
            name if name.ends_with("bias") => Kind::Bias,
            _ if known => Kind::Projection,
            _ if is_matrix && self.name.starts_with("blk.") => Kind::Projection,
            _ => Kind::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_the_order_of_the_forward_pass() {
        let places = [
            Place::embedding(),
            Place::of_layer(0, Role::AttnNorm),
            Place::of_layer(0, Role::Down),
            Place::of_layer(10, Role::AttnNorm),
            Place::final_norm(),
            Place::head(),
            Place::other(3, "rope_freqs.weight"),
            Place::other(4, "a"),
        ];
        assert!(places.is_sorted());
        let kinds = places.map(|place| place.kind(true));
        use Kind::{Embedding, Head, Norm, Other, Projection};
        assert_eq!(kinds, [Embedding, Norm, Projection, Norm, Norm, Head, Other, Other]);
    }

    #[test]
    fn tensors_without_a_role_are_known_by_their_names() {
        let kind = |name| Place::other(0, name).kind(false);
        assert_eq!(kind("blk.3.attn_q_norm.weight"), Kind::Norm);
        assert_eq!(kind("blk.3.attn_q.bias"), Kind::Bias);
        assert_eq!(kind("blk.3.ssm_d"), Kind::Other);
        assert_eq!([kind("token_embd.weight"), kind("output.weight")], [Kind::Embedding, Kind::Head]);
        assert_eq!(kind("output_norm.weight"), Kind::Norm);
        assert_eq!(Place::other(0, "blk.3.ssm_in.weight").kind(true), Kind::Projection);
        assert_eq!(Place::of_layer(1, Role::QBias).kind(false), Kind::Bias);
    }
}
