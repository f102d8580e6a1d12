//! `bitnet pull`: a model from the Hugging Face hub into the cache that its tools share.
//!
//! Addresses, cache and folders are those of the `hf-hub` crate. Its own downloads are not used: they compare no digest, take
//! whatever a server sends as the rest of a file that they go on with, and send the token wherever the hub redirects to.

mod address;
mod cache;
mod download;
mod hub;
mod list;
mod parts;
mod present;
mod space;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bitnet_pack::report::{print, say};
use clap::Args;

pub(crate) use address::{Address, SCHEME};
use cache::Store;
use download::Download;
use hub::{Hub, Listed};
use parts::Part;

use crate::models;

pub(crate) const EXAMPLES: &str = "Examples:\n  bitnet pull --list\n  bitnet pull bitnet-b1.58-2b-4t\n  \
    bitnet pull hf:microsoft/bitnet-b1.58-2B-4T-gguf/ggml-model-i2_s.gguf\n  bitnet pull hf:owner/repo/file.gguf@v1.0\n\n\
    The path of the file goes to stdout. An interrupted download goes on where it ended. The environment: HF_HOME and \
    HF_HUB_CACHE (where files go), HF_TOKEN (for private repositories; only HF_ENDPOINT's host sees it), HF_ENDPOINT (another \
    hub), HTTPS_PROXY, SSL_CERT_FILE.";

#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// hf:owner/repo/file@revision, where file and revision can be left out, or a name of --list
    #[arg(value_name = "MODEL", required_unless_present = "list")]
    model: Option<String>,
    /// List the ternary models that have a short name
    #[arg(long, conflicts_with = "model")]
    list: bool,
    /// How often to try again when a connection gives nothing
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(..=100))]
    retries: u32,
    /// Show no progress, and say nothing of what comes next
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) fn run(args: &PullArgs) -> Result<()> {
    let text = match args.model.as_deref() {
        Some(model) if !args.list => format!("{}\n", pull(args, model)?.display()),
        _ => list::known(),
    };
    print(&text)
}

fn pull(args: &PullArgs, model: &str) -> Result<PathBuf> {
    let address = Address::parse(model)?;
    let cache = cache::cache();
    let hub = Hub::from_env(&cache)?;
    let file = match &address.file {
        Some(file) => file.clone(),
        None => choose(&hub.list(&address)?, &address)?,
    };
    let obstacle = models::find(model).and_then(models::Known::obstacle);
    if let Some(obstacle) = obstacle {
        say(format_args!("note: this version of bitnet cannot run the file: {obstacle}"));
    }
    let part = Part::of(&file);
    if let Some(part) = &part {
        say(format_args!("note: the file is {part}; the others have to come as well"));
    }
    let description = hub.describe(&address, &file)?;
    if let Some(served) = description.sha256() {
        address.check_listed(served)?;
    }
    let store = Store::new(&cache, &address);
    let (hub, store, address, description) = (&hub, &store, &address, &description);
    let download =
        Download { hub, store, address, file: &file, description, retries: args.retries, quiet: args.quiet };
    download.run()?;
    let path = store.link(&description.etag, &description.commit, &file)?;
    if !args.quiet {
        match part {
            Some(part) => say(format_args!("next, with all parts: {}", part.join(&path))),
            None => next(&path, &file),
        }
    }
    Ok(path)
}

/// Says what to do with a file.
fn next(path: &Path, file: &str) {
    if !file.to_lowercase().ends_with(".gguf") {
        return;
    }
    let image = Path::new(file).with_extension("bpk");
    let image = image.file_name().unwrap_or_default().to_string_lossy();
    say(format_args!("next: bitnet-pack convert {} -o {image}", path.display()));
    say(format_args!("      bitnet run --model {image} \"Hello\""));
}

/// The one model file of a repository.
fn choose(files: &[Listed], address: &Address) -> Result<String> {
    let models: Vec<&Listed> =
        files.iter().filter(|file| file.path.to_lowercase().ends_with(".gguf")).collect();
    match &models[..] {
        [one] => Ok(one.path.clone()),
        [] => bail!("{address} has no GGUF file; its files: {}", list::files(files.iter())),
        [first, ..] if Part::are_all_of_one(&models) => bail!(
            "{address} has a model in {} parts: pull each of them, as in {SCHEME}{}/{}, and join them with llama.cpp: \
             llama-gguf-split --merge FIRST WHOLE",
            models.len(),
            address.repo,
            first.path
        ),
        _ => bail!(
            "{address} has {} GGUF files; name one, as in {SCHEME}{}/FILE: {}",
            models.len(),
            address.repo,
            list::files(models.iter().copied())
        ),
    }
}

/// The file of a model that was pulled before: for `--model hf:…` and known names. Nothing is downloaded.
pub(crate) fn cached(model: &str) -> Result<PathBuf> {
    let address = Address::parse(model)?;
    let store = Store::new(&cache::cache(), &address);
    let found = store.find(address.file.as_deref())?;
    let path =
        found.with_context(|| format!("{model} is not in the cache: bitnet pull {model} brings it"))?;
    let bytes = models::find(model).and_then(|known| known.bytes);
    present::check(&path, bytes, &address).with_context(|| {
        format!("{} is not the file of {model}: bitnet pull {model} brings it again", path.display())
    })?;
    Ok(path)
}
