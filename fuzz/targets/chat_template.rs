//! Chat templates. The first byte of an input chooses what the rest is: a section of segments, with which conversations of
//! every shape are rendered and encoded; or the messages of a conversation, rendered with the segments of ChatML.

#![no_main]

use bitnet_edge_core::text::{
    ChatTemplate, EncodeOptions, Encoder, Ending, Message, Piece, Progress, Role, Tokenizer, scratch_words,
};
use libfuzzer_sys::fuzz_target;

const CHATML: &[u8] = include_bytes!("../../core/testdata/chatml.chat");
const STORY: &[u8] = include_bytes!("../../core/testdata/story.tok");
const ROLES: [Role; 3] = [Role::System, Role::User, Role::Assistant];
const CONTENTS: [&[u8]; 3] = [b" once upon\n", b"<|endoftext|>", b"\xe3\x80\x80 \xff"];
const TEXT_BYTES: usize = 4096;

fuzz_target!(|input: &[u8]| {
    match input.split_first() {
        Some((0, section)) => {
            if let Ok(template) = ChatTemplate::new_checked(section) {
                every_shape(&template);
            }
        }
        Some((_, conversation)) => {
            let template = ChatTemplate::new_checked(CHATML).expect("the packed template is right");
            let messages: Vec<_> = conversation.split(|&byte| byte == 0).take(16).map(message).collect();
            let silent: Vec<_> =
                messages.iter().map(|message| Message { content: b"", ..*message }).collect();
            // What people say never becomes a special token, and changes none.
            assert_eq!(specials(&template, &messages), specials(&template, &silent));
        }
        None => {}
    }
});

fn every_shape(template: &ChatTemplate<'_>) {
    let tokenizer = Tokenizer::new_checked(STORY).expect("the shipped tables are right");
    let (mut scratch, mut ids) = (vec![0; scratch_words(TEXT_BYTES)], vec![0; TEXT_BYTES]);
    for shape in 0..27 {
        let roles = [shape % 3, shape / 3 % 3, shape / 9];
        let messages: [_; 3] =
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
}

/// The first byte is the role, the rest what is said.
fn message(bytes: &[u8]) -> Message<'_> {
    let (role, content) = bytes.split_first().unwrap_or((&0, &[]));
    Message { role: ROLES[usize::from(role % 3)], content }
}

fn specials(template: &ChatTemplate<'_>, messages: &[Message<'_>]) -> Option<Vec<u32>> {
    let pieces = template.render(None, messages, Ending::Reply).ok()?;
    let id = |piece| match piece {
        Piece::Special(id) => Some(id),
        Piece::Text(_) => None,
    };
    Some(pieces.filter_map(id).collect())
}
