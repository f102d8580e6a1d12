//! A model that is converted by a manifest, as docs/adding-a-model.md has it, is the model that it was.

use bitnet_edge_core::{Cpu, Model, Session, generate::LogitDigest};
use bitnet_edge_std::Arena;
use bitnet_edge_tests::files;
use bitnet_edge_tests::models::{STORY, plan};
use bitnet_edge_tests::tiny::{self, Weights};
use bitnet_pack::convert::{Manifest, Options, convert};

const ARCHITECTURE: &str = "bitnet-b1.58";

/// The example in the documentation.
fn example() -> String {
    let text = String::from_utf8(files::read("docs/adding-a-model.md")).unwrap();
    let (_, rest) = text.split_once("```toml\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// Replaces a text by one of the same length, so that every length and offset of the file stays right.
fn rename(file: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut renamed = file.to_vec();
    let mut count = 0;
    for at in 0..file.len() - from.len() {
        if file[at..].starts_with(from.as_bytes()) {
            renamed[at..at + to.len()].copy_from_slice(to.as_bytes());
            count += 1;
        }
    }
    assert!(count > 0, "the file has no {from:?}");
    renamed
}

fn options(manifest: &str) -> Options {
    Options { manifest: Some(Manifest::parse(manifest).unwrap()), ..Options::default() }
}

/// The digest of the logits behind each of a few tokens.
fn digest(file: &[u8], options: &Options) -> [u8; 32] {
    let image = convert(file, options).unwrap().image;
    let model = Model::new_checked(image.as_slice()).unwrap();
    let plan = plan(&model, 64, bitnet_edge_core::KvType::F16, 8);
    let mut arena = Arena::new(plan.bytes());
    let mut session =
        Session::new(&model, &plan, Cpu::scalar(&model, &plan, arena.lines()).unwrap()).unwrap();
    let mut digest = LogitDigest::default();
    for id in [0, 193, 212, 52, 169, 16, 17, 18] {
        digest.update(session.decode(id).unwrap());
    }
    digest.value()
}

#[test]
fn the_documented_manifest_converts_a_renamed_model_to_the_same() {
    let original = files::read(STORY.file);
    let expected = digest(&original, &Options::default());

    // Another architecture, other keys, other tensor names.
    let name = "my-bitnet-00";
    let renamed = rename(&rename(&original, ARCHITECTURE, name), "blk.", "lay.");
    let manifest = example().replace("\"my-bitnet\"", &format!("{name:?}"));
    assert_eq!(digest(&renamed, &options(&manifest)), expected);

    // Only the architecture's name is another; the keys are not.
    let at = original.windows(name.len()).position(|part| part == ARCHITECTURE.as_bytes()).unwrap();
    let mut renamed = rename(&original, "blk.", "lay.");
    renamed[at..at + name.len()].copy_from_slice(name.as_bytes());
    let manifest = format!("keys = {ARCHITECTURE:?}\n{manifest}");
    assert_eq!(digest(&renamed, &options(&manifest)), expected);
}

#[test]
fn an_unknown_architecture_lists_what_is_missing() {
    let file = rename(&files::read(STORY.file), ARCHITECTURE, "my-bitnet-00");
    let error = format!("{:#}", convert(&file, &Options::default()).unwrap_err());
    assert_eq!(
        error,
        "the architecture \"my-bitnet-00\" is not known; known are llama, bitnet, bitnet-b1.58, bitnet-25; tensors it \
         has that \"llama\" does not: blk.0.attn_sub_norm.weight, blk.0.ffn_sub_norm.weight; describe it in a manifest: \
         bitnet-pack convert --manifest FILE.toml (docs/adding-a-model.md)"
    );
}

#[test]
fn a_manifest_and_a_file_must_agree() {
    let original = files::read(STORY.file);
    let refusal = |manifest: &str| format!("{:#}", convert(&original, &options(manifest)).unwrap_err());
    let fitting = example().replace("my-bitnet", ARCHITECTURE).replace("lay.", "blk.");
    assert_eq!(digest(&original, &options(&fitting)), digest(&original, &Options::default()));

    assert_eq!(refusal(&example()), "the manifest describes my-bitnet, and the file is \"bitnet-b1.58\"");
    let other = fitting.replace("blk.{}.attn_q.weight", "blk.{}.attn_query.weight");
    assert!(
        refusal(&other).starts_with("the file has no tensor \"blk.0.attn_query.weight\""),
        "{}",
        refusal(&other)
    );
    let less: String =
        fitting.lines().filter(|l| !l.starts_with("attn_sub_norm")).map(|l| format!("{l}\n")).collect();
    let line = refusal(&less);
    assert!(line.contains("has no use for 3 of the file's tensors: blk.0.attn_sub_norm.weight, "), "{line}");
    // Roles of the wrong shape.
    let turned = fitting.replace("q = \"blk.{}.attn_q.weight\"", "q = \"blk.{}.ffn_gate.weight\"");
    let line = refusal(&turned);
    assert!(
        line.starts_with("blk.0.ffn_gate.weight has ") && line.contains("the configuration needs"),
        "{line}"
    );
    // An optional tensor may be absent; one that must be there may not.
    let optional = format!("{fitting}\n[optional]\nq_bias = \"blk.{{}}.attn_q.bias\"\n");
    assert_eq!(digest(&original, &options(&optional)), digest(&original, &Options::default()));
    let required = format!("{fitting}q_bias = \"blk.{{}}.attn_q.bias\"\n");
    assert!(refusal(&required).starts_with("the file has no tensor \"blk.0.attn_q.bias\""));
}

#[test]
fn manifests_that_cannot_be_are_refused_with_their_line() {
    let refusal = |from: &str, to: &str| {
        let text = example();
        assert!(text.contains(from), "{from}");
        format!("{:#}", Manifest::parse(&text.replacen(from, to, 1)).unwrap_err())
    };
    for (from, to, part) in [
        ("\"relu2\"", "\"gelu\"", "line 2: unknown variant `gelu`, expected `silu` or `relu2`"),
        ("rope = \"neox\"", "rope = ", "the manifest cannot be read: line 3: "),
        ("head = \"tied\"\n", "", "missing field `head`"),
        ("final_norm", "final_nrom", "line 9: unknown field `final_nrom`, expected one of `embedding`"),
        ("ffn_norm", "fnn_norm", "the manifest names the role \"fnn_norm\"; roles are attn_norm, q, k, v, "),
        ("up = ", "up_bias = ", "the manifest's [layer] lacks the matrix \"up\""),
        ("lay.{}.attn_q", "lay.0.attn_q", "\"lay.0.attn_q.weight\" has no {} for the layer's number"),
        ("rope = \"neox\"", "rope = \"neox\"\nlogit_scale = nan", "a factor of the manifest is not finite"),
        ("[layer]", "[optional]\nq = \"{}\"\n[layer]", "the role \"q\" both in [layer] and in [optional]"),
    ] {
        let line = refusal(from, to);
        assert!(line.contains(part), "{line}");
        assert!(!line.contains('\n'), "{line}");
    }
}

/// Roles that no model of the repository has: norms of heads and behind the half-layers, biases, factors.
#[test]
fn steps_of_a_manifest_are_taken() {
    const MANIFEST: &str = r#"
        architecture = ["other"]
        activation = "silu"
        rope = "neox"
        head = "own-or-tied"
        model = { embedding = "token_embd.weight", head = "output.weight", final_norm = "output_norm.weight" }
        [layer]
        attn_norm = "blk.{}.attn_norm.weight"
        q = "blk.{}.attn_q.weight"
        k = "blk.{}.attn_k.weight"
        v = "blk.{}.attn_v.weight"
        attn_out = "blk.{}.attn_output.weight"
        ffn_norm = "blk.{}.ffn_norm.weight"
        gate = "blk.{}.ffn_gate.weight"
        up = "blk.{}.ffn_up.weight"
        down = "blk.{}.ffn_down.weight"
    "#;
    let plain = tiny::gguf("other", Weights::Float);
    let logits = |file: &[u8], manifest: &str| {
        let image = convert(file, &options(manifest)).unwrap().image;
        let model = Model::new_checked(image.as_slice()).unwrap();
        let plan = plan(&model, 8, bitnet_edge_core::KvType::F32, 1);
        let mut arena = Arena::new(plan.bytes());
        let cpu = Cpu::scalar(&model, &plan, arena.lines()).unwrap();
        let mut session = Session::new(&model, &plan, cpu).unwrap();
        session.prefill(&[0, 1, 2], true).unwrap();
        session.logits().unwrap().to_vec()
    };
    let base = logits(&plain.build(), MANIFEST);
    let doubled: Vec<f32> = base.iter().map(|l| 2.0 * l).collect();
    let scaled = MANIFEST.replace("head = \"own", "logit_scale = 2.0\nhead = \"own");
    assert_eq!(logits(&plain.build(), &scaled), doubled);

    let vector =
        |value: f32, len: usize| [value; 32][..len].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    // A role, its width, a value that changes nothing if there is one, and a value that changes something.
    for (role, len, nothing, something) in [
        ("q_bias", 32, Some(0.0), 0.5),
        ("k_bias", 16, Some(0.0), 0.5),
        ("v_bias", 16, Some(0.0), 0.5),
        ("q_norm", 16, None, 2.0),
        ("k_norm", 16, None, 2.0),
        ("attn_sub_norm", 32, None, 2.0),
        ("attn_out_bias", 32, Some(0.0), 0.5),
        ("attn_post_norm", 32, None, 2.0),
        ("gate_bias", 32, Some(0.0), 0.5),
        ("up_bias", 32, Some(0.0), 0.5),
        ("ffn_sub_norm", 32, None, 2.0),
        ("down_bias", 32, Some(0.0), 0.5),
        ("ffn_post_norm", 32, None, 2.0),
    ] {
        let manifest = format!("{MANIFEST}\n{role} = \"blk.{{}}.{role}\"");
        let with = |value| {
            plain.clone().tensor(&format!("blk.0.{role}"), &[len as u64], 0, &vector(value, len)).build()
        };
        if let Some(nothing) = nothing {
            assert_eq!(logits(&with(nothing), &manifest), base, "{role}");
        }
        assert_ne!(logits(&with(something), &manifest), base, "{role}");
    }
}
