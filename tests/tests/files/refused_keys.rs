//! Metadata that change what a model computes, and that the pass has no step for.

use bitnet_edge_tests::gguf_builder::value;
use bitnet_edge_tests::tiny::{self, Weights};
use bitnet_pack::convert::{Manifest, Options, convert};

fn refusal(key: &str, kind: u32, bytes: &[u8], options: &Options) -> Option<String> {
    let file = tiny::gguf("llama", Weights::Float).entry(&format!("llama.{key}"), kind, bytes).build();
    convert(&file, options).err().map(|e| format!("{e:#}"))
}

#[test]
fn they_are_refused_unless_they_are_neutral() {
    let floats = [
        ("attn_logit_softcapping", 0.0),
        ("final_logit_softcapping", 0.0),
        ("rope.scaling.yarn_log_multiplier", 0.0),
        ("attention.clamp_kqv", 0.0),
        ("attention.max_alibi_bias", 0.0),
        ("residual_scale", 1.0),
        ("logit_scale", 1.0),
        ("embedding_scale", 1.0),
    ];
    for (key, neutral) in floats {
        let with = |v: f32| refusal(key, value::F32, &v.to_le_bytes(), &Options::default());
        assert_eq!(with(neutral), None, "{key}");
        let line = with(0.25).unwrap();
        assert!(line.starts_with(&format!("llama.{key} is 0.25")), "{line}");
    }
    for key in ["expert_count", "attention.sliding_window"] {
        assert_eq!(refusal(key, value::U32, &0u32.to_le_bytes(), &Options::default()), None);
        let line = refusal(key, value::U32, &8u32.to_le_bytes(), &Options::default()).unwrap();
        assert!(line.starts_with(&format!("llama.{key} is 8")), "{line}");
    }
    assert!(refusal("attention.causal", value::BOOL, &[0], &Options::default()).is_some());
}

#[test]
fn a_manifest_says_what_a_factor_means() {
    let text = include_str!("../../../tools/bitnet-pack/src/convert/archs/llama.toml");
    let manifest = Manifest::parse(&text.replace("[model]", "logit_scale = 0.25\n[model]")).unwrap();
    let options = Options { manifest: Some(manifest), ..Options::default() };
    assert_eq!(refusal("logit_scale", value::F32, &0.25f32.to_le_bytes(), &options), None);
}

#[test]
fn frequencies_that_cannot_be_are_refused() {
    for (key, v) in [("rope.freq_base", f32::NAN), ("rope.freq_base", 0.5), ("rope.scaling.factor", -1.0)] {
        assert!(refusal(key, value::F32, &v.to_le_bytes(), &Options::default()).is_some(), "{key} {v}");
    }
}

#[test]
fn a_part_of_a_model_is_refused() {
    let with = |count: u16| {
        let file = tiny::gguf("llama", Weights::Float)
            .entry("split.no", value::U16, &1u16.to_le_bytes())
            .entry("split.count", value::U16, &count.to_le_bytes());
        convert(&file.build(), &Options::default()).err().map(|e| format!("{e:#}"))
    };
    // A model that was joined has 0.
    assert_eq!((with(0), with(1)), (None, None));
    let line = with(3).unwrap();
    assert!(line.starts_with("the file is part 2 of 3 of a model: ") && line.contains("--merge"), "{line}");
}
