//! What the hub is asked over HTTP: lists of files, descriptions of a file, its bytes.

use std::cell::OnceCell;
use std::time::Duration;
use std::{env, fmt};

use anyhow::{Context, Result, anyhow, bail, ensure};
use bitnet_pack::report::say;
use hf_hub::Cache;
use serde::Deserialize;
use ureq::Agent;
use ureq::http::{Response, StatusCode, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::address::{Address, check_path};

const ENDPOINT: &str = "https://huggingface.co";
/// Redirects that are followed.
const REDIRECTS: usize = 10;
/// A list of files is shorter.
const LIST_BYTES: u64 = 64 << 20;
/// How long a connection may take, or a byte to come.
const CONNECT: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(60);

/// A hub that speaks the protocol of huggingface.co, and who asks it.
pub(super) struct Hub {
    open: Agent,
    /// Made when a server is first asked over TLS: the certificates are needed only then.
    encrypted: OnceCell<Agent>,
    endpoint: String,
    token: Option<String>,
}

/// A file of a repository's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) path: String,
    pub(super) bytes: Option<u64>,
}

/// A file as the hub describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    /// The name of its content: the SHA-256 of what is large.
    pub(super) etag: String,
    /// The commit that the revision stands for.
    pub(super) commit: String,
    pub(super) bytes: u64,
}

impl Description {
    /// The digest of the content, where its name is one.
    pub(super) fn sha256(&self) -> Option<&str> {
        is_sha256(&self.etag).then_some(&self.etag)
    }
}

/// Whether the name of a content is its digest.
pub(super) fn is_sha256(etag: &str) -> bool {
    etag.len() == 64 && etag.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Hub {
    /// The hub that `HF_ENDPOINT` names, asked with the token of `HF_TOKEN` or of the cache.
    pub(super) fn from_env(cache: &Cache) -> Result<Self> {
        let set =
            |name| env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let home = origin(&endpoint).context("HF_ENDPOINT")?;
        let token = set("HF_TOKEN").or_else(|| set("HUGGING_FACE_HUB_TOKEN"));
        let token = token.or_else(|| {
            let file = set("HF_TOKEN_PATH").and_then(|path| std::fs::read_to_string(path).ok());
            file.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty())
        });
        let token = token.or_else(|| cache.token());
        if token.is_some() && home.starts_with("http:") {
            say(format_args!("note: HF_ENDPOINT is not encrypted: the token goes to {home} for all to read"));
        }
        Ok(Self { open: agent(None), encrypted: OnceCell::new(), endpoint, token })
    }

    /// Who asks a server.
    fn agent(&self, origin: &str) -> Result<&Agent> {
        if !origin.starts_with("https:") {
            return Ok(&self.open);
        }
        if let Some(agent) = self.encrypted.get() {
            return Ok(agent);
        }
        let agent = agent(Some(tls()?));
        Ok(self.encrypted.get_or_init(|| agent))
    }

    /// The files of a repository.
    pub(super) fn list(&self, address: &Address) -> Result<Vec<Listed>> {
        #[derive(Deserialize)]
        struct Repository {
            #[serde(default)]
            siblings: Vec<Sibling>,
        }
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
            size: Option<u64>,
        }
        let revision = encoded(&address.revision, false);
        let url = format!("{}/api/models/{}/revision/{revision}?blobs=true", self.endpoint, address.repo);
        let response = self.request(Method::Get, &url, None)?;
        let text = body_text(response, &url)?;
        let list: Repository =
            serde_json::from_str(&text).with_context(|| format!("{url} gives no list of files"))?;
        let files = list.siblings.into_iter().map(|file| Listed { path: file.rfilename, bytes: file.size });
        Ok(files.filter(|file| check_path(&file.path).is_ok()).collect())
    }

    /// What a file is: its size, digest and commit.
    pub(super) fn describe(&self, address: &Address, file: &str) -> Result<Description> {
        let url = self.url(address, &address.revision, file);
        let response = self.request(Method::Describe, &url, None)?;
        let header = |names: [&str; 2]| {
            let value = names.into_iter().find_map(|name| response.headers().get(name));
            value.and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let missing = |what: &str| anyhow!("{url}: the answer has no {what}; is HF_ENDPOINT a hub?");
        let etag = header(["x-linked-etag", "etag"]).ok_or_else(|| missing("ETag"))?;
        // The length of a redirect is that of the redirect.
        let redirected = response.status().is_redirection();
        let length = if redirected { "x-linked-size" } else { "content-length" };
        let bytes = header(["x-linked-size", length]).and_then(|text| text.parse().ok());
        Ok(Description {
            etag: etag.trim_start_matches("W/").trim_matches('"').to_owned(),
            commit: header(["x-repo-commit"; 2]).ok_or_else(|| missing("X-Repo-Commit"))?,
            bytes: bytes.ok_or_else(|| missing(if redirected { "X-Linked-Size" } else { "size" }))?,
        })
    }

    /// The bytes of a file of a commit, from `start` on, if the server can do that.
    pub(super) fn open(
        &self,
        address: &Address,
        file: &str,
        commit: &str,
        start: u64,
    ) -> Result<Response<ureq::Body>> {
        self.request(Method::Get, &self.url(address, commit, file), (start > 0).then_some(start))
    }

    fn url(&self, address: &Address, revision: &str, file: &str) -> String {
        format!(
            "{}/{}/resolve/{}/{}",
            self.endpoint,
            address.repo,
            encoded(revision, false),
            encoded(file, true)
        )
    }

    /// A request, and those that redirects ask for. The token goes to the hub itself only.
    fn request(&self, method: Method, url: &str, start: Option<u64>) -> Result<Response<ureq::Body>> {
        let home = origin(&self.endpoint)?;
        let mut url = url.to_owned();
        for _ in 0..REDIRECTS {
            let here = origin(&url)?;
            let agent = self.agent(&here)?;
            let mut request = match method {
                Method::Get => agent.get(&url),
                Method::Describe => agent.head(&url),
            };
            // What is described is the file, not what it may be compressed to.
            request = request.header("accept-encoding", "identity");
            if let Some(token) = self.token.as_ref().filter(|_| here == home) {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            if let Some(start) = start {
                request = request.header("range", format!("bytes={start}-"));
            }
            let response = request.call().map_err(|error| refused(error, &here))?;
            if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED {
                return self.checked(response, &url);
            }
            let next = response.headers().get("location").and_then(|value| value.to_str().ok());
            let next = next.with_context(|| format!("{here} redirects to nowhere"))?;
            let next = if next.starts_with('/') { format!("{here}{next}") } else { next.to_owned() };
            let there = origin(&next)?;
            // The hub describes a file that lies elsewhere while it sends there.
            if method == Method::Describe && there != here {
                return Ok(response);
            }
            ensure!(
                !here.starts_with("https:") || there.starts_with("https:"),
                "{here} redirects to {there}, which is not encrypted"
            );
            url = next;
        }
        bail!("{home} redirects in a circle")
    }

    fn checked(&self, response: Response<ureq::Body>, url: &str) -> Result<Response<ureq::Body>> {
        let status = response.status();
        if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(response);
        }
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let said = header("x-error-message").map(|text| format!(" ({text})")).unwrap_or_default();
        let code = header("x-error-code").unwrap_or_default();
        let advice = match (status.as_u16(), code) {
            (_, "GatedRepo") | (403, _) => {
                "the repository asks for consent: accept its terms on its page, and give HF_TOKEN a token of that account"
            }
            (401, _) if self.token.is_some() => {
                "the token is not accepted: HF_TOKEN, or the file `token` in HF_HOME"
            }
            (401, _) => "there is no such repository, or it needs a token in HF_TOKEN",
            (_, "RevisionNotFound") => "the repository has no such revision",
            (404, _) => "there is no such repository, revision or file",
            (429, _) => "too many requests: wait, or give HF_TOKEN a token",
            (500.., _) => "the server has a problem: try again later",
            _ => "the server refuses",
        };
        let refusal = Refusal { url: without_query(url).to_owned(), status: status.as_u16(), said, advice };
        Err(refusal.into())
    }
}

/// What a server answers that does not give what was asked for.
#[derive(Debug)]
pub(super) struct Refusal {
    url: String,
    pub(super) status: u16,
    said: String,
    advice: &'static str,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answers {}{}: {}", self.url, self.status, self.said, self.advice)
    }
}

impl std::error::Error for Refusal {}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Describe,
}

fn refused(error: ureq::Error, host: &str) -> anyhow::Error {
    anyhow::Error::new(error).context(format!("cannot reach {host}"))
}

fn body_text(mut response: Response<ureq::Body>, url: &str) -> Result<String> {
    let body = response.body_mut().with_config().limit(LIST_BYTES);
    body.read_to_string().with_context(|| format!("cannot read what {url} answers"))
}

fn agent(tls: Option<TlsConfig>) -> Agent {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE))
        .user_agent(concat!("bitnet-edge/", env!("CARGO_PKG_VERSION")));
    if let Some(tls) = tls {
        config = config.tls_config(tls);
    }
    config.build().into()
}

/// TLS with the certificates that the system trusts, or the file that SSL_CERT_FILE names.
fn tls() -> Result<TlsConfig> {
    // Fails only where there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        bail!(
            "the system has no certificates to know servers by{why}; install ca-certificates, or set SSL_CERT_FILE"
        );
    }
    let certificates = found.certs.iter().map(|der| Certificate::from_der(der).to_owned());
    Ok(TlsConfig::builder().root_certs(RootCerts::from(certificates)).build())
}

/// An address as it may be shown: what signs it lies in the query, and is as good as a password.
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> Result<String> {
    let shown = without_query(url);
    let uri: Uri = url.parse().with_context(|| format!("{shown:?} is no address"))?;
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme @ ("http" | "https")), Some(authority)) => {
            let host = authority.host().to_ascii_lowercase();
            let port = authority.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
            let usual = matches!((scheme, port), ("https", 443) | ("http", 80));
            Ok(if usual { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{port}") })
        }
        _ => bail!("{shown:?} is no address that begins with https:// or http://"),
    }
}

/// A path as a part of an address; `slashes` stay where they part folders.
fn encoded(path: &str, slashes: bool) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            b'/' if slashes => text.push('/'),
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for (url, expected) in [
            ("https://Hub.example/a?b", "https://hub.example"),
            ("https://hub.example:443", "https://hub.example"),
            ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080"),
            // What stands before an @ is no host.
            ("https://hub.example@other.example/", "https://other.example"),
        ] {
            assert_eq!(origin(url).unwrap(), expected);
        }
        for url in ["ftp://hub.example", "hub.example", "/a", "https://", ""] {
            assert!(origin(url).is_err(), "{url}");
        }
    }

    #[test]
    fn names_become_parts_of_addresses() {
        assert_eq!(encoded("a b/c+ü.gguf", true), "a%20b/c%2B%C3%BC.gguf");
        assert_eq!(encoded("refs/pr/1", false), "refs%2Fpr%2F1");
    }

    #[test]
    fn only_a_sha_256_is_one() {
        let of = |etag: &str| Description { etag: etag.to_owned(), commit: "c".to_owned(), bytes: 1 };
        assert!(of(&"0aF".repeat(22)[..64]).sha256().is_some());
        assert_eq!(of(&"0a".repeat(20)).sha256(), None);
        assert_eq!(of(&"xx".repeat(32)).sha256(), None);
    }
}
