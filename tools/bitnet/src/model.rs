//! Opens models as the user names them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bitnet_pack::cli::{ImportArgs, print_notes};
use bitnet_pack::convert::{Options, convert};
use bitnet_pack::report::say;
use bitnet_pack::source::Source;

/// The story model, as the repository ships it.
static STORY: &[u8] = include_bytes!("../../../models/tinystories-micro/tinystories-micro-i2_s.gguf");

/// Opens a model as the user names it, or the story model.
pub(crate) fn open(model: Option<&Path>, import: &ImportArgs, huge_pages: bool) -> Result<Source> {
    let source = open_in_place(model, import)?;
    if huge_pages { source.in_huge_pages() } else { Ok(source) }
}

fn open_in_place(model: Option<&Path>, import: &ImportArgs) -> Result<Source> {
    let Some(path) = model else {
        if import.is_set() {
            bail!("import options need --model: the story model is what it is");
        }
        let options = Options {
            lowercase: true,
            source_name: "tinystories-micro-i2_s.gguf".to_owned(),
            ..Options::default()
        };
        let done = convert(STORY, &options).context("the story model that the program carries")?;
        return Ok(Source::Converted { image: done.image, notes: Vec::new() });
    };
    let path = &locate(path)?;
    let source = Source::open(path, &import.options()?)?;
    match &source {
        Source::Converted { notes, .. } => {
            say(format_args!(
                "{}: converted in memory; `bitnet-pack convert` makes an image that starts at once",
                path.display()
            ));
            print_notes(notes);
        }
        Source::Image(_) if import.is_set() => {
            bail!("{} is a flash image: import options are for GGUF files", path.display())
        }
        Source::Image(file) => file.read_ahead(),
        Source::Copied(_) => {}
    }
    Ok(source)
}

/// The file that a user means: a path, or `hf:…` or a known name of what `bitnet pull` brought.
pub(crate) fn locate(model: &Path) -> Result<PathBuf> {
    let Some(text) = model.to_str().filter(|text| is_published(text)) else {
        return Ok(model.to_owned());
    };
    #[cfg(feature = "pull")]
    {
        crate::pull::cached(text)
    }
    #[cfg(not(feature = "pull"))]
    {
        bail!("{text} is a model of the hub, and this bitnet was built without `pull`: name a file")
    }
}

/// Whether a model is named as `bitnet pull` takes it, and no file has that name.
fn is_published(model: &str) -> bool {
    (model.starts_with("hf:") || crate::models::find(model).is_some()) && !Path::new(model).exists()
}
