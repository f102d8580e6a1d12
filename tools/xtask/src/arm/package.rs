//! The Debian package for 64-bit ARM: made, listed, unpacked, and run.

use crate::command::{output, run};
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
    let package = deb::for_arm(compiler)?;
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

/// The packaged program tells the story of the README, on the processor that can least.
fn story(program: &Path) -> Result<()> {
    let expected = paths::root().join("tools/bitnet/tests/data/story-seed-1.txt");
    let expected = fs::read_to_string(&expected).with_context(|| expected.display().to_string())?;
    let mut bitnet = super::emulator("cortex-a53");
    let told = output(bitnet.arg(program).args(["run", "once upon a time"]))?;
    if told != expected {
        bail!("the packaged program tells another story:\n{told}");
    }
    println!("the packaged program tells the story on cortex-a53");
    Ok(())
}
