//! Ways to a board: a serial port, a TCP connection, an emulator.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serial2::SerialPort;

use super::qemu;

#[derive(Debug, Args)]
pub(crate) struct ConnectionArgs {
    /// A serial port, such as /dev/ttyACM0 or COM3
    #[arg(long, value_name = "PATH", required_unless_present_any = ["tcp", "qemu"], conflicts_with_all = ["tcp", "qemu"])]
    port: Option<String>,
    /// Bits a second of the serial port
    #[arg(long, value_name = "N", default_value_t = 115_200, requires = "port")]
    baud: u32,
    /// A board, or a serial line, behind a TCP port
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "qemu")]
    tcp: Option<String>,
    /// A board in QEMU, which is started and ended with the conversation
    #[arg(long, value_name = "BOARD", requires = "firmware")]
    qemu: Option<String>,
    /// The program of that board
    #[arg(long, value_name = "FILE", requires = "qemu")]
    firmware: Option<PathBuf>,
}

/// Bytes to a board, and bytes from it.
pub(super) struct Connection {
    /// What a user calls it.
    pub(super) name: String,
    /// What to look at if nothing comes.
    pub(super) advice: &'static str,
    pub(super) out: Box<dyn Write>,
    /// It ends where the connection does.
    pub(super) heard: Receiver<io::Result<Vec<u8>>>,
    /// The emulator, if that is what it is.
    pub(super) emulator: Option<Emulator>,
}

/// A program that ends with the connection.
pub(super) struct Emulator(pub(super) Child);

impl Drop for Emulator {
    fn drop(&mut self) {
        // One that has ended by itself cannot be ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl ConnectionArgs {
    /// Opens the one that is asked for.
    pub(super) fn open(&self, timeout: Duration) -> Result<Connection> {
        if let Some(port) = &self.port {
            return serial(port, self.baud);
        }
        if let Some(address) = &self.tcp {
            return tcp(address, timeout);
        }
        let (Some(board), Some(firmware)) = (&self.qemu, &self.firmware) else {
            bail!("one of --port, --tcp and --qemu is needed");
        };
        let mut child = qemu::start(board, firmware)?;
        let (out, heard): (ChildStdin, _) =
            (child.stdin.take().context("no stdin")?, child.stdout.take().context("no stdout")?);
        Ok(Connection {
            name: format!("QEMU {board}"),
            advice: "is --firmware a program for this board? `cargo xtask simulate BOARD --build` makes one",
            out: Box::new(out),
            heard: listen(heard),
            emulator: Some(Emulator(child)),
        })
    }
}

fn serial(path: &str, baud: u32) -> Result<Connection> {
    let port = match SerialPort::open(path, baud) {
        Ok(port) => port,
        Err(error) => bail!("{}", no_port(path, &error)),
    };
    // Boards with USB send nothing until they know that somebody listens. Other ports have no such line.
    let _ = port.set_dtr(true);
    let hears = port.try_clone().with_context(|| path.to_owned())?;
    Ok(Connection {
        name: path.to_owned(),
        advice: "is the board powered, is this its port, and is --baud its speed?",
        out: Box::new(port),
        heard: listen(hears),
        emulator: None,
    })
}

/// Why a port cannot be opened, and what to do.
fn no_port(path: &str, error: &io::Error) -> String {
    let advice = match error.kind() {
        ErrorKind::PermissionDenied => {
            "give yourself access to it; on Linux: `sudo usermod -aG dialout $USER`, and log in again"
                .to_owned()
        }
        ErrorKind::NotFound => {
            let ports = SerialPort::available_ports().unwrap_or_default();
            let ports: Vec<_> = ports.iter().map(|port| port.display().to_string()).collect();
            if ports.is_empty() {
                "this machine has no serial port: plug the board in".to_owned()
            } else {
                format!("the ports of this machine are {}", ports.join(", "))
            }
        }
        _ => "it must be a serial port, and no other program may use it".to_owned(),
    };
    format!("cannot open the serial port {path}: {error}; {advice}")
}

fn tcp(address: &str, timeout: Duration) -> Result<Connection> {
    let resolved = address.to_socket_addrs().with_context(|| {
        format!("--tcp {address} is no address; it must be HOST:PORT, such as localhost:7000")
    })?;
    let mut result = Err(io::Error::other("the name has no address"));
    for one in resolved {
        result = TcpStream::connect_timeout(&one, timeout);
        if result.is_ok() {
            break;
        }
    }
    let stream = result.with_context(|| {
        format!(
            "cannot connect to {address}; is the board, or the program that forwards its line, running there?"
        )
    })?;
    stream.set_nodelay(true)?;
    let hears = stream.try_clone()?;
    Ok(Connection {
        name: address.to_owned(),
        advice: "is it a board that listens there?",
        out: Box::new(stream),
        heard: listen(hears),
        emulator: None,
    })
}

/// Reads in a thread of its own, so that nobody waits longer than they want to.
fn listen(from: impl Read + Send + 'static) -> Receiver<io::Result<Vec<u8>>> {
    let (send, receive) = channel();
    thread::spawn(move || forward(from, &send));
    receive
}

fn forward(mut from: impl Read, to: &Sender<io::Result<Vec<u8>>>) {
    let mut buffer = [0; 4096];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => Ok(buffer[..count].to_vec()),
            // A serial port that has nothing to say.
            Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => continue,
            Err(error) => Err(error),
        };
        let end = read.is_err();
        if to.send(read).is_err() || end {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_cannot_be_opened_says_what_to_do() {
        let denied = no_port("/dev/ttyACM0", &io::Error::from(ErrorKind::PermissionDenied));
        assert!(denied.contains("dialout"), "{denied}");
        let busy = no_port("/dev/ttyACM0", &io::Error::from(ErrorKind::ResourceBusy));
        assert!(busy.contains("no other program"), "{busy}");
    }
}
