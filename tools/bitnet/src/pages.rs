//! `bitnet completions` and `bitnet man`: what shells and `man` know of the programs.

use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Command, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;

pub(crate) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  bitnet completions bash > ~/.local/share/bash-completion/completions/bitnet
  bitnet completions zsh > ~/.zfunc/_bitnet
  bitnet completions fish --program bitnet-pack > ~/.config/fish/completions/bitnet-pack.fish";

pub(crate) const MAN_EXAMPLES: &str = "\
Examples:
  bitnet man | man -l -
  bitnet man --output ~/.local/share/man/man1";

/// A program of this project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Program {
    Bitnet,
    BitnetPack,
}

impl Program {
    fn command(self) -> Command {
        use clap::CommandFactory;
        match self {
            Self::Bitnet => crate::Cli::command(),
            Self::BitnetPack => bitnet_pack::cli::Cli::command(),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
    /// The program
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Program::Bitnet)]
    program: Program,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The folder that gets a file a command, such as bitnet-run.1 [default: all on stdout]
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

pub(crate) fn completions(args: &CompletionsArgs) -> Result<()> {
    let mut command = args.program.command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    stdout().write_all(&script).context("cannot write to stdout")
}

pub(crate) fn man(args: &ManArgs) -> Result<()> {
    let mut pages = Vec::new();
    for program in [Program::Bitnet, Program::BitnetPack] {
        let mut command = program.command().disable_help_subcommand(true);
        command.build();
        collect(&command, &mut pages)?;
    }
    let Some(folder) = &args.output else {
        return pages
            .iter()
            .try_for_each(|(_, page)| stdout().write_all(page))
            .context("cannot write to stdout");
    };
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for (name, page) in pages {
        let path = folder.join(name);
        fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The pages of a command and those below it, with the names of their files.
fn collect(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let man = Man::new(command.clone())
        .manual("bitnet-edge")
        .source(format!("bitnet-edge {}", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render(&mut page)?;
    pages.push((man.get_filename(), page));
    command.get_subcommands().filter(|below| !below.is_hide_set()).try_for_each(|below| collect(below, pages))
}
