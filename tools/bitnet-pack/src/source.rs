//! A model as a user names it: a flash image, or a GGUF file that is converted in memory.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bitnet_edge_core::Model;
use bitnet_edge_core::image::MAGIC;
use bitnet_edge_std::{Bytes, HugePages, MappedFile};

use crate::convert::{Options, convert_mapped};
use crate::progress::{Progress, Unit};
use crate::report::advised;

/// The bytes of an image, wherever they are.
#[derive(Debug)]
pub enum Source {
    /// A mapped image file: executed in place.
    Image(MappedFile),
    /// Converted in memory, with what was assumed.
    Converted {
        /// The image.
        image: Bytes,
        /// What was assumed on import.
        notes: Vec<String>,
    },
    /// A copy in huge pages of one of the others.
    Copied(HugePages),
}

impl Source {
    /// Opens an image, or converts a GGUF file.
    pub fn open(path: &Path, options: &Options) -> Result<Self> {
        let file = map(path)?;
        if is_image(&file, path)? {
            return Ok(Self::Image(file));
        }
        let options = Options { source_name: name(path), ..options.clone() };
        let done = convert_mapped(&file, &options).with_context(|| path.display().to_string())?;
        Ok(Self::Converted { image: done.image, notes: done.notes })
    }

    /// The image.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Image(file) => file,
            Self::Converted { image, .. } => image.as_slice(),
            Self::Copied(copy) => copy,
        }
    }

    /// The same image in memory of its own, for which the system was asked to use huge pages.
    pub fn in_huge_pages(self) -> Result<Self> {
        let bytes = self.bytes();
        let progress = Progress::new("load", Unit::Bytes, bytes.len() as u64);
        let copy =
            HugePages::copy_between(bytes, &mut |part| progress.add(part as u64)).with_context(|| {
                format!(
                    "cannot copy the {} bytes of the image to huge pages; leave out --huge-pages",
                    bytes.len()
                )
            })?;
        Ok(Self::Copied(copy))
    }
}

/// Maps a file, with an error that names it.
pub fn map(path: &Path) -> Result<MappedFile> {
    MappedFile::open(path).with_context(|| format!("cannot open {}", path.display()))
}

/// The file's name without folders.
#[must_use]
pub fn name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Where a converted image goes if nothing is said: beside its source.
#[must_use]
pub fn default_output(path: &Path) -> PathBuf {
    path.with_extension("bpk")
}

/// Whether a file is a flash image; an error if it is no GGUF file either.
pub fn is_image(file: &[u8], path: &Path) -> Result<bool> {
    match file {
        file if file.starts_with(&MAGIC) => Ok(true),
        file if file.starts_with(b"GGUF") => Ok(false),
        other => bail!(
            "{}: neither a flash image (.bpk) nor a GGUF file: it starts with \"{}\"",
            path.display(),
            other[..other.len().min(8)].escape_ascii()
        ),
    }
}

/// The model in an image, with errors that name its file.
pub fn model<'a>(image: &'a [u8], path: &Path) -> Result<Model<'a>> {
    Model::new_checked(image).map_err(advised).with_context(|| path.display().to_string())
}
