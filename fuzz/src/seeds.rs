//! `seeds FOLDER` writes the inputs that fuzzing starts from, `FOLDER/<target>/<name>`.

mod gguf;

use bitnet_edge_core::image::SectionKind;
use bitnet_edge_tests::image_edit::{Part, Parts};
use bitnet_edge_tests::tiny::{self, Weights};
use bitnet_pack::convert::{Options, convert};
use std::path::Path;
use std::{env, fs, io};

// The crates under test carry coverage hooks, which this library provides.
use libfuzzer_sys as _;

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: seeds FOLDER"))?;
    let folder = Path::new(&folder);
    write(&folder.join("gguf"), gguf::seeds())?;
    write(&folder.join("convert"), models())?;
    write(&folder.join("tokenizer"), tokenizer())?;
    write(&folder.join("chat_template"), chat_template())?;
    write(&folder.join("protocol"), protocol())?;
    write(&folder.join("image"), image()?)
}

fn write(folder: &Path, seeds: Vec<(&str, Vec<u8>)>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    seeds.into_iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes))
}

/// See `targets/chat_template.rs`.
fn chat_template() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("segments", with(0, include_bytes!("../../core/testdata/chatml.chat"))),
        ("conversation", with(1, b"\x00Be brief.\0\x01What is <|im_end|>?\0\x02A token.\0\x01 Thanks \n")),
    ]
}

/// See `targets/protocol.rs`: frames on a line, and messages without one.
fn protocol() -> Vec<(&'static str, Vec<u8>)> {
    use bitnet_edge_protocol::{Chunk, FRAME_BYTES, Request, Response, encode};
    let chunk = Chunk { at: 0, system: false, raw: false, last: true, text: b"once" };
    let prompt = encode(1, &Request::Prompt(chunk), &mut [0; FRAME_BYTES]).expect("it is short").to_vec();
    let token = Response::Token { index: 0, id: 300, bytes: b" upon" };
    let token = encode(1, &token, &mut [0; FRAME_BYTES]).expect("it is short").to_vec();
    vec![
        ("line", with(0, &[b"> ", &prompt[..], &token, b"text\r"].concat())),
        ("settings", with(1, b"\x01\x01\xc8\x01\x33\x33\x33\x3f\x28\x01\0\0\x01\x01\xac\x02")),
        ("done", with(1, b"\x03\x04\x01\x05\x14\xa0\xc2\x1e\0\0\0\0")),
    ]
}

/// GGUF files of models as small as they can be.
fn models() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds = gguf::models();
    seeds.push(("ternary", tiny::gguf("llama", Weights::Ternary).build()));
    let chat = "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}{% endfor %}{% if add_generation_prompt %}<s>{% endif %}";
    seeds.push(("chat", tiny::gguf("llama", Weights::Float).str("tokenizer.chat_template", chat).build()));
    seeds
}

/// Images of models as small as they can be; see `targets/image.rs`.
fn image() -> io::Result<Vec<(&'static str, Vec<u8>)>> {
    let mut seeds = Vec::new();
    for ((name, gguf), choice) in gguf::models().into_iter().zip(1..) {
        let converted = convert(&gguf, &Options::default())
            .map_err(|error| io::Error::other(format!("{name}: {error:#}")))?;
        seeds.push((name, with(choice, converted.image.as_slice())));
    }
    seeds.push(("ternary", with(1, tiny::image(Weights::Ternary).as_slice())));
    let mut parts = Parts::of(tiny::image(Weights::Float).as_slice());
    let chat = include_bytes!("../../core/testdata/chatml.chat").to_vec();
    parts.sections.push(Part { kind: SectionKind::Chat as u32, encoding: 1, alignment: 64, bytes: chat });
    seeds.push(("chat", with(2, parts.build().as_slice())));
    Ok(seeds)
}

fn with(choice: u8, rest: &[u8]) -> Vec<u8> {
    [&[choice], rest].concat()
}

/// The first byte chooses what follows; see `targets/tokenizer.rs`.
fn tokenizer() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("tables", with(0, include_bytes!("../../core/testdata/story.tok"))),
        ("story", with(1, b"Once upon a time, there was a little girl.\nShe didn't like 1234.")),
        ("characters", with(1, "\u{c4}pfel \u{1f999} \u{3000}\u{200d}\u{301} <|endoftext|>".as_bytes())),
        ("broken-utf8", with(1, b"a \xf0\x9f\xa6 b \xff\xc3")),
        ("marks", with(5, "e\u{301}\u{301} \u{301}a".as_bytes())),
        ("falcon", with(6, b"a 12345  !-b \t'll")),
        ("deepseek-llm", with(7, "H\u{e9}llo  \u{4e2d}\u{3000}1 2\n!a  ".as_bytes())),
        ("deepseek-coder", with(8, "if x:\r\n  \u{4e2d}.12".as_bytes())),
    ]
}
