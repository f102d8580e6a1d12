//! `bitnet pull` against a hub on this machine: no other is reached.
#![cfg(feature = "pull")]

mod common;
mod hub;

use std::fs;
use std::path::Path;
use std::process::Output;

use common::{bitnet, stderr, stdout};
use hub::{
    COMMIT, Reply, Server, blobs, content, described, home, hub_answers, hub_of, names, pull, pulled,
    refused, sha256, store_of, with_hub,
};
use tempfile::TempDir;

#[test]
fn a_file_comes_whole_and_only_once() {
    let (home, content) = (home(), content());
    let store = store_of(&content);
    let hub = hub_of(&content, &store);
    // The only GGUF file is the one that is meant.
    let output = pull(&hub.url, home.path(), &["hf:me/model"]);
    let path = pulled(&output);
    assert_eq!(fs::read(&path).unwrap(), content);
    // As other tools keep it.
    assert_eq!(path, home.path().join(format!("hub/models--me--model/snapshots/{COMMIT}/a.gguf")));
    assert_eq!(fs::read_to_string(home.path().join("hub/models--me--model/refs/main")).unwrap(), COMMIT);
    assert_eq!(names(&blobs(&home)), [sha256(&content)]);
    if cfg!(unix) {
        assert_eq!(fs::read_link(&path).unwrap(), Path::new("../../blobs").join(sha256(&content)));
    }
    let said = stderr(&output);
    assert!(
        said.contains("next: bitnet-pack convert ") && said.contains("bitnet run --model a.bpk"),
        "{said}"
    );
    let asked: Vec<(String, String)> = hub.requests().into_iter().map(|r| (r.method, r.path)).collect();
    assert_eq!(
        asked,
        [
            ("GET".to_owned(), "/api/models/me/model/revision/main?blobs=true".to_owned()),
            ("HEAD".to_owned(), "/me/model/resolve/main/a.gguf".to_owned()),
            ("GET".to_owned(), format!("/me/model/resolve/{COMMIT}/a.gguf")),
        ]
    );
    // A second time nothing but the description is asked for.
    let output = pull(&hub.url, home.path(), &["hf:me/model/a.gguf", "--quiet"]);
    assert_eq!((pulled(&output), stderr(&output)), (path, ""));
    assert_eq!((hub.requests().len(), store.requests().len()), (4, 1));
}

/// A store that ends each connection after `most` bytes.
fn cutting(content: &[u8], most: usize) -> Server {
    let content = content.to_vec();
    Server::start(move |request, _| {
        let reply = Reply::part(&content, request);
        Reply { cut: Some(most.min(reply.body.len())), ..reply }
    })
}

#[test]
fn a_connection_that_ends_is_taken_up_again() {
    let (home, content) = (home(), content());
    let store = cutting(&content, content.len() / 3);
    let hub = hub_of(&content, &store);
    let path = pulled(&pull(&hub.url, home.path(), &["hf:me/model/a.gguf", "--retries", "0"]));
    assert_eq!(fs::read(path).unwrap(), content);
    let starts: Vec<usize> = store.requests().iter().map(hub::Request::start).collect();
    assert_eq!(starts.len(), 3, "{starts:?}");
    assert!(starts.windows(2).all(|pair| pair[0] < pair[1]) && starts[0] == 0, "{starts:?}");
}

#[test]
fn a_server_that_knows_no_ranges_begins_anew() {
    let (home, content) = (home(), content());
    fs::create_dir_all(blobs(&home)).unwrap();
    let partial = blobs(&home).join(format!("{}.incomplete", sha256(&content)));
    for left in [&content[..1000], &[7; 1000][..], &vec![1; content.len() + 1]] {
        let _ = fs::remove_file(blobs(&home).join(sha256(&content)));
        fs::write(&partial, left).unwrap();
        let whole = content.clone();
        let store = Server::start(move |_, _| Reply { body: whole.clone(), ..Reply::status(200) });
        let hub = hub_of(&content, &store);
        let path = pulled(&pull(&hub.url, home.path(), &["hf:me/model/a.gguf", "-q"]));
        assert_eq!(fs::read(path).unwrap(), content);
    }
}

#[test]
fn what_has_the_wrong_digest_is_refused_and_removed() {
    let (home, content) = (home(), content());
    let mut other = content.clone();
    other[12_345] ^= 1;
    let hub = hub_of(&content, &store_of(&other));
    let output = pull(&hub.url, home.path(), &["hf:me/model/a.gguf"]);
    let line = refused(&output);
    assert!(line.contains(&sha256(&other)) && line.contains(&sha256(&content)), "{line}");
    assert!(line.contains("It was removed"), "{line}");
    assert_eq!(names(&blobs(&home)), [""; 0]);
    assert!(!home.path().join("hub/models--me--model/snapshots").exists());
    // The wrong beginning of an earlier attempt is found the same way.
    fs::write(blobs(&home).join(format!("{}.incomplete", sha256(&content))), &other[..200_000]).unwrap();
    let hub = hub_of(&content, &store_of(&content));
    let output = pull(&hub.url, home.path(), &["hf:me/model/a.gguf"]);
    assert!(refused(&output).contains("is not the file"), "{}", stderr(&output));
    assert_eq!(names(&blobs(&home)), [""; 0]);
    pulled(&pull(&hub.url, home.path(), &["hf:me/model/a.gguf"]));
}

#[test]
fn ranges_that_were_not_asked_for_are_refused() {
    let (home, content) = (home(), content());
    fs::create_dir_all(blobs(&home)).unwrap();
    let partial = blobs(&home).join(format!("{}.incomplete", sha256(&content)));
    fs::write(&partial, &content[..1000]).unwrap();
    let total = content.len();
    let store = Server::start(move |_, _| {
        Reply { body: vec![0; 10], ..Reply::status(206) }.with("Content-Range", format!("bytes 5-14/{total}"))
    });
    let output = pull(&hub_of(&content, &store).url, home.path(), &["hf:me/model/a.gguf"]);
    assert!(refused(&output).contains("the server sends bytes 5-14/"), "{}", stderr(&output));
    assert_eq!(fs::read(&partial).unwrap(), &content[..1000]);
    // A server that has less than what is there.
    let whole = content.clone();
    let store = Server::start(move |request, _| match request.header("range") {
        Some(_) => Reply::status(416),
        None => Reply { body: whole.clone(), ..Reply::status(200) },
    });
    let path =
        pulled(&pull(&hub_of(&content, &store).url, home.path(), &["hf:me/model/a.gguf", "--retries", "1"]));
    assert_eq!(fs::read(path).unwrap(), content);
}

#[test]
fn refusals_say_what_to_do() {
    let home = home();
    for (reply, part) in [
        (
            Reply::status(404).with("X-Error-Code", "RevisionNotFound"),
            "answers 404: the repository has no such revision",
        ),
        (
            Reply::status(404)
                .with("X-Error-Code", "EntryNotFound")
                .with("X-Error-Message", "Entry not found"),
            "answers 404 (Entry not found): there is no such repository, revision or file",
        ),
        (Reply::status(401), "there is no such repository, or it needs a token in HF_TOKEN"),
        (Reply::status(403).with("X-Error-Code", "GatedRepo"), "accept its terms on its page"),
        (Reply::status(429), "too many requests"),
        (Reply::status(500), "answers 500: the server has a problem: try again later"),
        (Reply::status(200), "the answer has no ETag; is HF_ENDPOINT a hub?"),
        (Reply::status(302), "redirects to nowhere"),
        (Reply::status(302).with("Location", "/a"), "redirects in a circle"),
    ] {
        let hub = Server::start(move |_, _| reply.clone());
        let output = pull(&hub.url, home.path(), &["hf:me/model/a.gguf"]);
        let line = refused(&output);
        assert!(line.contains(part), "{line}");
        // One file or none, listed or not: the same.
        assert_eq!(names(&blobs(&home)), [""; 0]);
    }
    let hub = Server::start(|_, _| Reply { body: b"<html>".to_vec(), ..Reply::status(200) });
    let output = pull(&hub.url, home.path(), &["hf:me/model"]);
    assert!(refused(&output).contains("gives no list of files"), "{}", stderr(&output));
    let with_token = with_hub(&Server::start(|_, _| Reply::status(401)).url, home.path())
        .env("HF_TOKEN", "wrong")
        .args(["pull", "hf:me/model/a.gguf"])
        .output()
        .unwrap();
    assert!(refused(&with_token).contains("the token is not accepted"), "{}", stderr(&with_token));
}

#[test]
fn what_signs_an_address_is_not_shown() {
    let (home, content) = (home(), content());
    let store = Server::start(|_, _| Reply::status(403));
    let output = pull(&hub_of(&content, &store).url, home.path(), &["hf:me/model/a.gguf"]);
    let line = refused(&output);
    assert!(line.contains(&format!("{}/signed answers 403", store.url)), "{line}");
    assert!(!stderr(&output).contains("for=a.gguf"), "{}", stderr(&output));
    assert_eq!(store.requests()[0].path, "/signed?for=a.gguf");
}

#[test]
fn a_server_with_a_problem_is_asked_again() {
    let (home, content) = (home(), content());
    let whole = content.clone();
    // Its answer to a request that brings nothing comes once; the next is a second later.
    let store = Server::start(move |request, before| match before {
        0 => Reply::status(503),
        _ => Reply::part(&whole, request),
    });
    let hub = hub_of(&content, &store);
    let output = pull(&hub.url, home.path(), &["hf:me/model/a.gguf", "--retries", "0"]);
    assert!(refused(&output).contains("answers 503"), "{}", stderr(&output));
    pulled(&pull(&hub.url, home.path(), &["hf:me/model/a.gguf", "--retries", "0"]));
}

#[test]
fn the_token_goes_to_the_hub_alone() {
    let content = content();
    let run = |home: &TempDir, set: &[(&str, &str)]| {
        let store = store_of(&content);
        let hub = hub_of(&content, &store);
        let mut command = with_hub(&hub.url, home.path());
        command.envs(set.iter().copied()).args(["pull", "hf:me/model", "-q"]);
        pulled(&command.output().unwrap());
        let of = |server: &Server| -> Vec<Option<String>> {
            server.requests().iter().map(|r| r.header("authorization").map(str::to_owned)).collect()
        };
        assert_eq!(of(&store), [None], "a token was sent to where the hub redirects to");
        let seen = of(&hub);
        assert!(seen.len() == 3 && seen.iter().all(|token| *token == seen[0]), "{seen:?}");
        seen[0].clone()
    };
    assert_eq!(run(&self::home(), &[]), None);
    assert_eq!(run(&self::home(), &[("HF_TOKEN", "secret")]).as_deref(), Some("Bearer secret"));
    assert_eq!(run(&self::home(), &[("HUGGING_FACE_HUB_TOKEN", "old")]).as_deref(), Some("Bearer old"));
    let (home, other) = (home(), tempfile::NamedTempFile::new().unwrap());
    fs::write(home.path().join("token"), "from a file\n").unwrap();
    fs::write(&other, "named\n").unwrap();
    let named = [("HF_TOKEN_PATH", other.path().to_str().unwrap())];
    assert_eq!(run(&home, &named).as_deref(), Some("Bearer named"));
    fs::remove_dir_all(home.path().join("hub")).unwrap();
    assert_eq!(run(&home, &[]).as_deref(), Some("Bearer from a file"));
}

#[test]
fn the_hub_that_is_named_is_asked() {
    let home = home();
    for (endpoint, part) in [
        // A port that nothing listens on: the one of a listener that is gone.
        (closed(), "cannot reach http://127.0.0.1:"),
        (
            "hub.example".to_owned(),
            "HF_ENDPOINT: \"hub.example\" is no address that begins with https:// or http://",
        ),
    ] {
        let output = pull(&endpoint, home.path(), &["hf:me/model/a.gguf"]);
        assert!(refused(&output).contains(part), "{}", stderr(&output));
    }
    // A slash at the end, and a folder in front of all paths.
    let content = content();
    let store = store_of(&content);
    let inner = hub_of(&content, &store);
    let path = pulled(&pull(&format!("{}/mirror/", inner.url), home.path(), &["hf:me/model/a.gguf"]));
    assert_eq!(fs::read(path).unwrap(), content);
    assert_eq!(inner.requests()[0].path, "/mirror/me/model/resolve/main/a.gguf");
}

/// `bitnet pull` of the one file, from a hub whose certificate is the test authority's.
fn pull_encrypted(endpoint: &str, home: &Path, authority: &Path) -> Output {
    let mut command = with_hub(endpoint, home);
    command.env("SSL_CERT_FILE", authority).env_remove("SSL_CERT_DIR").env("HF_TOKEN", "secret");
    command.args(["pull", "hf:me/model/a.gguf", "-q"]).output().unwrap()
}

#[test]
fn an_encrypted_hub_is_known_by_its_certificate() {
    let (home, content) = (home(), content());
    let whole = content.clone();
    let store = Server::start_encrypted(move |request, _| Reply::part(&whole, request));
    let hub = Server::start_encrypted(hub_answers(&content, &store));
    let authority = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls/ca.pem");
    let path = pulled(&pull_encrypted(&hub.url, home.path(), &authority));
    assert_eq!(fs::read(path).unwrap(), content);
    assert!(hub.requests().iter().all(|request| request.header("authorization") == Some("Bearer secret")));
    assert!(store.requests().iter().all(|request| request.header("authorization").is_none()));
    // Another authority: the server's own certificate signs nothing.
    let (asked, other) = (hub.requests().len(), authority.with_file_name("server.pem"));
    let output = pull_encrypted(&hub.url, self::home().path(), &other);
    let line = refused(&output);
    assert!(
        line.starts_with(&format!("cannot reach {}: ", hub.url)) && line.contains("certificate"),
        "{line}"
    );
    assert_eq!(hub.requests().len(), asked, "nothing is asked of a server that is not known");
    let none = home.path().join("none.pem");
    fs::write(&none, "").unwrap();
    let output = pull_encrypted(&hub.url, home.path(), &none);
    assert!(refused(&output).contains("no certificates to know servers by"), "{}", stderr(&output));
    // A hub that is not encrypted may send to a store that is; the token that it sees is spoken of.
    let hub = Server::start(hub_answers(&content, &store));
    let home = self::home();
    let output = pull_encrypted(&hub.url, home.path(), &authority);
    assert_eq!(fs::read(pulled(&output)).unwrap(), content);
    let note = format!("note: HF_ENDPOINT is not encrypted: the token goes to {} for all to read\n", hub.url);
    assert_eq!(stderr(&output), note);
    // What begins encrypted stays so.
    let open = store_of(&content);
    let hub = Server::start_encrypted(hub_answers(&content, &open));
    let output = pull_encrypted(&hub.url, self::home().path(), &authority);
    assert!(refused(&output).contains("which is not encrypted"), "{}", stderr(&output));
    assert!(open.requests().is_empty());
}

fn closed() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn a_repository_that_moved_is_followed() {
    let (home, content) = (home(), content());
    let store = store_of(&content);
    let (target, whole) = (format!("{}/x", store.url), content.clone());
    let hub = Server::start(move |request, _| match request.path.strip_prefix("/me/model/") {
        Some(rest) => Reply::status(307).with("Location", format!("/new/model/{rest}")),
        None => described(&whole, &target),
    });
    let path = pulled(&pull(&hub.url, home.path(), &["hf:me/model/a.gguf"]));
    assert_eq!(fs::read(path).unwrap(), content);
}

#[test]
fn revisions_and_folders_keep_their_names() {
    let (home, content) = (home(), content());
    let store = store_of(&content);
    let hub = hub_of(&content, &store);
    let output = pull(&hub.url, home.path(), &["hf:me/model/sub dir/a.gguf@refs/pr/1"]);
    let path = pulled(&output);
    assert!(
        path.ends_with(format!("snapshots/{COMMIT}/sub dir/a.gguf")) && fs::read(&path).unwrap() == content
    );
    assert_eq!(hub.requests()[0].path, "/me/model/resolve/refs%2Fpr%2F1/sub%20dir/a.gguf");
    let commit = fs::read_to_string(home.path().join("hub/models--me--model/refs/refs/pr/1")).unwrap();
    assert_eq!(commit, COMMIT);
}

#[test]
fn a_small_file_has_no_digest_to_compare() {
    let home = home();
    let text = b"{}".to_vec();
    let hub = Server::start(move |request, _| {
        let reply = Reply::part(&text, request);
        reply.with("X-Repo-Commit", COMMIT).with("ETag", "W/\"0123456789012345678901234567890123456789\"")
    });
    let output = pull(&hub.url, home.path(), &["hf:me/model/config.json"]);
    assert_eq!(fs::read(pulled(&output)).unwrap(), b"{}");
    assert!(stderr(&output).contains("the hub gives no SHA-256 for this file"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("next:"), "{}", stderr(&output));
}

#[test]
fn names_that_lead_out_of_the_cache_are_refused() {
    let home = home();
    for (etag, commit, part) in [
        ("\"../../evil\"", COMMIT, "an ETag that is no file name"),
        ("\"fine\"", "../../../evil", "a commit that is no file name"),
    ] {
        let hub = Server::start(move |request, _| {
            let reply = Reply::part(b"x", request);
            reply.with("X-Repo-Commit", commit).with("ETag", etag)
        });
        let output = pull(&hub.url, home.path(), &["hf:me/model/a.gguf", "--retries", "0"]);
        assert!(refused(&output).contains(part), "{}", stderr(&output));
    }
    assert!(!home.path().join("evil").exists() && !home.path().join("hub/evil").exists());
}

#[test]
fn of_several_models_one_must_be_named() {
    let home = home();
    let list = |files: &str| {
        let body = format!(r#"{{"siblings": [{files}]}}"#).into_bytes();
        Server::start(move |_, _| Reply { body: body.clone(), ..Reply::status(200) })
    };
    let two = r#"{"rfilename": "a.gguf", "size": 1500}, {"rfilename": "q/b.GGUF", "size": 270000000}, {"rfilename": "x"}"#;
    let output = pull(&list(two).url, home.path(), &["hf:me/model"]);
    assert_eq!(
        refused(&output),
        "hf:me/model has 2 GGUF files; name one, as in hf:me/model/FILE: a.gguf (1.5 kB), q/b.GGUF (270 MB)"
    );
    let output = pull(&list(r#"{"rfilename": "model.safetensors"}"#).url, home.path(), &["hf:me/model"]);
    assert_eq!(refused(&output), "hf:me/model has no GGUF file; its files: model.safetensors");
    let output = pull(&list("").url, home.path(), &["hf:me/model"]);
    assert!(refused(&output).ends_with("its files: none"));
}

#[test]
fn known_models_have_short_names() {
    let home = home();
    let output = bitnet().args(["pull", "--list"]).output().unwrap();
    assert!(output.status.success());
    let text = stdout(&output);
    for part in [
        "bitnet-b1.58-2b-4t ",
        "hf:microsoft/bitnet-b1.58-2B-4T-gguf/ggml-model-i2_s.gguf",
        "MIT",
        "1.19 GB",
        "falcon-e-1b",
        "falcon3-10b",
        "llama3-8b-1.58",
        "bitnet-b1.58-large",
        "TL1 and TL2 files cannot be imported",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let content = content();
    let store = store_of(&content);
    let hub = hub_of(&content, &store);
    let output = pull(&hub.url, home.path(), &["bitnet-b1.58-3b-tl2", "--quiet"]);
    pulled(&output);
    assert!(stderr(&output).contains("cannot run the file: TL1 and TL2"), "{}", stderr(&output));
}

#[test]
fn a_short_name_stands_for_the_file_that_was_listed() {
    let content = content();
    let store = store_of(&content);
    let whole = content.clone();
    // One hub names the file by its SHA-256, the other does not.
    let unnamed = Server::start(move |request, _| {
        Reply::part(&whole, request).with("X-Repo-Commit", COMMIT).with("ETag", "\"0123abc\"")
    });
    for hub in [hub_of(&content, &store), unnamed] {
        let home = home();
        let output = pull(&hub.url, home.path(), &["bitnet-b1.58-2b-4t"]);
        let line = refused(&output);
        let address = "hf:microsoft/bitnet-b1.58-2B-4T-gguf/ggml-model-i2_s.gguf";
        assert!(line.starts_with("the file is not the one that was listed on "), "{line}");
        assert!(line.contains(&sha256(&content)) && line.contains("should be 4221b252"), "{line}");
        assert!(line.ends_with(&format!("bitnet pull {address} takes it as it is")), "{line}");
        let path = address.replace("hf:", "/").replace("gguf/", "gguf/resolve/main/");
        assert_eq!(hub.requests()[0].path, path);
        let repository = home.path().join("hub/models--microsoft--bitnet-b1.58-2B-4T-gguf");
        assert_eq!(names(&repository.join("blobs")), [""; 0]);
        // The address takes it, and the name still does not, though it is there.
        assert_eq!(fs::read(pulled(&pull(&hub.url, home.path(), &[address]))).unwrap(), content);
        assert_eq!(refused(&pull(&hub.url, home.path(), &["bitnet-b1.58-2b-4t"])), line);
    }
    assert_eq!(store.requests().len(), 1, "what is not the file that was listed is not fetched");
}

#[test]
fn a_size_that_is_not_the_files_is_refused() {
    let content = content();
    let store = store_of(&content);
    // The length of the answer that sends elsewhere is not the file's.
    let location = store.url.clone();
    let hub = Server::start(move |_, _| {
        let reply = Reply { body: vec![b' '; 1000], ..Reply::status(302) };
        let reply = reply.with("Location", location.clone()).with("X-Repo-Commit", COMMIT);
        reply.with("X-Linked-Etag", "\"0123abc\"")
    });
    let output = pull(&hub.url, home().path(), &["hf:me/model/a.gguf"]);
    assert!(refused(&output).contains("has no X-Linked-Size"), "{}", stderr(&output));
    assert!(store.requests().is_empty());
    // A server that has more than the hub says.
    let shorter = &content[..content.len() - 1000];
    let output = pull(&hub_of(shorter, &store).url, home().path(), &["hf:me/model/a.gguf"]);
    let line = refused(&output);
    assert!(line.contains("the server sends a file of 1200000 bytes where the hub says 1199000"), "{line}");
    // One that does not say how much it sends.
    let whole = content.clone();
    let store = Server::start(move |_, _| {
        let body = [format!("{:x}\r\n", whole.len()).as_bytes(), &whole, b"\r\n0\r\n\r\n"].concat();
        Reply { body, ..Reply::status(200) }.with("Transfer-Encoding", "chunked")
    });
    let output = pull(&hub_of(shorter, &store).url, home().path(), &["hf:me/model/a.gguf"]);
    let line = refused(&output);
    assert!(line.contains("the server sends more than the 1199000 bytes that the hub says"), "{line}");
    let path = pulled(&pull(&hub_of(&content, &store).url, home().path(), &["hf:me/model/a.gguf"]));
    assert!(path.ends_with("a.gguf"));
}

#[test]
fn options_that_cannot_be() {
    for (args, part) in [
        (&["pull"][..], "required arguments were not provided: <MODEL>"),
        (&["pull", "--list", "hf:me/model"], "cannot be used with"),
        (&["pull", "hf:me/model", "--retries", "101"], "101 is not in 0..=100"),
    ] {
        let output = bitnet().args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
    let home = home();
    for (model, part) in [
        ("hf:me", "names no repository"),
        ("hf:me/model/../a", "is no path of a file"),
        ("no-such-name", "no model is known by the name \"no-such-name\""),
    ] {
        let output = pull("http://127.0.0.1:1", home.path(), &[model]);
        assert!(refused(&output).contains(part), "{}", stderr(&output));
    }
    let output = bitnet().args(["pull", "--help"]).output().unwrap();
    assert!(stdout(&output).contains("Examples:\n  bitnet pull --list"));
}
