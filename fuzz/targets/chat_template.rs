//! Chat templates. The first byte of an input chooses what the rest is: a section of segments; or messages, rendered with the
//! segments of ChatML.

#![no_main]

use bitnet_edge_core::text::{ChatTemplate, Ending, Message, Piece, Role};
use libfuzzer_sys::fuzz_target;

const CHATML: &[u8] = include_bytes!("../../core/testdata/chatml.chat");
const ROLES: [Role; 3] = [Role::System, Role::User, Role::Assistant];

fuzz_target!(|input: &[u8]| {
    match input.split_first() {
        Some((0, section)) => {
            let Ok(template) = ChatTemplate::new_checked(section) else { return };
            for first in ROLES {
                let messages =
                    [first, Role::User, Role::Assistant].map(|role| Message { role, content: b" text " });
                for previous in [None, Some(Role::User), Some(Role::Assistant)] {
                    for ending in [Ending::Reply, Ending::Close] {
                        let _ = template.render(previous, &messages, ending).map(Iterator::count);
                    }
                }
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
