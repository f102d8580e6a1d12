//! What `bitnet pull` leaves in the cache, and what runs from there.
#![cfg(feature = "pull")]

mod common;
mod hub;

use std::fs::{self, File};
use std::path::Path;
use std::process::Output;
use std::time::{Duration, SystemTime};

use common::{stderr, stdout, story};
use hub::{
    COMMIT, Reply, Server, blobs, content, described, home, hub_of, names, pull, pulled, refused, sha256,
    store_of, with_hub,
};

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let home = home();
    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    let content = content();
    let store = store_of(&content);
    let hub = hub_of(&content, &store);
    let output = pull(&hub.url, &file, &["hf:me/model/a.gguf"]);
    let line = refused(&output);
    assert!(
        line.contains("cannot write ") && line.contains("HF_HOME or HF_HUB_CACHE names another"),
        "{line}"
    );
    // Another one that the environment names.
    let other = home.path().join("other");
    let output =
        with_hub(&hub.url, &file).env("HF_HUB_CACHE", &other).args(["pull", "hf:me/model/a.gguf"]).output();
    assert!(pulled(&output.unwrap()).starts_with(&other));
    let output = with_hub(&hub.url, &file)
        .env_remove("HF_HOME")
        .env("XDG_CACHE_HOME", home.path().join("xdg"))
        .args(["pull", "hf:me/model/a.gguf"])
        .output();
    assert!(pulled(&output.unwrap()).starts_with(home.path().join("xdg/huggingface/hub")));
}

#[test]
fn a_model_that_was_pulled_runs_by_its_address() {
    let home = home();
    let content = fs::read(story()).unwrap();
    let store = store_of(&content);
    let hub = hub_of(&content, &store);
    let run = |model: &str| {
        let args = ["run", "once upon a time", "-n", "5", "--no-echo", "--lowercase", "--model", model];
        with_hub(&hub.url, home.path()).args(args).output().unwrap()
    };
    let line = run("hf:me/model/a.gguf");
    assert_eq!(
        refused(&line),
        "hf:me/model/a.gguf is not in the cache: bitnet pull hf:me/model/a.gguf brings it"
    );
    // Wherever in the repository the only one lies.
    let path = pulled(&pull(&hub.url, home.path(), &["hf:me/folders/q/A.GGUF"]));
    assert_eq!(stdout(&run("hf:me/folders")), stdout(&run(path.to_str().unwrap())));
    pulled(&pull(&hub.url, home.path(), &["hf:me/folders/b.gguf"]));
    let line = run("hf:me/folders");
    assert!(
        refused(&line).contains("several GGUF files of me/folders in the cache; name one"),
        "{}",
        stderr(&line)
    );
    let path = pulled(&pull(&hub.url, home.path(), &["hf:me/model/a.gguf"]));
    let asked = hub.requests().len();
    let plain = run(path.to_str().unwrap());
    for model in ["hf:me/model/a.gguf".to_owned(), "hf:me/model".to_owned(), format!("hf:me/model@{COMMIT}")]
    {
        let output = run(&model);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(stdout(&output), stdout(&plain));
    }
    let doctor = with_hub(&hub.url, home.path()).args(["doctor", "--model", "hf:me/model"]).output().unwrap();
    assert!(doctor.status.success() && stdout(&doctor).contains("a.gguf: "), "{}", stderr(&doctor));
    assert_eq!(hub.requests().len(), asked, "a run asks the hub for nothing");
    let known = refused(&run("falcon3-1b")).to_owned();
    assert!(known.contains("bitnet pull falcon3-1b brings it"), "{known}");
}

#[test]
fn what_an_interrupted_run_left_is_used() {
    let (home, content) = (home(), content());
    let half = content.len() / 2;
    // Half of it, and then nothing any more.
    let dead = {
        let content = content.clone();
        Server::start(move |request, _| {
            let reply = Reply::part(&content, request);
            let cut = if request.start() == 0 { half } else { 0 };
            Reply { cut: Some(cut), ..reply }
        })
    };
    let output = pull(&hub_of(&content, &dead).url, home.path(), &["hf:me/model/a.gguf", "--retries", "0"]);
    let line = refused(&output);
    assert!(line.contains(&format!("after {half} of {} bytes", content.len())), "{line}");
    assert!(line.contains("the same command goes on"), "{line}");
    // Nothing is under its final name.
    assert_eq!(names(&blobs(&home)), [format!("{}.incomplete", sha256(&content))]);
    assert!(!home.path().join("hub/models--me--model/snapshots").exists());
    let store = store_of(&content);
    let output = pull(&hub_of(&content, &store).url, home.path(), &["hf:me/model/a.gguf"]);
    assert_eq!(fs::read(pulled(&output)).unwrap(), content);
    assert!(stderr(&output).starts_with(&format!("going on behind the {half} bytes")), "{}", stderr(&output));
    assert_eq!(store.requests()[0].header("range"), Some(format!("bytes={half}-").as_str()));
    assert_eq!(names(&blobs(&home)), [sha256(&content)]);
}

/// Writes to a file, later than all that was written before.
fn change(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(60)).unwrap();
}

#[test]
#[cfg(unix)]
fn a_file_that_was_changed_in_the_cache_does_not_run_and_comes_again() {
    let home = home();
    let content = fs::read(story()).unwrap();
    let store = store_of(&content);
    let hub = hub_of(&content, &store);
    let run = || -> Output {
        let args = ["run", "once upon a time", "-n", "3", "--lowercase", "--model", "hf:me/model"];
        with_hub(&hub.url, home.path()).args(args).output().unwrap()
    };
    let path = pulled(&pull(&hub.url, home.path(), &["hf:me/model"]));
    let (name, told) = (path.display(), stdout(&run()).to_owned());
    let again =
        format!("error: {name} is not the file of hf:me/model: bitnet pull hf:me/model brings it again: ");
    let mut other = content.clone();
    *other.last_mut().unwrap() ^= 1;
    for wrong in [&other[..], &content[..content.len() / 2]] {
        change(&path, wrong);
        let output = run();
        assert_eq!(output.status.code(), Some(1));
        let line = stderr(&output).strip_prefix(&again).unwrap_or_else(|| panic!("{}", stderr(&output)));
        let found = sha256(wrong);
        assert!(
            line.starts_with(&format!("it was changed after it was downloaded: its SHA-256 is {found}")),
            "{line}"
        );
        let output = pull(&hub.url, home.path(), &["hf:me/model"]);
        let said = stderr(&output);
        let same_size = wrong.len() == content.len();
        assert_eq!(said.starts_with("note: the file in the cache was changed"), same_size, "{said}");
        assert_eq!(fs::read(pulled(&output)).unwrap(), content);
        assert_eq!(stdout(&run()), told);
    }
    // What was written again is read once more, and then known.
    change(&path, &content);
    let times = || {
        [fs::metadata(&path).unwrap(), fs::symlink_metadata(&path).unwrap()].map(|of| of.modified().unwrap())
    };
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(times()[1] + Duration::from_nanos(1)).unwrap();
    assert_eq!(stdout(&run()), told);
    let [file, link] = times();
    assert!(link > file, "{link:?} {file:?}");
}

#[test]
fn a_file_of_another_size_than_the_listed_one_does_not_run() {
    let (home, content) = (home(), content());
    let store = store_of(&content);
    let hub = hub_of(&content, &store);
    pulled(&pull(&hub.url, home.path(), &["hf:microsoft/bitnet-b1.58-2B-4T-gguf/ggml-model-i2_s.gguf"]));
    let output =
        with_hub(&hub.url, home.path()).args(["run", "a", "--model", "bitnet-b1.58-2b-4t"]).output().unwrap();
    let line = refused(&output);
    assert!(line.ends_with("it has 1200000 bytes, and the one that was listed has 1187801280"), "{line}");
}

/// It was pulled by its address, which takes it as it is; the short name means the file that is listed.
#[test]
#[cfg(unix)]
fn a_file_of_another_digest_than_the_listed_one_does_not_run_by_the_short_name() {
    let (home, content) = (home(), content());
    let store = store_of(&content);
    let hub = hub_of(&content, &store);
    let address = "hf:brunopio/Llama3-8B-1.58-100B-tokens-GGUF/Llama3-8B-1.58-100B-tokens-TQ2_0.gguf";
    pulled(&pull(&hub.url, home.path(), &[address]));
    let output =
        with_hub(&hub.url, home.path()).args(["run", "a", "--model", "llama3-8b-1.58"]).output().unwrap();
    let line = refused(&output);
    assert!(line.contains(&format!("its SHA-256 is {} and should be 2565559c", sha256(&content))), "{line}");
}

#[test]
#[cfg(unix)]
fn what_does_not_fit_the_disk_is_not_begun() {
    let home = home();
    let bytes = 1u64 << 62;
    let hub = Server::start(move |_, _| {
        let reply = described(b"x", "http://127.0.0.1:1/nothing");
        let headers = reply.headers.into_iter().filter(|(name, _)| *name != "X-Linked-Size").collect();
        Reply { headers, ..reply }.with("X-Linked-Size", bytes.to_string())
    });
    let output = pull(&hub.url, home.path(), &["hf:me/model/a.gguf"]);
    let line = refused(&output);
    assert!(line.starts_with("there is not enough room: 4611686018.43 GB are to come, and "), "{line}");
    assert!(line.contains(&format!("free in {}", home.path().join("hub").display())), "{line}");
    assert_eq!((names(&blobs(&home)), hub.requests().len()), (vec![], 1));
}

#[test]
fn a_model_in_parts_says_how_it_is_joined() {
    let (home, content) = (home(), content());
    let files: Vec<String> = (1..=3)
        .map(|i| format!(r#"{{"rfilename": "q/big-0000{i}-of-00003.gguf", "size": 5000000}}"#))
        .collect();
    let body = format!(r#"{{"siblings": [{}]}}"#, files.join(", ")).into_bytes();
    let list = Server::start(move |_, _| Reply { body: body.clone(), ..Reply::status(200) });
    assert_eq!(
        refused(&pull(&list.url, home.path(), &["hf:me/model"])),
        "hf:me/model has a model in 3 parts: pull each of them, as in hf:me/model/q/big-00001-of-00003.gguf, and join them with \
         llama.cpp: llama-gguf-split --merge FIRST WHOLE"
    );
    let store = store_of(&content);
    let hub = hub_of(&content, &store);
    let output = pull(&hub.url, home.path(), &["hf:me/model/q/big-00002-of-00003.gguf"]);
    let (path, said) = (pulled(&output), stderr(&output));
    assert!(
        said.starts_with("note: the file is part 2 of 3 of a model; the others have to come as well\n"),
        "{said}"
    );
    let first = path.with_file_name("big-00001-of-00003.gguf");
    let join = format!("next, with all parts: llama-gguf-split --merge {} big.gguf\n", first.display());
    assert!(said.ends_with(&join), "{said}");
}
