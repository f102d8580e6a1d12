//! `bitnet device`: a board's own program, at the other end of a TCP connection.

mod common;
#[path = "common/board.rs"]
mod fake;

use std::io::{Read, Write};
use std::process::{Child, Output, Stdio};
use std::sync::mpsc::channel;

use bitnet_edge_protocol::{
    CHUNK_BYTES, Error, FRAME_BYTES, Received, Receiver, Request, Response, Statistics, Stop, encode,
};
use common::{bitnet, run, stderr, stdout};
use fake::{DESCRIPTION, MODEL_FILE, Tamper, board, board_that_holds, listen, scripted};

const HONEST: Tamper = |_| {};

fn device(address: &str, args: &[&str]) -> Output {
    bitnet().args(["device", "--tcp", address]).args(args).output().unwrap()
}

/// What a board that is as it should be prints: stdout and stderr.
fn success(args: &[&str]) -> (String, String) {
    let output = device(&board(HONEST), args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    (stdout(&output).to_owned(), stderr(&output).to_owned())
}

/// The one line of an error.
fn failure(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", stderr(output));
    stderr(output).lines().find_map(|line| line.strip_prefix("error: ")).unwrap().to_owned()
}

fn digest(said: &str) -> Option<&str> {
    said.lines().find_map(|line| line.strip_prefix("logit digest "))
}

#[test]
fn a_board_answers_as_bitnet_run_does_with_every_option() {
    let hot = ["--raw", "-t", "5", "-n", "12", "--ignore-eos", "once upon a time"];
    let with = |more: &[&'static str]| [&hot[..], more].concat();
    for args in [
        vec!["who is there?"],
        vec!["--prompt", "who is there?"],
        vec!["--system", "be kind", "who is there?"],
        vec!["--raw", "once upon a time"],
        vec!["--raw", "--no-echo", "--max-tokens", "3", "once upon a time"],
        vec!["--raw", "--lossy", "onceU upon a time"],
        vec!["--raw", "--stop-token", "19", "once upon a time"],
        with(&[]),
        with(&["--seed", "7"]),
        with(&["--top-k", "2"]),
        with(&["--top-k", "0"]),
    ] {
        let args = [&["--digest"], &args[..]].concat();
        let host =
            run(&[&["--model", MODEL_FILE, "--threads", "1", "--backend", "scalar"], &args[..]].concat());
        assert!(host.status.success(), "{args:?}: {}", stderr(&host));
        let (text, said) = success(&args);
        assert_eq!(text, stdout(&host), "{args:?}");
        assert!(digest(&said).is_some() && digest(&said) == digest(stderr(&host)), "{args:?}: {said}");
    }
}

#[test]
fn statistics_are_one_line_and_the_digest_is_printed_on_request() {
    let (_, said) = success(&["hi", "--seed", "9"]);
    assert!(said.starts_with("5 prompt tokens, 3 generated | prefill "), "{said}");
    assert!(said.ends_with(" | backend scalar, 1 core of a board of the tests | seed 9\n"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_board_describes_and_tests_itself() {
    let (text, _) = success(&["--describe"]);
    for part in [
        "a board of the tests, firmware",
        "protocol 1\n",
        "2 layers of 64",
        "context 64, KV cache f16",
        "steps of at most 10000",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let (text, _) = success(&["--self-test"]);
    assert!(text.starts_with("self-test: backend scalar is the definition, bit for bit, in "), "{text}");
    let wrong = device(
        &board(|response| {
            if let Response::SelfTest { failures, first, .. } = response {
                (*failures, *first) = (2, "matmul [1, 1, 1]");
            }
        }),
        &["--self-test"],
    );
    assert!(failure(&wrong).contains("wrong in 2 of"), "{}", stderr(&wrong));
}

const CHECK: [&str; 4] = ["--check", "--model", MODEL_FILE, "--raw"];

#[test]
fn a_check_passes_where_all_is_the_same() {
    for more in [&["once upon a time"][..], &["-n", "4", "--backend", "scalar", "--threads", "1", "once"]] {
        let (_, said) = success(&[&CHECK[..], more].concat());
        assert!(said.contains("check: "), "{said}");
        assert!(said.contains(" tokens and the logit digest are those of this machine, backend "), "{said}");
    }
    let (_, said) = success(&["--check", "--model", MODEL_FILE, "--system", "be kind", "hi"]);
    assert!(said.contains("check: "), "{said}");
}

#[test]
fn a_check_names_the_token_that_differs() {
    let address = board(|response| {
        if let Response::Token { index: 2, id, .. } = response {
            *id ^= 1;
        }
    });
    let line = failure(&device(&address, &[&CHECK[..], &["once upon a time"]].concat()));
    assert!(line.starts_with("token 2 of the answer differs: the board sampled "), "{line}");
    assert!(line.contains(") and this machine "), "{line}");
}

#[test]
fn a_check_compares_digest_end_and_image() {
    let checked =
        |tamper: Tamper| failure(&device(&board(tamper), &[&CHECK[..], &["once upon a time"]].concat()));
    let line = checked(|response| {
        if let Response::Done { digest: Some(digest), .. } = response {
            digest[0] ^= 1;
        }
    });
    assert!(line.contains("tokens are the same and the logits are not"), "{line}");
    let line = checked(|response| {
        if let Response::Done { stop, .. } = response {
            *stop = bitnet_edge_protocol::Stop::MaxTokens;
        }
    });
    assert!(line.contains("ends with MaxTokens"), "{line}");
    let line = checked(|response| {
        if let Response::Description(description) = response {
            description.image[0] ^= 1;
        }
    });
    assert!(line.starts_with("the board runs another image than "), "{line}");
    let story = failure(&device(&board(HONEST), &["--check", "once"]));
    assert!(story.starts_with("the board runs another image than the story model"), "{story}");
}

#[test]
fn what_a_board_refuses_is_said_with_advice() {
    let refused = |args: &[&str]| failure(&device(&board(HONEST), args));
    let line = refused(&["--raw", "once Upon"]);
    assert_eq!(
        line,
        "the board: no token for the byte 0x55 at offset 5 of the text; --lossy drops such bytes"
    );
    let line = refused(&["--raw", &"a".repeat(1100)]);
    assert!(line.contains("there is memory for 1024") && line.ends_with("; shorten the prompt"), "{line}");
    let line = refused(&["--raw", ""]);
    assert!(line.contains("has no token"), "{line}");
    let line = refused(&["--raw", "--system", "a", "b"]);
    assert!(line.starts_with("--system needs"), "{line}");
    let line = refused(&["--stop-token", "9999", "b"]);
    assert!(line.starts_with("--stop-token: "), "{line}");
}

#[test]
fn lost_tokens_are_noticed() {
    let address = board(|response| {
        if let Response::Token { index, .. } = response {
            *index += u32::from(*index > 1);
        }
    });
    let line = failure(&device(&address, &["--raw", "once upon a time"]));
    assert_eq!(line, "token 2 did not come and token 3 did: frames were lost on the way");
}

#[test]
fn a_board_that_sends_what_cannot_be_is_refused() {
    // The index behind the last one is none.
    let address = board(|response| {
        if let Response::Token { index, id, .. } = response {
            (*index, *id) = (u32::MAX, 0);
        }
    });
    let line = failure(&device(&address, &["--raw", "once upon a time"]));
    assert_eq!(line, "token 0 did not come and token 4294967295 did: frames were lost on the way");
    let sends = |tokens: fn(u32) -> Response<'static>| {
        let address = scripted(move |tag, request| match request {
            Request::Describe => vec![(tag, DESCRIPTION)],
            Request::Prompt(_) => (0..400).map(|n| (tag, tokens(n))).collect(),
            _ => vec![(tag, Response::Accepted)],
        });
        failure(&device(&address, &["-n", "2", "hi"]))
    };
    let line = sends(|index| Response::Token { index, id: 1, bytes: b"a" });
    assert_eq!(line, "the board sends more than the 2 tokens that it was asked for");
    let line = sends(|_| Response::Token { index: 0, id: 1, bytes: &[b'a'; CHUNK_BYTES] });
    assert_eq!(line, "token 0 is longer than 65536 bytes: no model has such tokens");
}

#[test]
fn a_board_that_still_answers_somebody_else_is_waited_for() {
    let mut asked = 0;
    let address = scripted(move |tag, request| match request {
        Request::Describe => {
            asked += 1;
            // What another program asked may have had the same tag.
            let other = (tag, Response::Token { index: 7, id: 1, bytes: b"a" });
            match asked {
                1 => vec![other, (tag, Response::Error(Error::Busy))],
                _ => vec![other, (tag, Response::Working), (tag, DESCRIPTION)],
            }
        }
        _ => vec![(tag, Response::Accepted)],
    });
    let output = device(&address, &["--describe"]);
    assert!(output.status.success(), "{}", stderr(&output));
    // One that never describes itself is none.
    let address = scripted(|tag, _| vec![(tag, Response::Accepted)]);
    let line = failure(&device(&address, &["--timeout", "1", "--describe"]));
    assert!(line.contains("answers with what this program does not know"), "{line}");
}

#[test]
fn noise_makes_a_prompt_be_sent_again_only_before_the_board_has_begun() {
    let prompts = |begun: &'static [Response<'static>]| {
        let (count, counted) = channel();
        let address = scripted(move |tag, request| match request {
            Request::Describe => vec![(tag, DESCRIPTION)],
            Request::Prompt(_) => {
                count.send(()).unwrap();
                let noise = (0, Response::Error(Error::Truncated { bytes: 1 }));
                // It is heard of the prompt that was sent last.
                let done =
                    Response::Done { stop: Stop::MaxTokens, statistics: Statistics::default(), digest: None };
                begun.iter().map(|response| (tag, response.clone())).chain([noise, (tag, done)]).collect()
            }
            _ => vec![(tag, Response::Accepted)],
        });
        let output = device(&address, &["hi"]);
        assert!(output.status.success(), "{}", stderr(&output));
        counted.iter().count()
    };
    assert_eq!(prompts(&[]), 3);
    assert_eq!(prompts(&[Response::Working]), 1);
}

/// Writes `bytes` to whoever connects, and then nothing.
fn says(bytes: Vec<u8>) -> String {
    listen(move |mut stream| {
        stream.write_all(&bytes).unwrap();
        // Until the other side hangs up.
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

#[test]
fn boards_that_do_not_speak_the_protocol_are_told_apart() {
    let asked = |address: &str| failure(&device(address, &["--timeout", "1", "--describe"]));
    let line = asked(&says(vec![]));
    assert!(line.starts_with("nothing came from 127.0.0.1:") && line.contains(" within 1 s; "), "{line}");
    let line = asked(&says(b"U-Boot 2024.01\r\n=> ".to_vec()));
    assert!(
        line.contains("writes text and answers no request within 1 s: its last line is \"=>\""),
        "{line}"
    );
    let line = asked(&listen(drop));
    assert!(line.starts_with("the connection to ") || line.starts_with("cannot "), "{line}");
}

#[test]
fn another_version_is_refused_with_both_numbers() {
    let address = listen(|mut stream| {
        let (mut receiver, mut byte) = (Receiver::new(), [0]);
        while stream.read(&mut byte).unwrap_or(0) == 1 {
            if receiver.push(byte[0]) == Received::Message {
                // A description of version 9, and whatever that has.
                let tag = receiver.message()[0];
                let mut data = vec![tag, 0, 9, 200, 200];
                data.extend(bitnet_edge_core::image::crc32(&data).to_le_bytes());
                stream.write_all(&framed(&data)).unwrap();
            }
        }
    });
    let line = failure(&device(&address, &["--timeout", "5", "--describe"]));
    assert!(line.contains("speaks version 9 of the device protocol and this program version 1"), "{line}");
}

/// COBS of less than 254 bytes, between zeros.
fn framed(data: &[u8]) -> Vec<u8> {
    let parts = data.split(|&byte| byte == 0);
    let coded = parts.flat_map(|part| [&[part.len() as u8 + 1], part].concat());
    [0].into_iter().chain(coded).chain([0]).collect()
}

#[test]
fn frames_of_this_test_are_frames() {
    let mut frame = [0; FRAME_BYTES];
    let frame = encode(1, &Response::Accepted, &mut frame).unwrap();
    let mut data = vec![1, 1];
    data.extend(bitnet_edge_core::image::crc32(&data).to_le_bytes());
    assert_eq!(framed(&data), frame);
}

#[test]
fn connections_that_cannot_be_made_say_what_to_do() {
    let said = |args: &[&str]| failure(&bitnet().arg("device").args(args).output().unwrap());
    let line = said(&["--port", "/dev/no-such-port", "--baud", "9600", "--describe"]);
    assert!(line.starts_with("cannot open the serial port /dev/no-such-port: "), "{line}");
    assert!(line.contains("this machine"), "{line}");
    let line = said(&["--tcp", "127.0.0.1", "--describe"]);
    assert!(line.contains("it must be HOST:PORT"), "{line}");
    let line = said(&["--tcp", "127.0.0.1:1", "--describe"]);
    assert!(line.starts_with("cannot connect to 127.0.0.1:1"), "{line}");
    let line = said(&["--qemu", "abacus", "--firmware", MODEL_FILE, "--describe"]);
    assert!(line.contains("the boards are virt-aarch64, mps2-an386"), "{line}");
    let line = said(&["--qemu", "mps2-an500", "--firmware", "no-such-file", "--describe"]);
    assert!(line.contains("`cargo xtask simulate mps2-an500 --build`"), "{line}");
    for usage in [
        &["--describe"][..],
        &["--tcp", "a:1"],
        &["--qemu", "mps2-an500", "hi"],
        &["--tcp", "a:1", "--model", "m", "hi"],
    ] {
        let output = bitnet().arg("device").args(usage).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{usage:?}: {}", stderr(&output));
    }
}

/// A `bitnet device` whose board has sent the first token of an answer.
#[cfg(unix)]
fn begun(address: &str) -> Child {
    let mut child = bitnet()
        .args(["device", "--tcp", address, "--raw", "--no-echo", "once upon a time"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0];
    if child.stdout.as_mut().unwrap().read_exact(&mut first).is_err() {
        panic!("{}", stderr(&child.wait_with_output().unwrap()));
    }
    child
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
}

/// The first Ctrl-C ends the answer on the board.
#[cfg(unix)]
#[test]
fn an_interrupt_cancels_the_answer_on_the_board() {
    let child = begun(&board_that_holds());
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).starts_with("note: interrupted\n"), "{}", stderr(&output));
}

/// The second one ends the program, whatever the board does.
#[cfg(unix)]
#[test]
fn a_second_interrupt_ends_the_program() {
    let (cancel, cancelled) = channel();
    let address = scripted(move |tag, request| match request {
        Request::Describe => vec![(tag, DESCRIPTION)],
        Request::Prompt(_) => vec![(tag, Response::Token { index: 0, id: 1, bytes: b"a" })],
        Request::Cancel => {
            cancel.send(()).unwrap();
            vec![]
        }
        _ => vec![(tag, Response::Accepted)],
    });
    let child = begun(&address);
    interrupt(&child);
    cancelled.recv().unwrap();
    interrupt(&child);
    assert_eq!(failure(&child.wait_with_output().unwrap()), "interrupted");
}
