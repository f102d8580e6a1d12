//! The Debian package for 64-bit ARM: made, listed, unpacked, and run.

use crate::command::{line, output, run};
use crate::deb;
use crate::paths;
use crate::toolchain::linux::{AARCH64, Compiler};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What must be in it.
const FILES: [&str; 14] = [
    "usr/bin/bitnet",
    "usr/bin/bitnet-pack",
    "usr/share/doc/bitnet-edge/copyright",
    "usr/share/doc/bitnet-edge/LICENSE-MIT",
    "usr/share/doc/bitnet-edge/LICENSE-APACHE",
    "usr/share/doc/bitnet-edge/README.md",
    "usr/share/man/man1/bitnet.1.gz",
    "usr/share/man/man1/bitnet-pack-convert.1.gz",
    "usr/share/bash-completion/completions/bitnet",
    "usr/share/bash-completion/completions/bitnet-pack",
    "usr/share/zsh/vendor-completions/_bitnet",
    "usr/share/zsh/vendor-completions/_bitnet-pack",
    "usr/share/fish/vendor_completions.d/bitnet.fish",
    "usr/share/fish/vendor_completions.d/bitnet-pack.fish",
];

/// Makes and checks the package.
pub(super) fn check(compiler: &Compiler) -> Result<()> {
    let package = deb::for_arm(compiler, "quick")?;
    print!("{}", output(Command::new("dpkg-deb").arg("--info").arg(&package))?);
    print!("{}", output(Command::new("dpkg-deb").arg("--contents").arg(&package))?);
    let field = |name| output(Command::new("dpkg-deb").arg("--field").arg(&package).arg(name));
    let fields = [field("Package")?, field("Architecture")?, field("Version")?];
    let fields = fields.each_ref().map(|field| field.trim_end());
    if fields != ["bitnet-edge", AARCH64.architecture, concat!(env!("CARGO_PKG_VERSION"), "-1")] {
        bail!("{} says that it is {fields:?}", package.display());
    }
    let root = paths::target().join("debian/unpacked");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    run(Command::new("dpkg-deb").arg("--extract").args([&package, &root]))?;
    for file in FILES {
        let size = fs::metadata(root.join(file)).map_or(0, |file| file.len());
        if size == 0 {
            bail!("{} has no {file}", package.display());
        }
    }
    let program = root.join("usr/bin/bitnet");
    pages(&program, &root.join("usr/share"))?;
    story(&program)
}

/// The packaged pages and completions are those that the packaged program writes, whichever program wrote them.
fn pages(program: &Path, share: &Path) -> Result<()> {
    let written = paths::target().join("debian/pages");
    if written.exists() {
        fs::remove_dir_all(&written)?;
    }
    run(super::emulator("cortex-a53").arg(program).args(["man", "--output"]).arg(&written))?;
    let (packed, written) = (files(&share.join("man/man1"))?, files(&written)?);
    let text = output(Command::new("gzip").args(["--decompress", "--stdout"]).args(&packed))?;
    let pages = written.iter().map(fs::read_to_string).collect::<Result<Vec<_>, _>>()?;
    if packed.len() != pages.len() || text != pages.concat() {
        bail!("the packaged manual pages are not those of the packaged program");
    }
    let completions = output(super::emulator("cortex-a53").arg(program).args(["completions", "bash"]))?;
    if fs::read_to_string(share.join("bash-completion/completions/bitnet"))? != completions {
        bail!("the packaged completions are not those of the packaged program");
    }
    println!("{} manual pages and the completions are those that the packaged program writes", pages.len());
    Ok(())
}

/// The files of a folder, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = fs::read_dir(folder)?.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// The packaged program tells the story of the README, with the digest of x86-64, on every processor by every tier.
fn story(program: &Path) -> Result<()> {
    let read = |name| {
        let path = paths::root().join("tools/bitnet/tests/data").join(name);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    let (expected, digest) = (read("story-seed-1.txt")?, read("story-seed-1.digest")?);
    let digest = format!("logit digest {}", digest.trim_end());
    for (processor, _, tiers) in super::PROCESSORS {
        for tier in tiers {
            let mut bitnet = super::emulator(processor);
            bitnet.arg(program).args(["run", "--digest", "--backend", tier, "once upon a time"]);
            let told = bitnet.output().with_context(|| format!("cannot start `{}`", line(&bitnet)))?;
            let [text, said] =
                [told.stdout, told.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
            let is_digest = said.lines().any(|line| line == digest);
            if !told.status.success() || text != expected || !is_digest {
                bail!("the packaged program tells another story on {processor} with {tier}:\n{text}{said}");
            }
        }
        println!("the packaged program tells the story on {processor}: {}", tiers.join(", "));
    }
    Ok(())
}
