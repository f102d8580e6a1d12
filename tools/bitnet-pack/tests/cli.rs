//! `bitnet-pack` as a user meets it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bitnet_edge_core::Model;
use bitnet_edge_std::Bytes;
use bitnet_pack::cli::PlanArgs;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_bitnet-pack"))
}

fn pack<S: AsRef<OsStr>>(args: &[S]) -> Output {
    program().args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What is printed where all is well: stdout and stderr.
fn success<S: AsRef<OsStr>>(args: &[S]) -> (String, String) {
    let output = pack(args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    (text(&output.stdout).to_owned(), text(&output.stderr).to_owned())
}

/// The one line that a failure is, without `error: `; notes may stand before it.
fn failure_of(code: i32, output: &Output) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "");
    let mut lines = text(&output.stderr).lines().filter(|line| !line.starts_with("note: "));
    let line = lines.next().unwrap();
    assert_eq!(lines.next(), None);
    line.strip_prefix("error: ").unwrap_or_else(|| panic!("{line}")).to_owned()
}

fn failure<S: AsRef<OsStr>>(args: &[S]) -> String {
    failure_of(1, &pack(args))
}

fn story() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tinystories-micro/tinystories-micro-i2_s.gguf")
}

/// A folder for one test, with the story model in it as `story.gguf`.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::copy(story(), folder.path("story.gguf")).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// `story.bpk` beside it.
    fn with_image(self) -> Self {
        success(&["convert", &self.text("story.gguf"), "--lowercase"]);
        self
    }

    /// The names of its files.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_model_is_converted_verified_described_and_planned() {
    let folder = Folder::new();
    let (stdout, stderr) = success(&["convert", &folder.text("story.gguf"), "-o", &folder.text("a.bpk")]);
    assert_eq!(stdout, "");
    let bytes = fs::metadata(folder.path("a.bpk")).unwrap().len();
    let notes: Vec<&str> = stderr.lines().collect();
    assert_eq!(notes[0], "note: I2_S byte order 128 (assumed; --i2s-layout changes it)");
    let image = folder.text("a.bpk");
    assert_eq!(
        notes[1],
        format!("{image}: {bytes} bytes, from 591552; every tensor was decoded on both sides and compared")
    );
    // Beside the source where nothing is said, and the same bytes every time.
    success(&["convert", &folder.text("story.gguf")]);
    assert_eq!(folder.names(), ["a.bpk", "story.bpk", "story.gguf"]);
    assert_eq!(fs::read(folder.path("story.bpk")).unwrap(), fs::read(folder.path("a.bpk")).unwrap());

    let (stdout, stderr) = success(&["verify", &image]);
    assert_eq!(stderr, "");
    let digest = stdout.strip_prefix(&format!("{image}: ok, image digest ")).unwrap().trim_end();
    assert_eq!(digest.len(), 64);
    let (stdout, stderr) = success(&["inspect", &image]);
    assert_eq!(stderr, "");
    assert!(stdout.starts_with(&format!("flash image, {bytes} bytes, digest {digest}\n")), "{stdout}");
    for part in [
        "architecture  bitnet-b1.58\n",
        "source        story.gguf (591552 bytes, SHA-256 ",
        "note          I2_S byte order 128 (assumed; --i2s-layout changes it)\n",
        "0.ffn_sub_norm",
        "t2r4",
    ] {
        assert!(stdout.contains(part), "no {part:?} in {stdout}");
    }
    let (stdout, _) = success(&["inspect", &folder.text("story.gguf")]);
    for part in
        ["GGUF version 3, 591,552 bytes", "general.architecture", "I2_S", "assumed: the 21 I2_S tensors"]
    {
        assert!(stdout.contains(part), "no {part:?} in {stdout}");
    }
}

/// The line of a table that ends with a name, as a number.
fn number(table: &str, name: &str) -> u64 {
    let line = table
        .lines()
        .find(|line| line.trim_end().ends_with(name))
        .unwrap_or_else(|| panic!("{name}: {table}"));
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// The figures of the README.
#[test]
fn the_story_model_has_the_arena_that_the_readme_says() {
    let folder = Folder::new();
    for (kv, bytes) in [("f16", 211_008), ("int8", 118_848)] {
        let (stdout, _) = success(&["plan", &folder.text("story.gguf"), "--batch", "1", "--kv", kv]);
        assert_eq!(number(&stdout, "arena"), bytes, "{kv}");
    }
}

#[test]
fn plans_add_up() {
    let folder = Folder::new().with_image();
    let image = folder.text("story.bpk");
    let bytes = Bytes::copy_of(&fs::read(&image).unwrap());
    let model = Model::new_checked(bytes.as_slice()).unwrap();
    let (stdout, stderr) = success(&["plan", &image]);
    assert!(
        stdout.ends_with(
            "a batch of 8 suits a board; `bitnet` takes 128 on a host: --batch 128 shows its plan\n"
        )
    );
    assert_eq!(stderr, "");
    // What `bitnet run --batch 8` takes; its tests compare with what it reports.
    assert_eq!(number(&stdout, "  arena"), PlanArgs::default().plan(&model, 0, 8).unwrap().bytes() as u64);
    let session = number(&stdout, "  session");
    assert!(
        session + number(&stdout, "  pass") + number(&stdout, "  attention") <= number(&stdout, "  arena")
    );
    let sections = ["configuration", "RoPE", "tokenizer", "provenance", "tensor table", "tensors"];
    let flash: u64 = sections.iter().map(|name| number(&stdout, &format!("  {name}"))).sum();
    assert!(flash <= bytes.as_slice().len() as u64 && flash + 2048 > bytes.as_slice().len() as u64);

    // The KV cache: layers x keys and values x heads x context x width of a head.
    let c = model.config();
    let elements = u64::from(c.layers * 2 * c.kv_heads * c.head_dim);
    for (context, kv, bytes) in [(256, "f16", 2), (256, "f32", 4), (128, "f16", 2), (4096, "f32", 4)] {
        let (stdout, _) = success(&["plan", &image, "--context", &context.to_string(), "--kv", kv]);
        let line = stdout.lines().find(|line| line.contains("KV cache [")).unwrap();
        let found: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert_eq!(found, elements * context * bytes, "{line}");
    }
    let (int8, _) = success(&["plan", &image, "--kv", "int8", "--batch", "1", "--context", "64"]);
    assert!(!int8.contains("suits a board"));
    assert!(number(&int8, "  arena") < 64 * 1024, "{int8}");
    // A GGUF file is converted for it.
    let (converted, stderr) = success(&["plan", &folder.text("story.gguf"), "--lowercase"]);
    assert_eq!(number(&converted, "  arena"), number(&stdout, "  arena"));
    assert_eq!(stderr, "note: I2_S byte order 128 (assumed; --i2s-layout changes it)\n");

    let line = failure(&["plan", &image, "--arena", "256K"]);
    let need = number(&stdout, "  arena");
    assert_eq!(
        line,
        format!(
            "the arena has 262144 bytes and the memory plan needs {need}; a smaller --context, a smaller --batch or --kv \
             int8 takes less"
        )
    );
    success(&["plan", &image, "--arena", &need.to_string()]);
}

#[test]
fn a_plan_says_whether_the_model_fits_a_board() {
    let folder = Folder::new().with_image();
    let image = folder.text("story.bpk");
    let (stdout, _) = success(&["plan", &image, "--board", "pico2"]);
    let verdicts: Vec<_> = stdout.lines().filter(|line| line.contains(": fits, ")).collect();
    assert!(verdicts.len() == 2 && verdicts[1].contains(" of 532480 bytes"), "{stdout}");
    success(&["plan", &image, "--flash", "4M", "--ram", "520K"]);
    // Every board that carries the story says so, with the cache and the batch of its firmware.
    for board in ["virt-riscv32", "mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547"] {
        success(&["plan", &image, "--board", board]);
    }
    // What is said goes over what the board has.
    let line = failure(&["plan", &image, "--board", "pico2", "--ram", "256K"]);
    assert!(
        line.ends_with(" bytes of RAM and there are 262144, 103488 too few; --kv int8 --batch 1 would fit"),
        "{line}"
    );
    let line = failure(&["plan", &image, "--ram", "64K"]);
    assert!(line.contains("--context ") && line.ends_with(" --kv int8"), "{line}");
    let line = failure(&["plan", &image, "--flash", "512K"]);
    assert!(line.contains(" bytes of flash and there are 524288"), "{line}");
    let line = String::from_utf8(pack(&["plan", &image, "--board", "abacus"]).stderr).unwrap();
    assert!(line.contains("there is no board"), "{line}");
}

#[test]
fn what_is_no_model_is_refused_by_every_command() {
    let folder = Folder::new().with_image();
    fs::write(folder.path("text"), "Once upon a time").unwrap();
    fs::write(folder.path("empty"), "").unwrap();
    for command in ["convert", "inspect", "verify", "plan"] {
        let refusal = |name: &str| failure(&[command, &folder.text(name)]);
        assert!(refusal("nothing").ends_with("nothing: No such file or directory (os error 2)"));
        assert!(refusal("empty").ends_with("empty: the file is empty"));
        assert!(refusal(".").ends_with(": it is a directory"));
        let line = refusal("text");
        let expected = if command == "verify" {
            "not a flash image"
        } else {
            "neither a flash image (.bpk) nor a GGUF file"
        };
        assert!(line.contains(expected), "{line}");
        for name in ["story.gguf", "story.bpk"] {
            let bytes = fs::read(folder.path(name)).unwrap();
            fs::write(folder.path("cut"), &bytes[..bytes.len() / 2]).unwrap();
            let line = refusal("cut");
            let cut = ["is truncated", "is cut short", "not a flash image", "is a flash image already"];
            assert!(cut.iter().any(|part| line.contains(part)), "{command} {name}: {line}");
        }
    }
    assert!(
        failure(&["verify", &folder.text("story.gguf")]).contains("`bitnet-pack convert` makes an image")
    );
    assert!(failure(&["convert", &folder.text("story.bpk")]).ends_with("is a flash image already"));
    // A changed byte is what verify is for.
    let mut image = fs::read(folder.path("story.bpk")).unwrap();
    let middle = image.len() / 2;
    image[middle] ^= 1;
    fs::write(folder.path("damaged.bpk"), image).unwrap();
    let line = failure(&["verify", &folder.text("damaged.bpk")]);
    assert!(line.contains("the image is damaged: its tensors section does not have the checksums"), "{line}");
    assert_eq!(folder.names(), ["cut", "damaged.bpk", "empty", "story.bpk", "story.gguf", "text"]);
}

#[test]
fn options_that_cannot_be() {
    let folder = Folder::new();
    let model = folder.text("story.gguf");
    for (args, part) in [
        (&["frobnicate"][..], "unrecognized subcommand 'frobnicate'"),
        (&["convert"], "required arguments were not provided: <MODEL>"),
        (&["convert", &model, "--i2s-layout", "7"], "is not a byte order of I2_S; "),
        (
            &["convert", &model, "--head-type", "q2_k"],
            "is not a type to requantize to; q8_0, q6_k and q4_0 are",
        ),
        (&["plan", &model, "--kv", "f8"], "f16, f32, int8 are"),
    ] {
        let line = failure_of(2, &pack(args));
        assert!(line.contains(part) && line.ends_with("(--help lists the options)"), "{line}");
    }
    let line = failure(&["convert", &model, "--manifest", &folder.text("nothing.toml")]);
    assert!(line.starts_with("cannot read ") && line.contains("nothing.toml"), "{line}");
    fs::write(folder.path("bad.toml"), "architecture = [\"x\"]\nactivation = relu").unwrap();
    let line = failure(&["convert", &model, "--manifest", &folder.text("bad.toml")]);
    assert!(line.contains("bad.toml: the manifest cannot be read: line 2: "), "{line}");
    let narrow = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/models/stories260K-f32.gguf");
    fs::copy(narrow, folder.path("narrow.gguf")).unwrap();
    let line = failure(&["convert", &folder.text("narrow.gguf"), "--embedding-type", "q6_k"]);
    assert!(line.contains("token_embd.weight has rows of 64; layout q6r4 needs a multiple of 256"), "{line}");
    assert_eq!(folder.names(), ["bad.toml", "narrow.gguf", "story.gguf"]);
}

#[test]
fn requantizing_says_what_it_costs() {
    let folder = Folder::new();
    let (_, stderr) = success(&["convert", &folder.text("story.gguf"), "--embedding-type", "q4_0"]);
    let note = stderr.lines().find(|line| line.contains("requantized")).unwrap();
    let error = note.strip_prefix("note: token_embd.weight requantized from Q8_0 to q4_0: error ").unwrap();
    let percent: f64 = error.split_once(" % of its rms, at most ").unwrap().0.parse().unwrap();
    assert!(percent > 1.0 && percent < 15.0, "{note}");
    let (stdout, _) = success(&["inspect", &folder.text("story.bpk")]);
    assert!(stdout.contains(note.strip_prefix("note: ").unwrap()), "the image records it");
}

#[test]
fn places_that_cannot_be_written_to_are_refused_before_the_work() {
    let folder = Folder::new();
    let to = |path: &str| failure(&["convert", &folder.text("story.gguf"), "-o", path]);
    assert!(to(&folder.text("no/such/a.bpk")).ends_with("no/such does not exist"));
    assert!(to(&folder.text(".")).ends_with(": it is a directory; name a file in it"));
    let line = to("/dev/null");
    assert_eq!(line, "cannot write /dev/null: it is not a regular file, which an image could replace");
    let line = to(&folder.text("story.gguf"));
    assert!(line.ends_with(": it is the model that is read; name another file"), "{line}");
    // Also by the name that the image would have by itself.
    fs::rename(folder.path("story.gguf"), folder.path("odd.bpk")).unwrap();
    let line = failure(&["convert", &folder.text("odd.bpk")]);
    assert!(line.ends_with(": it is the model that is read; name another file"), "{line}");
    assert_eq!(folder.names(), ["odd.bpk"]);
    assert_eq!(fs::read(folder.path("odd.bpk")).unwrap(), fs::read(story()).unwrap());
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_takes_no_files_is_an_error() {
    let line = failure(&["convert", story().to_str().unwrap(), "-o", "/proc/a.bpk"]);
    assert!(line.contains(": cannot write /proc/a.bpk (after 0 bytes), nothing is changed: "), "{line}");
}

/// Runs `convert` where files can have 100 blocks of 512 bytes: for the program, the same as a full disk.
#[cfg(unix)]
fn convert_on_a_full_disk(folder: &Folder, to: &str) -> Output {
    let limited = "ulimit -f 100; trap '' XFSZ; exec \"$@\"";
    Command::new("sh")
        .args(["-c", limited, "sh", env!("CARGO_BIN_EXE_bitnet-pack"), "convert"])
        .args([&folder.text("story.gguf"), "-o", to])
        .output()
        .unwrap()
}

#[cfg(unix)]
#[test]
fn a_full_disk_changes_nothing() {
    let folder = Folder::new();
    let to = folder.text("a.bpk");
    let line = failure_of(1, &convert_on_a_full_disk(&folder, &to));
    assert!(line.contains(&format!("cannot write {to} (after ")), "{line}");
    assert!(line.contains(" bytes), nothing is changed: File too large"), "{line}");
    assert_eq!(folder.names(), ["story.gguf"]);
    // What was there stays.
    fs::write(&to, "what was there").unwrap();
    failure_of(1, &convert_on_a_full_disk(&folder, &to));
    assert_eq!(fs::read(&to).unwrap(), b"what was there");
    assert_eq!(folder.names(), ["a.bpk", "story.gguf"]);
}

#[cfg(unix)]
#[test]
fn an_image_replaces_a_file_at_once() {
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = Folder::new();
    fs::write(folder.path("old.bpk"), "what was there").unwrap();
    symlink("old.bpk", folder.path("link.bpk")).unwrap();
    let mut reader = fs::File::open(folder.path("old.bpk")).unwrap();
    let command = "umask 027; exec \"$@\"";
    let output = Command::new("sh")
        .args(["-c", command, "sh", env!("CARGO_BIN_EXE_bitnet-pack"), "convert"])
        .args([&folder.text("story.gguf"), "-o", &folder.text("link.bpk")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    // A program that runs the old file goes on with the old file.
    let mut seen = String::new();
    reader.read_to_string(&mut seen).unwrap();
    assert_eq!(seen, "what was there");
    success(&["verify", &folder.text("old.bpk")]);
    assert!(fs::symlink_metadata(folder.path("link.bpk")).unwrap().is_symlink());
    let mode = fs::metadata(folder.path("old.bpk")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640, "as readable as the user's mask says");
    assert_eq!(folder.names(), ["link.bpk", "old.bpk", "story.gguf"]);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let folder = Folder::new().with_image();
    for command in ["inspect", "verify", "plan"] {
        let mut child = program()
            .args([command, &folder.text("story.bpk")])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{command}: {}", text(&output.stderr));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_is_full_is_an_error() {
    let folder = Folder::new().with_image();
    for command in ["inspect", "verify", "plan"] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = program().args([command, &folder.text("story.bpk")]).stdout(full).output().unwrap();
        let line = failure_of(1, &output);
        assert_eq!(line, "cannot write to stdout: No space left on device (os error 28)", "{command}");
    }
}

/// By the keyboard, or by whoever stops programs: what was begun is removed, and the program ends by the signal.
#[cfg(unix)]
#[test]
fn an_interrupted_conversion_leaves_nothing() {
    use std::os::unix::process::ExitStatusExt;
    for (name, number) in [("INT", 2), ("TERM", 15)] {
        let folder = Folder::new();
        // A conversion that was faster than the signal is a whole image, and another one is begun.
        let ended_by = (0..1000).find_map(|_| {
            let (from, to) = (folder.path("story.gguf"), folder.path("story.bpk"));
            let mut child = program().arg("convert").arg(&from).stderr(Stdio::null()).spawn().unwrap();
            while !folder.names().iter().any(|name| name.starts_with('.')) {
                if child.try_wait().unwrap().is_some() {
                    break;
                }
                std::thread::yield_now();
            }
            let id = child.id().to_string();
            Command::new("kill").args(["-s", name, &id]).stderr(Stdio::null()).status().unwrap();
            let signal = child.wait().unwrap().signal();
            let left = folder.names();
            assert!(left.iter().all(|name| !name.starts_with('.')), "SIG{name}: {left:?}");
            if signal.is_none() {
                Model::new_checked(Bytes::copy_of(&fs::read(&to).unwrap()).as_slice()).unwrap();
                fs::remove_file(to).unwrap();
            } else {
                assert_eq!(left, ["story.gguf"], "SIG{name}");
            }
            signal
        });
        assert_eq!(ended_by, Some(number), "SIG{name}");
    }
}
