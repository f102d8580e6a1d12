//! Chat-template segments: conversations of every shape are rendered with them, and what comes out is encoded.

#![no_main]

use bitnet_edge_core::text::{
    ChatTemplate, EncodeOptions, Encoder, Ending, Message, Piece, Progress, Role, Tokenizer, scratch_words,
};
use libfuzzer_sys::fuzz_target;

const STORY: &[u8] = include_bytes!("../../core/testdata/story.tok");
const ROLES: [Role; 3] = [Role::System, Role::User, Role::Assistant];
const CONTENTS: [&[u8]; 3] = [b" once upon\n", b"<|endoftext|>", b"\xe3\x80\x80 \xff"];
const TEXT_BYTES: usize = 4096;

fuzz_target!(|section: &[u8]| {
    let Ok(template) = ChatTemplate::new_checked(section) else { return };
    let tokenizer = Tokenizer::new_checked(STORY).expect("the shipped tables are right");
    let (mut scratch, mut ids) = (vec![0; scratch_words(TEXT_BYTES)], vec![0; TEXT_BYTES]);
    for shape in 0..27 {
        let roles = [shape % 3, shape / 3 % 3, shape / 9];
        let messages: [Message<'_>; 3] =
            std::array::from_fn(|at| Message { role: ROLES[roles[at]], content: CONTENTS[at] });
        for ending in [Ending::Reply, Ending::Close] {
            let previous = ROLES.get(shape % 4).copied();
            let Ok(pieces) = template.render(previous, &messages[..shape % 4], ending) else { continue };
            let texts = pieces.clone().filter(|piece| matches!(piece, Piece::Text(_))).count();
            assert!(texts >= shape % 4, "a content is missing");
            let options = EncodeOptions { lossy: true, ..EncodeOptions::default() };
            let mut encoder = Encoder::new(&tokenizer, pieces, &mut scratch, &mut ids, options);
            while let Ok(Progress::More) = encoder.step(100) {}
        }
    }
});
