//! The tokenizer of the story model, whose section is committed: hostile texts, damaged sections, bounded steps.

use bitnet_edge_core::text::{
    ChatTemplate, Decoder, EncodeOptions, Encoder, Ending, Error, Message, Piece, Progress, Role, Tokenizer,
    encode, scratch_words,
};

const STORY: &[u8] = include_bytes!("../testdata/story.tok");
const CHATML: &[u8] = include_bytes!("../testdata/chatml.chat");

fn ids(tokenizer: &Tokenizer<'_>, text: &[u8], options: EncodeOptions) -> Result<Vec<u32>, Error> {
    let mut scratch = vec![0; scratch_words(text.len())];
    let mut out = vec![0; text.len() + 2];
    let count = encode(tokenizer, text, &mut scratch, &mut out, options)?;
    out.truncate(count);
    Ok(out)
}

/// Encodes in steps of `budget` units; returns the tokens and the number of steps.
fn stepped(tokenizer: &Tokenizer<'_>, pieces: &[Piece<'_>], bytes: usize, budget: u32) -> (Vec<u32>, u64) {
    let (mut scratch, mut out) = (vec![0; scratch_words(bytes)], vec![0; bytes + pieces.len() + 2]);
    let mut encoder =
        Encoder::new(tokenizer, pieces.iter().copied(), &mut scratch, &mut out, EncodeOptions::default());
    let mut steps = 1;
    loop {
        match encoder.step(budget).unwrap() {
            Progress::More => steps += 1,
            Progress::Done { tokens } => {
                out.truncate(tokens);
                return (out, steps);
            }
        }
    }
}

#[test]
fn a_step_budget_changes_no_token() {
    let tokenizer = Tokenizer::new_checked(STORY).unwrap();
    let text = "Once upon a time, there was a little girl named Lily. She said, \"I don't know!\"";
    let whole = ids(&tokenizer, text.as_bytes(), EncodeOptions::default()).unwrap();
    for budget in [0, 1, 7, 64, 1000, u32::MAX] {
        assert_eq!(stepped(&tokenizer, &[Piece::from(text)], text.len(), budget).0, whole, "budget {budget}");
    }
}

#[test]
fn pieces_of_one_text_are_one_text() {
    let tokenizer = Tokenizer::new_checked(STORY).unwrap();
    let text = "once upon a time there was a dog";
    let whole = ids(&tokenizer, text.as_bytes(), EncodeOptions::default()).unwrap();
    for at in 0..=text.len() {
        let (left, right) = text.split_at(at);
        let pieces = [left, right, ""].map(Piece::from);
        assert_eq!(stepped(&tokenizer, &pieces, text.len(), 1000).0, whole, "split at {at}");
    }
    let pieces =
        [Piece::Special(0), Piece::from(text), Piece::Special(0), Piece::Special(0), Piece::from(text)];
    let expected = [&[0], &whole[..], &[0, 0], &whole[..]].concat();
    assert_eq!(stepped(&tokenizer, &pieces, text.len(), 1000).0, expected);
}

#[test]
fn a_text_never_becomes_a_control_token() {
    let tokenizer = Tokenizer::new_checked(STORY).unwrap();
    let options = EncodeOptions { mark_ends: false, lossy: true };
    let encoded = ids(&tokenizer, b"the end<|endoftext|>a", options).unwrap();
    assert!(!encoded.contains(&0), "{encoded:?}");
}

/// 100 KB without a place to cut: the work is O(n log n), and no step does much more than its budget.
#[test]
fn a_hostile_word_takes_bounded_work() {
    const BUDGET: u32 = 1000;
    let tokenizer = Tokenizer::new_checked(STORY).unwrap();
    let length = 100_000;
    type Letter = fn(usize) -> u8;
    let words: [(&str, Letter); 3] = [
        ("one letter", |_| b'e'),
        ("two by turns", |at| b"he"[at % 2]),
        ("all letters", |at| b'a' + (at * at / 7 % 26) as u8),
    ];
    for (name, letter) in words {
        let word: Vec<u8> = (0..length).map(letter).collect();
        let (encoded, steps) = stepped(&tokenizer, &[Piece::Text(&word)], length, BUDGET);
        let mut decoder = Decoder::at_start();
        let decoded: Vec<u8> =
            encoded.iter().flat_map(|&id| decoder.bytes(&tokenizer, id)).copied().collect();
        assert_eq!(decoded, word, "{name}");
        // A symbol, a rank, a merge for every byte: 16 + 16 + 48 + 3 log2(n), and a few for moving it.
        let units_a_byte = steps * u64::from(BUDGET) / length as u64;
        println!("{name}: {} tokens, {steps} steps, at most {units_a_byte} units a byte", encoded.len());
        assert!(units_a_byte < 160, "{name}: {units_a_byte} units a byte");
    }
}

#[test]
fn a_byte_without_a_token_is_named_or_dropped() {
    let tokenizer = Tokenizer::new_checked(STORY).unwrap();
    let lossy = EncodeOptions { lossy: true, ..EncodeOptions::default() };
    assert_eq!(
        ids(&tokenizer, b"a % b", EncodeOptions::default()),
        Err(Error::NoToken { byte: b'%', at: 2 })
    );
    assert_eq!(
        ids(&tokenizer, "a dog \u{1f999}".as_bytes(), EncodeOptions::default()),
        Err(Error::NoToken { byte: 0xf0, at: 6 })
    );
    assert_eq!(ids(&tokenizer, b"dog%", lossy), ids(&tokenizer, b"dog", lossy));
    assert_eq!(ids(&tokenizer, b"\xff\xfe", lossy), Ok(vec![]));
}

#[test]
fn too_little_memory_is_an_error_with_both_numbers() {
    let tokenizer = Tokenizer::new_checked(STORY).unwrap();
    let text = b"once upon a time";
    let (mut scratch, mut out) = (vec![0; scratch_words(text.len())], [0; 3]);
    let options = EncodeOptions { mark_ends: true, lossy: false };
    let result = encode(&tokenizer, text, &mut scratch, &mut out, options);
    assert_eq!(result, Err(Error::OutputTooSmall { need: 5, have: 3 }));
    let mut out = [0; 16];
    for words in 0..scratch_words(text.len() - 1) {
        let result = encode(&tokenizer, text, &mut scratch[..words], &mut out, options);
        assert!(
            matches!(result, Err(Error::TextTooLong { need: 16, have: 0..16 })),
            "{words} words: {result:?}"
        );
    }
    for bytes in 1..200 {
        let text = vec![b'a'; bytes];
        let mut out = vec![0; bytes];
        let mut scratch = vec![0; scratch_words(bytes)];
        assert!(encode(&tokenizer, &text, &mut scratch, &mut out, EncodeOptions::default()).is_ok());
    }
    let pieces = [Piece::Special(512)].into_iter();
    let result = Encoder::new(&tokenizer, pieces, &mut scratch, &mut out, options).step(u32::MAX);
    assert_eq!(result, Err(Error::UnknownToken { id: 512 }));
}

/// Every section cut short is refused; every section with a damaged byte is refused or used without a panic.
#[test]
fn damaged_tokenizers_do_no_harm() {
    for len in 0..STORY.len() {
        assert!(Tokenizer::new_checked(&STORY[..len]).is_err(), "{len} bytes");
    }
    assert!(Tokenizer::new_checked(&[STORY, &[0]].concat()).is_err(), "a byte too many");
    let (mut scratch, mut out) = (vec![0; scratch_words(64)], [0; 70]);
    let lossy = EncodeOptions { mark_ends: true, lossy: true };
    let mut accepted = 0;
    for at in 0..STORY.len() {
        for value in [STORY[at] ^ 1, STORY[at] ^ 0x80, STORY[at].wrapping_add(1), 0, 0xff] {
            let mut damaged = STORY.to_vec();
            damaged[at] = value;
            let Ok(tokenizer) = Tokenizer::new_checked(&damaged) else { continue };
            accepted += 1;
            let _ = tokenizer.verify();
            for text in [&b"Once upon a time there was a girl. \xff\xf0 'll"[..], b"hehehehehe"] {
                let Ok(count) = encode(&tokenizer, text, &mut scratch, &mut out, lossy) else { continue };
                let mut decoder = Decoder::at_start().with_special();
                let total: usize = out[..count].iter().map(|&id| decoder.bytes(&tokenizer, id).len()).sum();
                assert!(total <= STORY.len() * count);
            }
            let _ = (
                tokenizer.find_special(b"<|endoftext|>"),
                tokenizer.kind(5),
                tokenizer.token_bytes(u32::MAX),
            );
        }
    }
    assert!(
        accepted > STORY.len(),
        "only {accepted} were accepted: the check is too shallow to mean anything"
    );
}

#[test]
fn damaged_chat_templates_do_no_harm() {
    for len in 0..CHATML.len() {
        assert!(ChatTemplate::new_checked(&CHATML[..len]).is_err(), "{len} bytes");
    }
    let messages = [Role::System, Role::User, Role::Assistant, Role::User]
        .map(|role| Message { role, content: b" a message " });
    let mut accepted = 0;
    for at in 0..CHATML.len() {
        for value in 0..=u8::MAX {
            let mut damaged = CHATML.to_vec();
            damaged[at] = value;
            let Ok(template) = ChatTemplate::new_checked(&damaged) else { continue };
            for ending in [Ending::Reply, Ending::Close] {
                if let Ok(pieces) = template.render(None, &messages, ending) {
                    accepted += pieces.count();
                }
            }
        }
    }
    assert!(accepted > 100_000, "{accepted} pieces");
}

#[test]
fn a_role_that_a_template_does_not_foresee_is_an_error() {
    let mut section = CHATML.to_vec();
    // The segment between nothing and a system message.
    section[16..20].fill(0xff);
    let template = ChatTemplate::new_checked(&section).unwrap();
    let messages = [Message { role: Role::System, content: b"" }];
    assert_eq!(
        template.render(None, &messages, Ending::Reply).err(),
        Some(Error::RoleNotAllowed { message: 0 })
    );
    assert!(!template.allows(None, Role::System));
    assert!(template.render(Some(Role::User), &messages, Ending::Reply).is_ok());
}
