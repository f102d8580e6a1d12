//! What tells one architecture from another, as data.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail, ensure};
use bitnet_edge_core::image::Role;
use serde::Deserialize;

/// The activation of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// `g / (1 + exp(-g))`
    Silu,
    /// `relu(g)^2`
    Relu2,
}

/// Which elements of a head form a rotated pair in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RopeStyle {
    /// Neighbours (2i, 2i + 1). The rows of Q and K are permuted on import.
    Norm,
    /// Halves (i, i + n/2): what the runtime knows.
    Neox,
}

/// Where the output head comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// The file's own, or the embedding if it has none.
    OwnOrTied,
    /// The embedding, always.
    Tied,
}

/// Names of the tensors of the model as a whole.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelNames {
    /// `vocab` rows.
    pub embedding: String,
    /// `vocab` rows, where the file has its own.
    pub head: String,
    /// The norm before the head.
    pub final_norm: String,
    /// Divisors of the `RoPE` frequencies (llama3 scaling), where the file has them.
    pub rope_factors: Option<String>,
}

/// A description of an architecture: `convert --manifest` reads the same format (`docs/adding-a-model.md`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Values of `general.architecture` that it describes.
    pub architecture: Vec<String>,
    /// Prefix of the metadata keys; the architecture's name if absent.
    pub keys: Option<String>,
    /// Activation of the gate.
    pub activation: Act,
    /// Pairs of `RoPE`.
    pub rope: RopeStyle,
    /// The output head.
    pub head: Head,
    /// Factor on embeddings.
    pub embedding_scale: Option<f32>,
    /// Scale of attention scores, instead of `1 / sqrt(head_dim)`.
    pub attention_scale: Option<f32>,
    /// Factor on the logits.
    pub logit_scale: Option<f32>,
    /// The model's own tensors.
    pub model: ModelNames,
    /// Tensors of a layer that must be there, by role; `{}` stands for the layer's number.
    pub layer: BTreeMap<String, String>,
    /// Tensors of a layer that may be there.
    #[serde(default)]
    pub optional: BTreeMap<String, String>,
}

/// The built-in descriptions.
const BUILT_IN: [&str; 3] = [
    include_str!("archs/llama.toml"),
    include_str!("archs/bitnet.toml"),
    include_str!("archs/bitnet-b1.58.toml"),
];

impl Manifest {
    /// Reads a description.
    pub fn parse(text: &str) -> Result<Self> {
        let manifest: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            anyhow!("the manifest cannot be read: line {line}: {}", error.message())
        })?;
        for (role, name) in manifest.layer.iter().chain(&manifest.optional) {
            let names = Role::ALL.map(Role::name);
            ensure!(
                names.contains(&role.as_str()),
                "the manifest names the role {role:?}; roles are {}",
                names.join(", ")
            );
            ensure!(name.contains("{}"), "the manifest's name {name:?} has no {{}} for the layer's number");
        }
        if let Some(role) = manifest.layer.keys().find(|role| manifest.optional.contains_key(*role)) {
            bail!("the manifest has the role {role:?} both in [layer] and in [optional]");
        }
        for role in Role::ALL.into_iter().filter(|role| role.is_matrix()) {
            let name = role.name();
            ensure!(manifest.layer.contains_key(name), "the manifest's [layer] lacks the matrix {name:?}");
        }
        let factors = [manifest.embedding_scale, manifest.attention_scale, manifest.logit_scale];
        ensure!(factors.iter().flatten().all(|f| f.is_finite()), "a factor of the manifest is not finite");
        Ok(manifest)
    }

    /// The built-in description of an architecture.
    pub fn built_in(architecture: &str, tensors: &[&str]) -> Result<Self> {
        let all = BUILT_IN.map(|text| Self::parse(text).expect("built-in descriptions are tested"));
        if let Some(found) = all.iter().find(|m| m.architecture.iter().any(|a| a == architecture)) {
            return Ok(found.clone());
        }
        let known: Vec<&str> = all.iter().flat_map(|m| &m.architecture).map(String::as_str).collect();
        let llama = &all[0];
        let model = [&llama.model.embedding, &llama.model.head, &llama.model.final_norm];
        let layer = llama.layer.values().chain(&llama.model.rope_factors).chain(llama.optional.values());
        let names: Vec<String> = model.into_iter().chain(layer).map(|n| n.replace("{}", "0")).collect();
        // The first layer stands for all.
        let mut strange: Vec<&str> = tensors
            .iter()
            .copied()
            .filter(|t| t.starts_with("blk.0.") || !t.starts_with("blk."))
            .filter(|t| !names.iter().any(|n| n == t))
            .collect();
        if strange.len() > 12 {
            strange.truncate(12);
            strange.push("…");
        }
        bail!(
            "the architecture {architecture:?} is not known; known are {}; \
             tensors it has that {:?} does not: {}; \
             describe it in a manifest: bitnet-pack convert --manifest FILE.toml (docs/adding-a-model.md)",
            known.join(", "),
            llama.architecture[0],
            if strange.is_empty() { "none".to_owned() } else { strange.join(", ") }
        )
    }

    /// The name of a layer's tensor, and whether it must be there; `None` if the architecture has no such role.
    pub(super) fn tensor(&self, role: Role, layer: u32) -> Option<(String, bool)> {
        let fill = |name: &String| name.replace("{}", &layer.to_string());
        let name = role.name();
        let required = self.layer.get(name).map(|n| (fill(n), true));
        required.or_else(|| self.optional.get(name).map(|n| (fill(n), false)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_descriptions_are_right_and_distinct() {
        let mut names: Vec<String> =
            BUILT_IN.iter().flat_map(|t| Manifest::parse(t).unwrap().architecture).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn an_unknown_architecture_lists_what_is_missing() {
        let error =
            Manifest::built_in("qwen3", &["blk.0.attn_q.weight", "blk.0.attn_q_norm.weight"]).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("qwen3")
                && text.contains("blk.0.attn_q_norm.weight")
                && text.contains("--manifest")
        );
        assert!(!text.contains("blk.0.attn_q.weight"));
    }

    #[test]
    fn a_misspelt_role_is_named() {
        let text = BUILT_IN[0].replace("attn_norm =", "atn_norm =");
        assert!(Manifest::parse(&text).unwrap_err().to_string().contains("atn_norm"));
    }
}
