//! The device protocol. The first byte of an input chooses what the rest is: bytes on a line, or a message that came out of a
//! frame. What can be read must survive being written and read again.

#![no_main]

use bitnet_edge_protocol::{
    FRAME_BYTES, MESSAGE_BYTES, Received, Receiver, Request, Response, decode, encode, version_of,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    match input.split_first() {
        Some((0, line)) => {
            let mut receiver = Receiver::new();
            for &byte in line {
                if receiver.push(byte) == Received::Message {
                    assert!(!receiver.is_inside());
                    read(receiver.message());
                }
            }
            let _ = receiver.give_up();
            assert!(!receiver.is_inside());
        }
        Some((_, message)) => read(&message[..message.len().min(MESSAGE_BYTES)]),
        None => {}
    }
});

/// Reads, writes, and reads again. Compared as text, in which a number that is none equals itself.
macro_rules! again {
    ($kind:ty, $message:expr) => {
        if let (tag, Ok(read)) = decode::<$kind>($message) {
            let mut frame = [0; FRAME_BYTES];
            // Numbers may come in more bytes than they need, never in fewer: what was read fits.
            let frame = encode(tag, &read, &mut frame).expect("a message that was read is not too long");
            let mut receiver = Receiver::new();
            let (last, before) = frame.split_last().expect("a frame is not empty");
            assert!(before.iter().all(|&byte| receiver.push(byte) == Received::Part));
            assert_eq!(receiver.push(*last), Received::Message);
            let (same, written) = decode::<$kind>(receiver.message());
            assert_eq!((same, format!("{written:?}")), (tag, format!("{:?}", Ok::<_, ()>(read))));
        }
    };
}

fn read(message: &[u8]) {
    let _ = version_of(message);
    again!(Request<'_>, message);
    again!(Response<'_>, message);
}
