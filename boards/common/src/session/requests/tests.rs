use std::string::{String as Text, ToString};
use std::vec::Vec as Bytes;

use bitnet_edge_core::model::OneThread;
use bitnet_edge_core::{Line, include_image};
use bitnet_edge_kernels::Scalar;
use bitnet_edge_protocol::{FRAME_BYTES, Received, Receiver, Statistics, Stop, encode};

use super::*;
use crate::session::fake::Fake;
use crate::{Machine, run};

static MODEL: &[u8] = include_image!("../../../../../core/testdata/tiny.bpk");

/// What a board does with these bytes, with steps of `budget`: everything that it writes.
fn written(bytes: &[u8], budget: u32) -> Bytes<u8> {
    ended(Fake::new(&[bytes, b"\r/quit\r"].concat()), budget)
}

/// Runs a board until it is told to quit: everything that it writes.
fn ended(mut board: Fake, budget: u32) -> Bytes<u8> {
    let machine = Machine {
        title: &"a test",
        model: MODEL,
        arena: &mut std::vec![Line::ZERO; 4096],
        kernels: &[Scalar],
        split: OneThread,
        options: None,
        budget,
    };
    assert_eq!(run(&mut board, machine), Ok(()));
    board.written().to_vec()
}

/// Text, and messages.
fn parts(written: &[u8]) -> (Text, Bytes<Bytes<u8>>) {
    let (mut receiver, mut text, mut messages) = (Receiver::new(), Bytes::new(), Bytes::new());
    for &byte in written {
        match receiver.push(byte) {
            Received::Byte(byte) => text.push(byte),
            Received::Part => {}
            Received::Message => messages.push(receiver.message().to_vec()),
            Received::Broken(error) => panic!("{error}"),
        }
    }
    (Text::from_utf8(text).unwrap(), messages)
}

fn frame(tag: u8, request: &Request<'_>) -> Bytes<u8> {
    encode(tag, request, &mut [0; FRAME_BYTES]).unwrap().to_vec()
}

fn chunk(text: &[u8]) -> Chunk<'_> {
    Chunk { at: 0, system: false, raw: false, last: true, text }
}

fn settings() -> Settings {
    let GenerationConfig { max_tokens, temperature, top_k, seed, ignore_eos, lossy, .. } =
        GenerationConfig::default();
    let stop_tokens = Vec::new();
    Settings { max_tokens, temperature, top_k, seed, ignore_eos, lossy, digest: true, stop_tokens }
}

/// What these requests, with tags from 1 on, are answered with: debug texts of tag and response.
fn answers(requests: &[Request<'_>]) -> Bytes<(u8, Text)> {
    let bytes: Bytes<u8> = (1..).zip(requests).flat_map(|(tag, request)| frame(tag, request)).collect();
    answers_to(&bytes)
}

fn answers_to(bytes: &[u8]) -> Bytes<(u8, Text)> {
    let (_, messages) = parts(&written(bytes, 5000));
    let read = |message: &Bytes<u8>| {
        let (tag, response) = decode::<Response<'_>>(message);
        (tag, std::format!("{:?}", response.unwrap()))
    };
    messages.iter().map(read).collect()
}

/// The text of an answer, its end, and its digest.
fn answer(requests: &[Request<'_>]) -> (Text, Stop, Statistics, Option<[u8; 32]>) {
    let bytes: Bytes<u8> = requests.iter().flat_map(|request| frame(1, request)).collect();
    let (_, messages) = parts(&written(&bytes, 5000));
    let mut text = Bytes::new();
    let mut tokens = 0;
    for message in &messages {
        match decode::<Response<'_>>(message).1.unwrap() {
            Response::Token { index, bytes, .. } => {
                assert_eq!(index, tokens);
                tokens += 1;
                text.extend(bytes);
            }
            Response::Done { stop, statistics, digest } => {
                return (Text::from_utf8(text).unwrap(), stop, statistics, digest);
            }
            Response::Text(bytes) => text.extend(bytes),
            Response::Accepted | Response::Working => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("no end")
}

/// The digest that a person at the terminal sees.
fn typed_digest(keys: &[u8]) -> Text {
    let (text, _) = parts(&written(keys, u32::MAX));
    let line = text.lines().find_map(|line| line.strip_prefix("logit digest "));
    line.unwrap_or_else(|| panic!("{text}")).to_string()
}

#[test]
fn a_prompt_is_answered_as_at_the_terminal() {
    let (text, stop, statistics, digest) =
        answer(&[Request::Settings(settings()), Request::Prompt(chunk(b"hi"))]);
    assert_eq!(text, "hello friend!");
    assert!(matches!(stop, Stop::Token(_)), "{stop:?}");
    assert_eq!((statistics.prompt, statistics.generated), (5, 3));
    assert!(statistics.prefill_us > 0 && statistics.decode_us > 0 && statistics.longest_step_us > 0);
    assert!(statistics.steps > 4, "{statistics:?}");
    assert_eq!(crate::Hex(&digest.unwrap()).to_string(), typed_digest(b"hi\r"));
}

#[test]
fn every_setting_is_obeyed() {
    let with = |settings: Settings, prompt: Chunk<'_>| {
        answer(&[Request::Settings(settings), Request::Prompt(prompt)])
    };
    let raw = Chunk { raw: true, ..chunk(b"once upon a time") };
    let (story, ..) = with(settings(), raw);
    assert_eq!(story, ", there lived one model so small that it fit on every board.");
    let short = with(Settings { max_tokens: 2, ..settings() }, raw);
    assert_eq!((short.1, short.2.generated), (Stop::MaxTokens, 2));
    assert_eq!(with(Settings { digest: false, ..settings() }, raw).3, None);
    let hot = Settings { temperature: 90.0, top_k: 0, ignore_eos: true, max_tokens: 20, ..settings() };
    let (first, second) = (with(hot.clone(), raw), with(Settings { seed: 2, ..hot.clone() }, raw));
    assert_ne!(first.0, second.0);
    assert_eq!((first.1, second.1), (Stop::MaxTokens, Stop::MaxTokens));
    assert_eq!(with(Settings { top_k: 1, max_tokens: 14, ..hot }, raw).0, story);
    let stopped = Settings { stop_tokens: Vec::from_slice(&[short_token(&raw)]).unwrap(), ..settings() };
    let stopped = with(stopped, raw);
    assert!(matches!(stopped.1, Stop::Token(_)) && stopped.2.generated == 0, "{stopped:?}");
    let lossy = Settings { lossy: true, ..settings() };
    assert_eq!(with(lossy, Chunk { text: b"onceU upon a time", ..raw }).0, story);
}

fn sampling() -> Sampling {
    let GenerationConfig { top_p, min_p, typical_p, repetition_penalty, frequency_penalty, .. } =
        GenerationConfig::default();
    Sampling {
        top_p,
        min_p,
        typical_p,
        repetition_penalty,
        frequency_penalty,
        presence_penalty: 0.0,
        penalty_window: 64,
        skip_special_tokens: true,
        add_bos: true,
        logprobs: None,
    }
}

/// With a temperature at which every token is likely, so that each option shows.
#[test]
fn every_further_setting_is_obeyed() {
    let raw = Request::Prompt(Chunk { raw: true, ..chunk(b"once upon a time") });
    let hot = Settings { temperature: 90.0, top_k: 0, ignore_eos: true, max_tokens: 14, ..settings() };
    let with = |more: Request<'static>| answer(&[Request::Settings(hot.clone()), more, raw.clone()]).0;
    let story = ", there lived one model so small that it fit on every board.";
    let plain = answer(&[Request::Settings(hot.clone()), raw.clone()]).0;
    assert_eq!(with(Request::Sampling(sampling())), plain);
    for greedy in [Sampling { top_p: 1e-6, ..sampling() }, Sampling { min_p: 1.0, ..sampling() }] {
        assert_eq!(with(Request::Sampling(greedy)), story);
    }
    for other in [
        Sampling { typical_p: 0.01, ..sampling() },
        Sampling { repetition_penalty: 900.0, ..sampling() },
        Sampling { frequency_penalty: 900.0, ..sampling() },
        Sampling { presence_penalty: 900.0, ..sampling() },
    ] {
        assert_ne!(with(Request::Sampling(other)), plain);
    }
    let none = Sampling { presence_penalty: 900.0, penalty_window: 0, ..sampling() };
    assert_eq!(with(Request::Sampling(none)), plain);
    let always = Vec::from_slice(&[(short_token(&Chunk { raw: true, ..chunk(b"once upon a time") }), 1e6)]);
    assert_eq!(with(Request::LogitBias { at: 0, bias: always.unwrap() }), ",".repeat(14));
    // Settings begin anew.
    let again = [
        Request::Sampling(Sampling { min_p: 1.0, ..sampling() }),
        Request::Settings(hot.clone()),
        raw.clone(),
    ];
    assert_eq!(answer(&again).0, plain);
}

#[test]
fn stop_strings_end_an_answer_and_the_rest_of_its_text_comes() {
    let prompt = Request::Prompt(Chunk { raw: true, ..chunk(b"once upon a time") });
    let stop = |at, text| Request::StopString { at, text };
    let set = Request::Settings(settings());
    // What comes twice replaces itself.
    let (text, stop_reason, ..) = answer(&[
        set.clone(),
        stop(0, "no such text"),
        stop(1, "nor this"),
        stop(1, "lived one"),
        prompt.clone(),
    ]);
    assert_eq!((text.as_str(), stop_reason), (", there ", Stop::String(1)));
    let (text, ..) = answer(&[set.clone(), stop(0, "lived two"), prompt.clone()]);
    assert_eq!(text, ", there lived one model so small that it fit on every board.");
    let refused = answers(&[
        set,
        stop(1, "behind nothing"),
        stop(0, ""),
        Request::Sampling(Sampling { top_p: 2.0, ..sampling() }),
        // Log-probabilities are of logits that can be restored.
        Request::Sampling(Sampling {
            penalty_window: 257,
            presence_penalty: 0.5,
            logprobs: Some(1),
            ..sampling()
        }),
        Request::Sampling(Sampling { penalty_window: u32::MAX, ..sampling() }),
        Request::StopTokens { at: 0, ids: Vec::from_slice(&[1; 16]).unwrap() },
        Request::StopTokens { at: 17, ids: Vec::new() },
    ]);
    let is_refused: Bytes<bool> =
        refused.iter().map(|(_, text)| text.starts_with("Error(Refused(")).collect();
    assert_eq!(is_refused, [false, true, true, true, true, false, false, true], "{refused:?}");
}

#[test]
fn logprobs_come_behind_their_tokens() {
    let asked = Request::Sampling(Sampling { logprobs: Some(3), ..sampling() });
    let prompt = Request::Prompt(Chunk { raw: true, ..chunk(b"once upon a time") });
    let all = answers(&[Request::Settings(settings()), asked, prompt]);
    let kinds: Bytes<&str> = all[2..].iter().map(|(_, text)| text.split(' ').next().unwrap()).collect();
    let said: Bytes<&str> = kinds.into_iter().filter(|kind| *kind != "Working").collect();
    let (done, pairs) = said.split_last().unwrap();
    assert_eq!(*done, "Done");
    assert!(pairs.len() > 4 && pairs.chunks(2).all(|pair| pair == ["Token", "Logprobs"]), "{said:?}");
}

/// The id of the first token of the answer.
fn short_token(prompt: &Chunk<'_>) -> u32 {
    let bytes = [Request::Settings(settings()), Request::Prompt(*prompt)]
        .iter()
        .flat_map(|request| frame(1, request))
        .collect::<Bytes<u8>>();
    let (_, messages) = parts(&written(&bytes, u32::MAX));
    messages
        .iter()
        .find_map(|message| match decode::<Response<'_>>(message).1 {
            Ok(Response::Token { id, .. }) => Some(id),
            _ => None,
        })
        .unwrap()
}

#[test]
fn a_prompt_comes_in_parts_and_parts_may_come_twice() {
    let part = |at, text| Chunk { at, last: false, ..chunk(text) };
    let (text, .., digest) = answer(&[
        Request::Prompt(part(0, b"lost")),
        Request::Prompt(part(0, b"on")),
        Request::Prompt(part(2, b"ce u")),
        Request::Prompt(part(2, b"ce up")),
        Request::Prompt(Chunk { at: 7, raw: true, ..chunk(b"on a time") }),
    ]);
    assert!(text.starts_with(", there lived"), "{text}");
    let whole = Chunk { raw: true, ..chunk(b"once upon a time") };
    assert_eq!(digest, answer(&[Request::Prompt(whole)]).3);
    let wrong = answers(&[Request::Prompt(part(0, b"ab")), Request::Prompt(part(3, b"d"))]);
    assert_eq!(wrong[1], (2, "Error(ChunkOrder { found: 3, have: 2 })".into()));
    let mut long: Bytes<_> = (0..6).map(|n| Request::Prompt(part(200 * n, &[b'x'; 200]))).collect();
    long.push(Request::Prompt(Chunk { raw: true, ..chunk(b"") }));
    let answers = answers(&long);
    assert_eq!(answers[5], (6, "Error(PromptTooLong { need: 1200, have: 1024 })".into()));
    assert_eq!(answers[6], (7, "Error(EmptyPrompt)".into()));
}

#[test]
fn a_system_message_is_the_first_of_the_conversation() {
    let system = Chunk { system: true, last: false, ..chunk(b"be kind") };
    let user = Chunk { at: 7, ..chunk(b"hi") };
    let (.., statistics, _) = answer(&[Request::Prompt(system), Request::Prompt(user)]);
    assert!(statistics.prompt > 5, "{statistics:?}");
    let raw = answers(&[Request::Prompt(system), Request::Prompt(Chunk { raw: true, ..user })]);
    assert_eq!(raw[1], (2, "Error(NoSystemMessage)".into()));
    let late = Chunk { at: 2, system: true, ..chunk(b"late") };
    let late = answers(&[Request::Prompt(Chunk { last: false, ..chunk(b"hi") }), Request::Prompt(late)]);
    assert_eq!(late[1], (2, "Error(ChunkOrder { found: 2, have: 2 })".into()));
}

#[test]
fn a_board_describes_itself_and_its_last_answer() {
    let answers = answers(&[
        Request::Describe,
        Request::Statistics,
        Request::LogitDigest,
        Request::Cancel,
        Request::SelfTest,
        Request::Prompt(chunk(b"hi")),
        Request::Statistics,
        Request::LogitDigest,
    ]);
    let description = &answers[0].1;
    for part in ["protocol: 1, title: \"a test\"", "backend: \"scalar\", cores: 1, budget: 5000", "kv: F16"] {
        assert!(description.contains(part), "{description}");
    }
    assert_eq!(answers[1], (2, "Error(NoAnswer)".into()));
    assert_eq!(answers[2], (3, "Error(NoAnswer)".into()));
    assert_eq!(answers[3], (4, "Error(NoAnswer)".into()));
    assert!(answers[4].1.contains("failures: 0, first: \"\""), "{answers:?}");
}

#[test]
fn what_comes_during_an_answer_is_refused_or_cancels_it() {
    let prompt = frame(1, &Request::Prompt(Chunk { raw: true, ..chunk(b"once upon a time") }));
    let both = [prompt, frame(2, &Request::Describe), frame(3, &Request::Cancel)].concat();
    let answers = answers_to(&both);
    assert_eq!(answers[0], (2, "Error(Busy)".into()));
    assert_eq!(answers[1], (3, "Accepted".into()));
    assert!(answers[2].0 == 1 && answers[2].1.starts_with("Done { stop: Cancelled"), "{answers:?}");
}

#[test]
fn what_the_runtime_refuses_has_its_numbers() {
    let hot = Settings { temperature: f32::NAN, ..settings() };
    let answers = answers(&[
        Request::Prompt(Chunk { raw: true, ..chunk(b"once Upon") }),
        Request::Prompt(Chunk { raw: true, ..chunk(&[b'a'; 200]) }),
        Request::Settings(hot),
    ]);
    assert_eq!(answers[0].1, "Error(NoToken { byte: 85, at: 5 })");
    assert!(answers[1].1.starts_with("Error(ContextFull { need: "), "{answers:?}");
    assert_eq!(answers[2].1, "Error(Refused(\"the temperature must be from 0 to 1000\"))");
}

#[test]
fn broken_frames_are_answered_and_the_next_one_heard() {
    let good = frame(9, &Request::Statistics);
    let mut flipped = good.clone();
    flipped[3] ^= 0x10;
    let unknown = [0, 5, 1, 77, 1, 1, 0];
    let answers = answers_to(&[&flipped[..], &good, &unknown, &good, &[0], &[7; 400], &[0], &good].concat());
    let of: Bytes<_> = answers.iter().map(|(tag, text)| (*tag, text.split(' ').next().unwrap())).collect();
    assert_eq!(
        of,
        [
            (0, "Error(Checksum"),
            (9, "Error(NoAnswer)"),
            (0, "Error(Truncated"),
            (9, "Error(NoAnswer)"),
            (0, "Error(TooLong"),
            (9, "Error(NoAnswer)")
        ]
    );
    // A kind of a later version, in a frame that is whole.
    let mut body = std::vec![5, 77];
    body.extend(bitnet_edge_core::image::crc32(&body).to_le_bytes());
    assert!(!body.contains(&0));
    let later = [&[0, body.len() as u8 + 1][..], &body, &[0]].concat();
    assert_eq!(answers_to(&later), [(5, "Error(UnknownMessage { kind: 77 })".into())]);
}

#[test]
fn text_and_frames_take_turns() {
    let describe = frame(1, &Request::Describe);
    let keys = [b"h", &describe[..], b"i\r", &describe, b"/tokens 1\rhi\r"].concat();
    let (text, messages) = parts(&written(&keys, u32::MAX));
    assert_eq!(messages.len(), 2);
    assert!(text.contains("> hi\r\nhello friend!\r\n") && text.contains("> hi\r\nhello\r\n"), "{text}");
}

#[test]
fn what_is_typed_is_no_part_of_a_hosts_prompt() {
    let prompt = frame(1, &Request::Prompt(Chunk { raw: true, ..chunk(b"once upon a time") }));
    let (text, _) = parts(&written(&[&prompt[..], b"/help\r"].concat(), u32::MAX));
    assert!(text.contains("/temperature T"), "{text}");
    // Nor does what was typed begin one, and it stays as it is.
    let late = Request::Prompt(Chunk { at: 2, ..chunk(b"late") });
    let keys = [b"hi", &frame(1, &late)[..], b"\r"].concat();
    assert_eq!(answers_to(&keys), [(1, "Error(ChunkOrder { found: 2, have: 0 })".into())]);
    let (text, _) = parts(&written(&keys, u32::MAX));
    assert!(text.contains("> hi\r\nhello friend!\r\n"), "{text}");
    // A bare return does not answer a host's prompt once more.
    let (text, _) = parts(&written(&[&prompt[..], b"\r"].concat(), u32::MAX));
    assert!(!text.contains("there lived"), "{text}");
}

#[test]
fn a_frame_that_falls_silent_is_given_up_and_keys_are_heard_again() {
    let mut board = Fake::new(&[0, 5, 1]);
    board.later(b"/quit\r");
    let written = ended(board, u32::MAX);
    let (text, messages) = parts(&written);
    let (tag, response) = decode::<Response<'_>>(&messages[0]);
    assert_eq!((tag, response), (0, Ok(Response::Error(Error::Truncated { bytes: 2 }))));
    assert!(text.ends_with("> /quit\r\n"), "{text}");
}

/// The last of what requests are answered with, of which those behind the first `at_once` come when the answers before are whole.
fn last_answer(requests: &[Request<'_>], at_once: usize) -> Text {
    let frames: Bytes<_> = (1..).zip(requests).map(|(tag, request)| frame(tag, request)).collect();
    let mut board = Fake::new(&frames[..at_once].concat());
    board.later(&[frames[at_once..].concat(), b"/quit\r".to_vec()].concat());
    let written = ended(board, 5000);
    let (_, messages) = parts(&written);
    std::format!("{:?}", decode::<Response<'_>>(messages.last().unwrap()).1.unwrap())
}

/// The receipt of the last answer is there until what it says of it is not: the prompt's ids, and the configuration.
#[test]
fn a_receipt_is_there_as_long_as_its_answer() {
    let (ask, prompt) = (Request::Receipt { at: 0 }, || Request::Prompt(chunk(b"hi")));
    assert_eq!(last_answer(core::slice::from_ref(&ask), 1), "Error(NoAnswer)");
    let first = last_answer(&[prompt(), ask.clone()], 1);
    assert!(first.starts_with("Receipt { at: 0, total: "), "{first}");
    assert_eq!(last_answer(&[prompt(), Request::Settings(settings()), ask.clone()], 1), "Error(NoAnswer)");
    let refused = [prompt(), Request::Prompt(chunk(b"\x01")), ask.clone()];
    assert_eq!(last_answer(&refused, 1), "Error(NoAnswer)", "its ids may be gone");
    let without = Request::Settings(Settings { digest: false, ..settings() });
    assert_eq!(last_answer(&[without, prompt(), ask], 2), "Error(NoAnswer)", "it has no logit digest");
    let beyond = last_answer(&[prompt(), Request::Receipt { at: 1 << 20 }], 1);
    assert!(beyond.ends_with("bytes: [] }"), "{beyond}");
}
