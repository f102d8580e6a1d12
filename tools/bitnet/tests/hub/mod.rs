//! A hub on this machine, that answers as huggingface.co does and can be told to misbehave.
#![allow(dead_code)] // each file of tests uses a part of it

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

use bitnet_pack::convert::hex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::common::{bitnet, stderr, stdout};

/// What a client asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: HashMap<String, String>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Where the bytes that are asked for begin.
    pub(crate) fn start(&self) -> usize {
        let range = self.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        range.map_or(0, |start| start.parse().unwrap())
    }
}

/// What a server answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// The connection ends after so many bytes of the body.
    pub(crate) cut: Option<usize>,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The content from where the request wants it.
    pub(crate) fn part(content: &[u8], request: &Request) -> Self {
        let (start, total) = (request.start(), content.len());
        if request.header("range").is_none() {
            return Self { body: content.to_vec(), ..Self::status(200) };
        }
        let range = format!("bytes {start}-{}/{total}", total - 1);
        Self { body: content[start..].to_vec(), ..Self::status(206) }.with("Content-Range", range)
    }
}

/// A server, for as long as the test runs.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers each request by `answer`, which also gets how many came before it.
    pub(crate) fn start(answer: impl Fn(&Request, usize) -> Reply + Send + 'static) -> Self {
        Self::over("http", |stream| stream, answer)
    }

    /// As [`Server::start`], with a certificate of the test authority.
    pub(crate) fn start_encrypted(answer: impl Fn(&Request, usize) -> Reply + Send + 'static) -> Self {
        let certificate = CertificateDer::from_pem_slice(include_bytes!("../data/tls/server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("../data/tls/server.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let config = Arc::new(config);
        let encrypt =
            move |stream| StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
        Self::over("https", encrypt, answer)
    }

    fn over<S: Read + Write>(
        scheme: &str,
        encrypt: impl Fn(TcpStream) -> S + Send + 'static,
        answer: impl Fn(&Request, usize) -> Reply + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = encrypt(stream.unwrap());
                let Some(request) = read(&mut stream) else { continue };
                let before = log.lock().unwrap().len();
                let reply = answer(&request, before);
                let head = request.method == "HEAD";
                log.lock().unwrap().push(request);
                // A client that has seen enough closes early.
                let _ = write(&mut stream, &reply, head);
            }
        });
        Self { url, requests }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// The request that a connection begins with; `None` if there is none.
pub(crate) fn read(stream: &mut impl Read) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let headers = lines.map_while(|line| {
        let line = line.ok()?;
        let (name, value) = line.split_once(": ")?;
        Some((name.to_lowercase(), value.to_owned()))
    });
    Some(Request { method, path, headers: headers.collect() })
}

pub(crate) fn write(stream: &mut impl Write, reply: &Reply, head: bool) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let framed = |name: &str| ["content-length", "transfer-encoding"].contains(&name.to_lowercase().as_str());
    if !reply.headers.iter().any(|(name, _)| framed(name)) {
        text.push_str(&format!("Content-Length: {}\r\n", reply.body.len()));
    }
    stream.write_all(text.as_bytes())?;
    stream.write_all(b"\r\n")?;
    if !head {
        stream.write_all(&reply.body[..reply.cut.unwrap_or(reply.body.len())])?;
    }
    stream.flush()
}

/// The commit that the hub is at.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

pub(crate) fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

/// As the hub describes a large file, which lies at `location`.
pub(crate) fn described(content: &[u8], location: &str) -> Reply {
    Reply::status(302)
        .with("Location", location)
        .with("X-Repo-Commit", COMMIT)
        .with("X-Linked-Etag", format!("\"{}\"", sha256(content)))
        .with("X-Linked-Size", content.len().to_string())
        .with("ETag", "\"of the redirect\"")
}

/// A hub that has one file, whatever it is asked for, at another server.
pub(crate) fn hub_of(content: &[u8], store: &Server) -> Server {
    Server::start(hub_answers(content, store))
}

/// What such a hub answers.
pub(crate) fn hub_answers(
    content: &[u8],
    store: &Server,
) -> impl Fn(&Request, usize) -> Reply + Send + 'static {
    let (content, store) = (content.to_vec(), store.url.clone());
    move |request, _| {
        if request.path.starts_with("/api/models/") {
            let size = content.len();
            let list = format!(
                r#"{{"sha": "{COMMIT}", "siblings": [{{"rfilename": "README.md", "size": 9}},
                    {{"rfilename": "a.gguf", "size": {size}, "lfs": {{"sha256": "x"}}}}]}}"#
            );
            return Reply { body: list.into_bytes(), ..Reply::status(200) };
        }
        described(&content, &format!("{store}/signed?for=a.gguf"))
    }
}

/// A server that has one file.
pub(crate) fn store_of(content: &[u8]) -> Server {
    let content = content.to_vec();
    Server::start(move |request, _| Reply::part(&content, request))
}

/// Some bytes that are not all the same.
pub(crate) fn content() -> Vec<u8> {
    (0..300_000u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()).collect()
}

/// `bitnet` with a hub, a cache, and nothing else of the environment that could lead elsewhere.
pub(crate) fn with_hub(endpoint: &str, home: &Path) -> Command {
    let mut command = bitnet();
    for name in [
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "HF_TOKEN_PATH",
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "XDG_CACHE_HOME",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "BITNET_BACKEND",
    ] {
        command.env_remove(name);
    }
    command.env("HF_ENDPOINT", endpoint).env("HF_HOME", home);
    command
}

/// `bitnet pull` with a cache of its own.
pub(crate) fn pull(endpoint: &str, home: &Path, args: &[&str]) -> Output {
    with_hub(endpoint, home).arg("pull").args(args).output().unwrap()
}

#[track_caller]
pub(crate) fn pulled(output: &Output) -> PathBuf {
    assert!(output.status.success(), "{}", stderr(output));
    PathBuf::from(stdout(output).strip_suffix('\n').unwrap())
}

/// The line that a failure is.
#[track_caller]
pub(crate) fn refused(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(1), "{}", stderr(output));
    assert_eq!(stdout(output), "");
    stderr(output).lines().last().unwrap().strip_prefix("error: ").unwrap()
}

pub(crate) fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn blobs(home: &TempDir) -> PathBuf {
    home.path().join("hub/models--me--model/blobs")
}

/// The names in a folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
