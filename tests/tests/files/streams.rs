//! What is converted into a file is what is converted in memory.

use std::fs;
use std::path::Path;

use bitnet_edge_std::MappedFile;
use bitnet_edge_tests::example_model;
use bitnet_edge_tests::tiny::{self, Weights};
use bitnet_pack::convert::{BlockType, Options, convert, convert_to};
use bitnet_pack::output::Destination;

fn check(what: &str, gguf: &[u8], options: &Options) {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("a.gguf"), folder.path().join("a.bpk"));
    fs::write(&from, gguf).unwrap();
    let file = MappedFile::open(&from).unwrap();
    let (notes, bytes) = convert_to(&file, options, &Destination::new(&to, &from).unwrap()).unwrap();
    let (written, expected) = (fs::read(&to).unwrap(), convert(gguf, options).unwrap());
    assert_eq!((notes, bytes), (expected.notes, written.len() as u64), "{what}");
    assert!(written == expected.image.as_slice(), "{what}");
    // Giving pages back changes no byte of the source.
    assert!(&*file == gguf, "{what}");
}

#[test]
fn files_and_memory_get_the_same_bytes() {
    let plain = Options::default();
    check("ternary", &tiny::gguf("llama", Weights::Ternary).build(), &plain);
    // A matrix that is taken for ternary until a row is not: what was stored is taken back.
    check("float", &tiny::gguf("llama", Weights::Float).build(), &plain);
    check("blocks", &example_model::gguf("bitnet"), &plain);
    // Notes made on the way: the tensors move.
    for ty in [BlockType::Q8_0, BlockType::Q4_0] {
        let options =
            Options { embedding_type: Some(ty), head_type: Some(BlockType::Q8_0), ..Options::default() };
        check(ty.name(), &tiny::gguf("llama", Weights::Float).build(), &options);
    }
    let story =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tinystories-micro/tinystories-micro-i2_s.gguf");
    let options = Options { embedding_type: Some(BlockType::Q4_0), ..Options::default() };
    check("story", &fs::read(story).unwrap(), &options);
}
