//! Transcripts of the programs: what is typed in a shell, and what is printed.
//!
//! A transcript is a Markdown file. In its blocks `console`, a line that begins with `$ ` is given to `sh`, in a folder that the
//! commands of one file share; below it is what the command prints: stdout, then the lines of stderr behind `2> `, then `[exit N]`
//! unless N is 0. All of it is exact but for figures that vary, which are a `?`. `BLESS=1` writes the file anew.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use fancy_regex::Regex;

/// A program under test, and the names that transcripts have for paths and addresses.
#[derive(Debug)]
pub struct Shell<'s> {
    /// What the programs are called, and where they are.
    pub programs: &'s [(&'s str, &'s str)],
    /// Variables, which stand for their values in what is printed, too.
    pub variables: &'s [(&'s str, String)],
}

/// What varies from run to run, as a pattern and what stands for it.
const VARIES: [(&str, &str); 4] = [
    (r"\d+(\.\d+)? (tokens/s|GB/s|MB/s)", "? $2"),
    (r"\b\d+\.\d+ (s|ms|us)\b", "? $1"),
    (r#""(\w+_seconds|\w+_per_second)":[0-9.e-]+"#, r#""$1":?"#),
    (r"/tmp/[\w.-]+", "/tmp/?"),
];

impl Shell<'_> {
    /// Runs what is typed in a transcript, and compares what is printed.
    ///
    /// # Panics
    /// Where it differs.
    pub fn check(&self, file: &Path) {
        let told = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let folder = tempfile::tempdir().unwrap();
        self.install(folder.path());
        let scratch = folder.path().join("scratch");
        fs::create_dir(&scratch).unwrap();
        let mut found = String::new();
        let mut lines = told.lines().peekable();
        let mut is_console = false;
        while let Some(line) = lines.next() {
            found += &format!("{line}\n");
            if line.starts_with("```") {
                is_console = line == "```console";
            } else if let Some(first) = line.strip_prefix("$ ").filter(|_| is_console) {
                let mut command = first.to_owned();
                while command.ends_with('\\') {
                    let next = lines.next().unwrap_or_default();
                    found += &format!("{next}\n");
                    command = format!("{command}\n{next}");
                }
                while lines.next_if(|line| !line.starts_with("$ ") && *line != "```").is_some() {}
                found += &self.run(&command, folder.path());
            }
        }
        if std::env::var_os("BLESS").is_some() {
            fs::write(file, found).unwrap();
        } else if let Some(at) =
            (0..).zip(found.lines()).position(|(n, line)| told.lines().nth(n) != Some(line))
        {
            let told = told.lines().nth(at).unwrap_or_default();
            let found: Vec<_> = found.lines().skip(at).take(5).collect();
            panic!("{}, line {}: not\n{told}\nbut\n{}", file.display(), at + 1, found.join("\n"));
        } else {
            assert_eq!(told, found, "{}", file.display());
        }
    }

    /// Puts the programs where the shell finds them. Where they are compiled for another machine, `BITNET_EDGE_RUNNER` says what
    /// runs them.
    fn install(&self, folder: &Path) {
        use std::os::unix::fs::PermissionsExt;
        let runner = std::env::var("BITNET_EDGE_RUNNER").unwrap_or_default();
        for (name, path) in self.programs {
            let script = folder.join(name);
            fs::write(&script, format!("#!/bin/sh\nexec {runner} '{path}' \"$@\"\n")).unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    fn run(&self, command: &str, folder: &Path) -> String {
        let path = std::env::var("PATH").unwrap_or_default();
        let scratch = folder.join("scratch");
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(&scratch)
            .env("PATH", format!("{}:{path}", folder.display()))
            .env("HOME", &scratch)
            .env_remove("XDG_STATE_HOME")
            .env_remove("BITNET_BACKEND")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        self.printed(&output, &scratch)
    }

    fn printed(&self, output: &Output, scratch: &Path) -> String {
        let [out, err] = [&output.stdout, &output.stderr].map(|bytes| {
            let mut text = String::from_utf8(bytes.clone()).unwrap();
            text = text.replace(scratch.to_str().unwrap(), "SCRATCH");
            for (name, value) in self.variables {
                text = text.replace(value.as_str(), &format!("${name}"));
            }
            for (pattern, instead) in VARIES {
                text = Regex::new(pattern).unwrap().replace_all(&text, instead).into_owned();
            }
            text
        });
        let mut text = out;
        if !text.is_empty() && !text.ends_with('\n') {
            text += "[no line break]\n";
        }
        for line in err.lines() {
            text += &format!("2> {line}\n");
        }
        match output.status.code() {
            Some(0) => {}
            Some(code) => text += &format!("[exit {code}]\n"),
            None => text += "[killed]\n",
        }
        text
    }
}
