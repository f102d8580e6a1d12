use super::*;
use crate::{Chunk, Request, Response, Sampling, Settings, Statistics, Stop};
use std::vec;
use std::vec::Vec as Bytes;

fn frame_of<M: Message + Serialize>(tag: u8, message: &M) -> Bytes<u8> {
    encode(tag, message, &mut [0; FRAME_BYTES]).unwrap().to_vec()
}

/// What comes of these bytes, but for parts; messages as they are.
fn received(receiver: &mut Receiver, bytes: &[u8]) -> Bytes<Result<Bytes<u8>, Received>> {
    let of = |byte| match receiver.push(byte) {
        Received::Part => None,
        Received::Message => Some(Ok(receiver.message().to_vec())),
        other => Some(Err(other)),
    };
    bytes.iter().copied().filter_map(of).collect()
}

fn settings() -> Settings {
    Settings {
        max_tokens: 200,
        temperature: 0.7,
        top_k: 40,
        seed: 1,
        ignore_eos: false,
        lossy: false,
        digest: true,
        stop_tokens: heapless::Vec::from_slice(&[300]).unwrap(),
    }
}

fn sampling() -> Sampling {
    Sampling {
        top_p: 0.9,
        min_p: 0.05,
        typical_p: 1.0,
        repetition_penalty: 1.1,
        frequency_penalty: 0.0,
        presence_penalty: 0.0,
        penalty_window: 64,
        skip_special_tokens: true,
        add_bos: true,
        logprobs: Some(2),
    }
}

/// The frames of the specification.
#[test]
fn golden_frames_are_those_of_the_specification() {
    let text = include_str!("../../../../docs/device-protocol.md");
    let golden = |name: &str, frame: &[u8]| {
        let hex: Bytes<_> = frame.iter().map(|byte| std::format!("{byte:02x}")).collect();
        let line = std::format!("{name:<12} {}", hex.join(" "));
        assert!(text.contains(&line), "docs/device-protocol.md must have\n{line}");
    };
    golden("describe", &frame_of(1, &Request::Describe));
    golden("settings", &frame_of(2, &Request::Settings(settings())));
    let chunk = Chunk { at: 0, system: false, raw: false, last: true, text: b"once" };
    golden("prompt", &frame_of(3, &Request::Prompt(chunk)));
    golden("cancel", &frame_of(4, &Request::Cancel));
    golden("sampling", &frame_of(5, &Request::Sampling(sampling())));
    golden("stop string", &frame_of(6, &Request::StopString { at: 0, text: "\n\n" }));
    let bias = heapless::Vec::from_slice(&[(300, -1.0)]).unwrap();
    golden("logit bias", &frame_of(7, &Request::LogitBias { at: 0, bias }));
    golden("token", &frame_of(3, &Response::Token { index: 0, id: 300, bytes: b" upon" }));
    let statistics = Statistics { prompt: 5, generated: 20, prefill_us: 500_000, ..Statistics::default() };
    golden("text", &frame_of(3, &Response::Text(b"\n")));
    let top = heapless::Vec::from_slice(&[(300, -0.5)]).unwrap();
    golden("logprobs", &frame_of(3, &Response::Logprobs { index: 0, logprob: -0.5, top }));
    golden("done", &frame_of(3, &Response::Done { stop: Stop::MaxTokens, statistics, digest: None }));
    golden("receipt", &frame_of(5, &Request::Receipt { at: 200 }));
    golden("part", &frame_of(5, &Response::Receipt { at: 200, total: 202, bytes: &[7, 0] }));
    golden("error", &frame_of(0, &Response::Error(Error::Truncated { bytes: 3 })));
}

#[test]
fn every_message_comes_back() {
    let text = [b'x'; crate::CHUNK_BYTES];
    let chunk = Chunk { at: u32::MAX, system: true, raw: true, last: true, text: &text };
    let full = Settings {
        max_tokens: u32::MAX,
        seed: u64::MAX,
        top_k: u32::MAX,
        stop_tokens: heapless::Vec::from_slice(&[u32::MAX; 16]).unwrap(),
        ..settings()
    };
    for request in [
        Request::Describe,
        Request::Settings(full),
        Request::Prompt(chunk),
        Request::Cancel,
        Request::Statistics,
        Request::LogitDigest,
        Request::SelfTest,
        Request::Receipt { at: u32::MAX },
        Request::Sampling(sampling()),
        Request::StopTokens { at: 48, ids: heapless::Vec::from_slice(&[u32::MAX; 16]).unwrap() },
        Request::StopString { at: 7, text: &"x".repeat(64) },
        Request::LogitBias { at: 16, bias: heapless::Vec::from_slice(&[(u32::MAX, -1e6); 16]).unwrap() },
    ] {
        let frame = frame_of(255, &request);
        assert!(frame[1..frame.len() - 1].iter().all(|&byte| byte != 0));
        let all = received(&mut Receiver::new(), &frame);
        let [Ok(message)] = &all[..] else { panic!("{all:?}") };
        assert_eq!(decode(message), (255, Ok(request)));
    }
    let top = heapless::Vec::from_slice(&[(u32::MAX, -1.5); 20]).unwrap();
    for response in [
        Response::Token { index: u32::MAX, id: u32::MAX, bytes: &text },
        Response::Text(&text),
        Response::Logprobs { index: u32::MAX, logprob: -0.5, top },
        Response::Receipt { at: u32::MAX, total: u32::MAX, bytes: &text },
    ] {
        let frame = frame_of(1, &response);
        let all = received(&mut Receiver::new(), &frame);
        assert_eq!(decode(all[0].as_ref().unwrap()), (1, Ok(response)));
    }
}

#[test]
fn the_number_of_kinds_is_that_of_the_last() {
    assert_eq!(decode::<Request<'_>>(&[1, 6]).1, Ok(Request::SelfTest));
    assert_eq!(decode::<Request<'_>>(&[1, 7, 0]).1, Ok(Request::Receipt { at: 0 }));
    let bias = Request::LogitBias { at: 0, bias: heapless::Vec::new() };
    assert_eq!(decode::<Request<'_>>(&[1, 11, 0, 0]).1, Ok(bias));
    assert_eq!(decode::<Request<'_>>(&[1, 12]).1, Err(Error::UnknownMessage { kind: 12 }));
    assert_eq!(decode::<Response<'_>>(&[1, 8, 5]).1, Ok(Response::Error(Error::Busy)));
    let receipt = Response::Receipt { at: 1, total: 3, bytes: &[9, 8] };
    assert_eq!(decode::<Response<'_>>(&[1, 9, 1, 3, 2, 9, 8]).1, Ok(receipt));
    assert_eq!(decode::<Response<'_>>(&[1, 10, 0]).1, Ok(Response::Text(&[])));
    assert_eq!(decode::<Response<'_>>(&[1, 11]).1, Err(Error::Malformed { kind: 11 }));
    assert_eq!(decode::<Response<'_>>(&[1, 12]).1, Err(Error::UnknownMessage { kind: 12 }));
}

#[test]
fn fields_that_a_later_version_adds_are_passed_over() {
    assert_eq!(decode::<Request<'_>>(&[1, 0, 1, 2, 3]), (1, Ok(Request::Describe)));
}

#[test]
fn what_is_broken_is_named_and_the_next_frame_read() {
    let good = frame_of(1, &Request::Describe);
    let next = |broken: &[u8]| {
        let all = received(&mut Receiver::new(), &[broken, &good].concat());
        let [Err(Received::Broken(error)), Ok(message)] = &all[..] else { panic!("{broken:?}: {all:?}") };
        assert_eq!(message, &[1, 0]);
        *error
    };
    let mut flipped = good.clone();
    flipped[2] ^= 0x40;
    assert!(matches!(next(&flipped), Error::Checksum { found, computed } if found != computed));
    assert_eq!(next(&[0, 9, 1, 1, 0]), Error::Truncated { bytes: 3 }); // COBS promises more
    assert_eq!(next(&[0, 3, 1, 1, 0]), Error::Truncated { bytes: 3 }); // no room for a checksum
    assert_eq!(next(&[&[0][..], &[1; 300], &[0]].concat()), TOO_LONG);
    assert_eq!(next(&good[..5]), Error::Truncated { bytes: 4 }); // the next frame's zero ends it
}

#[test]
fn a_lost_zero_costs_one_frame() {
    let [one, two, three] = [1, 2, 3].map(|tag| frame_of(tag, &Request::Describe));
    let mut receiver = Receiver::new();
    let all = received(&mut receiver, &[&one[..one.len() - 1], &two, &three].concat());
    let tags: Bytes<_> = all.iter().filter_map(|one| one.as_ref().ok()).map(|message| message[0]).collect();
    assert_eq!(tags, [1, 3]);
    let all = received(&mut receiver, &[&one[1..], &two, &three].concat());
    let tags: Bytes<_> = all.iter().filter_map(|one| one.as_ref().ok()).map(|message| message[0]).collect();
    assert_eq!(tags, [2, 3]);
}

#[test]
fn text_around_frames_is_text() {
    let frame = frame_of(1, &Request::Cancel);
    let all = received(&mut Receiver::new(), &[b"a", &frame[..], b"b"].concat());
    assert_eq!(all, [Err(Received::Byte(b'a')), Ok(vec![1, 3]), Err(Received::Byte(b'b'))]);
}

#[test]
fn a_frame_that_falls_silent_is_given_up() {
    let mut receiver = Receiver::new();
    assert_eq!(receiver.give_up(), None);
    received(&mut receiver, &[0]);
    assert!(receiver.is_inside());
    assert_eq!(receiver.give_up(), None);
    assert!(!receiver.is_inside());
    received(&mut receiver, &[0, 5, 1]);
    assert_eq!(receiver.give_up(), Some(Error::Truncated { bytes: 2 }));
    assert_eq!(received(&mut receiver, b"x"), [Err(Received::Byte(b'x'))]);
}

#[test]
fn hostile_bytes_are_errors_and_nothing_more() {
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    let mut receiver = Receiver::new();
    for round in 0..20_000 {
        // Zeros are more frequent than by chance, and some frames are whole but for a byte.
        let mut bytes: Bytes<u8> = (0..random() as usize % 40).map(|_| random()).collect();
        if round % 3 == 0 {
            bytes = frame_of(random(), &Request::Settings(settings()));
            let at = random() as usize % bytes.len();
            bytes[at] = random() & 0x7f;
        }
        bytes.push(0);
        for byte in bytes {
            if receiver.push(byte) == Received::Message {
                let _ = (
                    decode::<Request<'_>>(receiver.message()).1.is_ok(),
                    decode::<Response<'_>>(receiver.message()).1.is_ok(),
                );
            }
        }
    }
    // Messages with a right checksum and any bytes.
    for _ in 0..20_000 {
        let bytes: Bytes<u8> = (0..random() as usize % 60).map(|_| random() % 12).collect();
        let _ = (decode::<Request<'_>>(&bytes).1.is_ok(), decode::<Response<'_>>(&bytes).1.is_ok());
    }
}
