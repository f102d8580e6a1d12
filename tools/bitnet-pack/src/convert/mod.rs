//! GGUF to flash image.

mod config;
mod image;
mod import;
mod manifest;
mod provenance;
mod store;
mod tensors;
mod tiles;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use bitnet_edge_core::image::SectionKind;
use bitnet_edge_core::{Model, ModelConfig};
use bitnet_edge_kernels::format::i2_s::I2sLayout;
use bitnet_edge_std::{Bytes, MappedFile};
use sha2::{Digest, Sha256};

use crate::gguf::{Gguf, Tensor, TensorType};
use crate::output::Destination;
use crate::progress::{Progress, Unit};
use crate::text::{Packed, TokenizerOptions, Vocab, pack_chat_template, pack_tokenizer};
use image::Section;
use import::{Release, Source};
use store::Store;
use tensors::{Placed, Tensors, table_len};

pub use import::BlockType;
pub use manifest::{Act, Head, Manifest, ModelNames, RopeStyle};
pub use provenance::{Provenance, hex};

/// What is decided on conversion.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Byte order of `I2_S` tensors; 128 if not given.
    pub i2s_layout: Option<I2sLayout>,
    /// Requantize the embedding.
    pub embedding_type: Option<BlockType>,
    /// Requantize the head.
    pub head_type: Option<BlockType>,
    /// Record that prompts are lowered before they are encoded.
    pub lowercase: bool,
    /// Describes the architecture, instead of the built-in descriptions.
    pub manifest: Option<Manifest>,
    /// Name of the source file, for the record.
    pub source_name: String,
}

/// An image and what was assumed to make it.
#[derive(Clone, Debug)]
pub struct Converted {
    /// The image.
    pub image: Bytes,
    /// Assumptions and losses, one line each; they are recorded in the image, too.
    pub notes: Vec<String>,
}

/// Converts a GGUF file in memory.
pub fn convert(file: &[u8], options: &Options) -> Result<Converted> {
    convert_releasing(file, options, &|_| ())
}

/// Converts a mapped GGUF file in memory: as [`convert`] does, but the image is all that is in memory of the two.
pub fn convert_mapped(file: &MappedFile, options: &Options) -> Result<Converted> {
    let progress = progress(file);
    convert_releasing(file, options, &|bytes| {
        file.release(bytes);
        progress.add(bytes.len() as u64);
    })
}

/// The progress of a conversion, in which every byte of `file` is read twice: for its digest, and for the image.
fn progress(file: &[u8]) -> Progress {
    Progress::new("convert", Unit::Bytes, 2 * file.len() as u64)
}

fn convert_releasing(file: &[u8], options: &Options, release: Release<'_>) -> Result<Converted> {
    // TQ1_0 grows the most, by less than a fifth.
    let mut image = Bytes::with_room(file.len() + file.len() / 4);
    let notes = convert_into(file, options, Store::Memory(&mut image), release)?;
    // Read back with the runtime's own checks, every checksum included.
    let model =
        Model::new_checked(image.as_slice()).context("the image just made does not pass its own checks")?;
    model.verify()?;
    Ok(Converted { image, notes })
}

/// Converts a GGUF file into a file: as [`convert`] does, but neither of the two is ever in memory as a whole. Returns the
/// notes and the bytes written.
pub fn convert_to(file: &MappedFile, options: &Options, to: &Destination) -> Result<(Vec<String>, u64)> {
    let mut partial = to.begin()?;
    let progress = progress(file);
    let release = |bytes: &[u8]| {
        file.release(bytes);
        progress.add(bytes.len() as u64);
    };
    let notes = convert_into(file, options, Store::File(&mut partial), &release)?;
    drop(progress);
    let bytes = partial.len();
    let path = partial.path()?;
    let written = MappedFile::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    // The checksums were computed from what is in the file.
    Model::new_checked(&written).context("the image just made does not pass its own checks")?;
    drop(written);
    partial.finish()?;
    Ok((notes, bytes))
}

/// Makes an image in an empty store. `release` is called with parts of the file that have been read.
fn convert_into(
    file: &[u8],
    options: &Options,
    mut store: Store<'_>,
    release: Release<'_>,
) -> Result<Vec<String>> {
    let gguf = Gguf::parse(file)?;
    check_whole(&gguf)?;
    let mut converter = Converter::new(&gguf, options)?;
    let (config, mut sections) = converter.read_metadata()?;
    let digest = source_digest(file, release);
    // The tensors are stored behind the room that the other sections will take if no more notes are made.
    sections.push(converter.provenance(&digest)?);
    sections.push(Section { kind: SectionKind::TensorTable, bytes: vec![0; table_len(config.layers)] });
    let room = image::tensors_offset(&sections) as u64;
    store.append(&vec![0; room as usize])?;
    converter.read_tensors(&config, &mut Tensors { store: &mut store, start: room, release })?;
    converter.check_unused()?;
    let record = sections.len() - 2;
    sections[record] = converter.provenance(&digest)?;
    let base = image::tensors_offset(&sections) as u64;
    // Notes only become more, so that the tensors move back if they move.
    store.shift(room, base)?;
    sections[record + 1].bytes = converter.tensor_table(base, config.layers);
    let sums = store.checksums(base)?;
    store.write(0, &image::front(&sections, sums))?;
    Ok(converter.notes)
}

/// Refuses a file that has only a part of a model's tensors.
fn check_whole(file: &Gguf<'_>) -> Result<()> {
    let parts: u32 = file.get("split.count")?.unwrap_or(1);
    let part: u32 = file.get("split.no")?.unwrap_or(0);
    ensure!(
        parts <= 1,
        "the file is part {} of {parts} of a model: llama.cpp joins them: llama-gguf-split --merge FIRST WHOLE",
        part.saturating_add(1)
    );
    Ok(())
}

/// The SHA-256 of a file, in hex.
fn source_digest(file: &[u8], release: Release<'_>) -> String {
    let mut digest = Sha256::new();
    for part in file.chunks(8 << 20) {
        digest.update(part);
        release(part);
    }
    hex(&digest.finalize())
}

/// What [`convert`] would assume of a file, as far as its metadata tell: byte orders, tokenizer, chat template,
/// `RoPE`.
/// The weights are not read.
pub fn assumptions(gguf: &Gguf<'_>, options: &Options) -> Result<Vec<String>> {
    let mut converter = Converter::new(gguf, options)?;
    converter.read_metadata()?;
    Ok(converter.notes)
}

/// The tokenizer that [`convert`] would put into the image, as its section; `None` if the file has no vocabulary. The file
/// needs no tensors.
///
/// # Errors
/// What is wrong with the vocabulary.
pub fn tokenizer(gguf: &Gguf<'_>, lowercase: bool) -> Result<Option<Packed>> {
    Ok(vocabulary(gguf, lowercase)?.map(|(_, packed)| packed))
}

/// The vocabulary, and its tokenizer with all notes on both.
fn vocabulary(gguf: &Gguf<'_>, lowercase: bool) -> Result<Option<(Vocab, Packed)>> {
    let Some(mut vocab) = Vocab::from_gguf(gguf)? else { return Ok(None) };
    let mut notes = vocab.mark_control(gguf.get::<&str>("tokenizer.chat_template")?);
    let packed = pack_tokenizer(&vocab, TokenizerOptions { lowercase })?;
    notes.extend(packed.notes);
    Ok(Some((vocab, Packed { notes, ..packed })))
}

/// The chat template, or a note that says why the image goes without.
fn chat_template(template: Option<&str>, vocab: &Vocab, notes: &mut Vec<String>) -> Option<Section> {
    match pack_chat_template(template?, vocab) {
        Ok(packed) => {
            notes.extend(packed.notes);
            Some(Section { kind: SectionKind::Chat, bytes: packed.bytes })
        }
        Err(e) => {
            notes.push(format!("the chat template is left out: {e:#}"));
            None
        }
    }
}

struct Converter<'g, 'a> {
    gguf: &'g Gguf<'a>,
    options: &'g Options,
    manifest: Manifest,
    architecture: &'a str,
    i2s: I2sLayout,
    notes: Vec<String>,
    used: BTreeSet<String>,
    placed: Vec<Placed>,
}

impl<'g, 'a> Converter<'g, 'a> {
    fn new(gguf: &'g Gguf<'a>, options: &'g Options) -> Result<Self> {
        let architecture: &str = gguf.require("general.architecture")?;
        let names: Vec<&str> = gguf.tensors().iter().map(Tensor::name).collect();
        let manifest = match &options.manifest {
            Some(manifest) => {
                ensure!(
                    manifest.architecture.iter().any(|a| a == architecture),
                    "the manifest describes {}, and the file is {architecture:?}",
                    manifest.architecture.join(", ")
                );
                manifest.clone()
            }
            None => Manifest::built_in(architecture, &names)?,
        };
        let mut notes = Vec::new();
        let i2s = options.i2s_layout.unwrap_or_default();
        if gguf.tensors().iter().any(|t| t.ty() == TensorType::I2_S) {
            let how = if options.i2s_layout.is_some() {
                "as asked for"
            } else {
                "assumed; --i2s-layout changes it"
            };
            notes.push(format!("I2_S byte order {i2s} ({how})"));
        }
        let (used, placed) = (BTreeSet::new(), Vec::new());
        Ok(Self { gguf, options, manifest, architecture, i2s, notes, used, placed })
    }

    /// Configuration, `RoPE`, tokenizer and chat template.
    fn read_metadata(&mut self) -> Result<(ModelConfig, Vec<Section>)> {
        let gguf = self.gguf;
        let embedding = self.need(&self.manifest.model.embedding.clone())?;
        let rows = u32::try_from(embedding.row_count()).context("the embedding has too many rows")?;
        let factors = self.rope_factors()?;
        let notes = &mut self.notes;
        let described =
            config::describe(gguf, &self.manifest, self.architecture, rows, factors.as_deref(), notes)?;
        let turns = described.turns.iter().flat_map(|t| t.to_le_bytes()).collect();
        let mut sections = vec![
            Section { kind: SectionKind::Config, bytes: described.config.encode().to_vec() },
            Section { kind: SectionKind::Rope, bytes: turns },
        ];
        match vocabulary(gguf, self.options.lowercase)? {
            Some((vocab, packed)) => {
                ensure!(
                    vocab.tokens.len() <= rows as usize,
                    "the vocabulary has {} tokens and the embedding {rows} rows",
                    vocab.tokens.len()
                );
                notes.extend(packed.notes);
                sections.push(Section { kind: SectionKind::Tokenizer, bytes: packed.bytes });
                let template = gguf.get::<&str>("tokenizer.chat_template")?;
                sections.extend(chat_template(template, &vocab, notes));
            }
            None => notes.push("the file has no vocabulary: prompts must be token ids".to_owned()),
        }
        Ok((described.config, sections))
    }

    fn provenance(&self, digest: &str) -> Result<Section> {
        let record = Provenance::new(self.gguf, self.options, digest, self.architecture, &self.notes)?;
        Ok(Section { kind: SectionKind::Provenance, bytes: record.to_bytes()? })
    }

    fn find(&mut self, name: &str) -> Option<Tensor<'a>> {
        let tensor = self.gguf.tensor(name).copied();
        if tensor.is_some() {
            self.used.insert(name.to_owned());
        }
        tensor
    }

    fn need(&mut self, name: &str) -> Result<Tensor<'a>> {
        let architecture = self.architecture;
        self.find(name).with_context(|| {
            format!("the file has no tensor {name:?}, which architecture {architecture:?} needs (a manifest can rename it)")
        })
    }

    fn rope_factors(&mut self) -> Result<Option<Vec<f32>>> {
        let Some(name) = self.manifest.model.rope_factors.clone() else { return Ok(None) };
        let i2s = self.i2s;
        self.find(&name).map(|t| Source::new(&t, i2s, None)?.vector()).transpose()
    }

    /// A tensor that nothing reads would be a model that is not the file's.
    fn check_unused(&self) -> Result<()> {
        let unused: Vec<&str> =
            self.gguf.tensors().iter().map(Tensor::name).filter(|name| !self.used.contains(*name)).collect();
        ensure!(
            unused.is_empty(),
            "architecture {:?} has no use for {} of the file's tensors: {}{}. Describe them in a manifest \
             (docs/adding-a-model.md)",
            self.architecture,
            unused.len(),
            unused[..unused.len().min(5)].join(", "),
            if unused.len() > 5 { ", …" } else { "" }
        );
        Ok(())
    }
}
