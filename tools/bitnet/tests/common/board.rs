//! A board behind a TCP port: the program of real boards in a thread, with a socket for its serial line.
#![allow(dead_code)] // each file of tests uses a part of it

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use bitnet_edge_board::{Board, Machine, run};
use bitnet_edge_core::model::OneThread;
use bitnet_edge_core::{Line, include_image};
use bitnet_edge_kernels::Scalar;
use bitnet_edge_protocol::{
    Description, FRAME_BYTES, KvCache, Received, Receiver, Request, Response, VERSION, decode, encode,
};

pub(crate) static MODEL: &[u8] = include_image!("../../../../core/testdata/tiny.bpk");
/// Its file.
pub(crate) const MODEL_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../core/testdata/tiny.bpk");

/// What happens to messages on their way to the host.
pub(crate) type Tamper = fn(&mut Response<'_>);

struct Socket {
    stream: TcpStream,
    start: Instant,
    tamper: Tamper,
    frames: Receiver,
    /// Whether the answer goes on behind its first token only if the host says something.
    holds: bool,
    /// How many keys were typed since the host hung up.
    hung_up: usize,
}

impl Board for Socket {
    fn read(&mut self) -> Option<u8> {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(1) => Some(byte[0]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            // A host that is gone: Ctrl-C for the answer, Ctrl-D for the end; none where a frame may be open.
            _ => {
                self.hung_up += 1;
                [Some(0x03), Some(0x04), None].get(self.hung_up % 3).copied().flatten()
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match self.frames.push(byte) {
                Received::Byte(byte) => self.send(&[byte]),
                Received::Message => {
                    let message = self.frames.message().to_vec();
                    let (tag, response) = decode::<Response<'_>>(&message);
                    let mut response = response.unwrap();
                    (self.tamper)(&mut response);
                    let mut frame = [0; FRAME_BYTES];
                    let frame = encode(tag, &response, &mut frame).unwrap().to_vec();
                    self.send(&frame);
                    while self.holds && matches!(response, Response::Token { .. }) && self.hears_nothing() {
                        thread::yield_now();
                    }
                }
                Received::Part => {}
                Received::Broken(error) => panic!("{error}"),
            }
        }
    }

    fn now_us(&mut self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    fn alive(&mut self) {
        thread::yield_now();
    }
}

impl Socket {
    fn hears_nothing(&self) -> bool {
        self.stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
                // Nobody listens any more.
                Err(_) => return,
            }
        }
    }
}

/// Starts a board for one host; its address.
pub(crate) fn board(tamper: Tamper) -> String {
    start(tamper, false)
}

/// The same, but behind each token of an answer it waits until the host says something.
pub(crate) fn board_that_holds() -> String {
    start(|_| {}, true)
}

fn start(tamper: Tamper, holds: bool) -> String {
    listen(move |stream| {
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut socket =
            Socket { stream, start: Instant::now(), tamper, frames: Receiver::new(), holds, hung_up: 0 };
        let machine = Machine {
            title: &"a board of the tests",
            model: MODEL,
            arena: &mut vec![Line::ZERO; 4096],
            kernels: &[Scalar],
            split: OneThread,
            options: None,
            budget: 10_000,
        };
        run(&mut socket, machine).unwrap();
    })
}

/// A board that says what `says` makes of tag and request: responses with their tags.
pub(crate) fn scripted(
    mut says: impl FnMut(u8, Request<'_>) -> Vec<(u8, Response<'static>)> + Send + 'static,
) -> String {
    listen(move |mut stream| {
        let (mut receiver, mut byte) = (Receiver::new(), [0]);
        while stream.read(&mut byte).unwrap_or(0) == 1 {
            if receiver.push(byte[0]) != Received::Message {
                continue;
            }
            let message = receiver.message().to_vec();
            let (tag, request) = decode(&message);
            for (tag, response) in says(tag, request.unwrap()) {
                let mut frame = [0; FRAME_BYTES];
                if stream.write_all(encode(tag, &response, &mut frame).unwrap()).is_err() {
                    return;
                }
            }
        }
    })
}

/// What such a board may say that it is.
pub(crate) const DESCRIPTION: Response<'static> = Response::Description(Description {
    protocol: VERSION,
    title: "a script",
    firmware: "1",
    backend: "scalar",
    cores: 1,
    budget: u32::MAX,
    plan_bytes: 1,
    arena_bytes: 1,
    context: 64,
    kv: KvCache::F16,
    prompt_bytes: 64,
    layers: 1,
    dim: 64,
    vocab: 64,
    chat: false,
    image_bytes: 64,
    image: [0; 32],
});

/// Does `talk` with the first one who connects; the address.
pub(crate) fn listen(talk: impl FnOnce(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (ready, is_ready) = channel();
    thread::spawn(move || {
        ready.send(()).unwrap();
        talk(listener.accept().unwrap().0);
    });
    is_ready.recv().unwrap();
    address
}
