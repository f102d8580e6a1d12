//! GGUF to flash image.

mod config;
mod image;
mod import;
mod manifest;
mod provenance;
mod store;
mod tiles;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use bitnet_edge_core::image::{
    GLOBAL_ROLES, LAYER_ROLES, Role, SectionKind, TABLE_ENTRY_LEN, TensorId, VECTOR_LAYOUT,
};
use bitnet_edge_core::{Model, ModelConfig};
use bitnet_edge_kernels::format::i2_s::I2sLayout;
use bitnet_edge_std::{Bytes, MappedFile};
use sha2::{Digest, Sha256};

use crate::gguf::{Gguf, Tensor, TensorType};
use crate::output::Destination;
use crate::text::{TokenizerOptions, Vocab, pack_chat_template, pack_tokenizer};
use image::{ALIGN, Section, put};
use import::{Matrix, Release, Source};
use store::Store;

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
    let mut image = Bytes::default();
    let notes = convert_into(file, options, Store::Memory(&mut image), &|_| ())?;
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
    let release = |bytes: &[u8]| file.release(bytes);
    let notes = convert_into(file, options, Store::File(&mut partial), &release)?;
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

/// The SHA-256 of a file, in hex.
fn source_digest(file: &[u8], release: Release<'_>) -> String {
    let mut digest = Sha256::new();
    for part in file.chunks(8 << 20) {
        digest.update(part);
        release(part);
    }
    hex(&digest.finalize())
}

/// Bytes of the tensor table.
const fn table_len(layers: u32) -> usize {
    (GLOBAL_ROLES as usize + LAYER_ROLES as usize * layers as usize) * TABLE_ENTRY_LEN
}

/// What [`convert`] would assume of a file, as far as its metadata tell: byte orders, tokenizer, chat template,
/// `RoPE`.
/// The weights are not read.
pub fn assumptions(gguf: &Gguf<'_>, options: &Options) -> Result<Vec<String>> {
    let mut converter = Converter::new(gguf, options)?;
    converter.read_metadata()?;
    Ok(converter.notes)
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

/// The section of tensors, as it grows.
struct Tensors<'s, 'f> {
    store: &'s mut Store<'f>,
    /// Where the section begins in the store.
    start: u64,
    release: Release<'s>,
}

/// A tensor's entry in the table.
struct Placed {
    id: TensorId,
    layout: u16,
    rows: u32,
    cols: u32,
    scale: f32,
    factor: f32,
    /// From the section's start, in bytes.
    at: u64,
    len: usize,
    row_scales: Option<u64>,
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
        match Vocab::from_gguf(gguf)? {
            Some(mut vocab) => {
                ensure!(
                    vocab.tokens.len() <= rows as usize,
                    "the vocabulary has {} tokens and the embedding {rows} rows",
                    vocab.tokens.len()
                );
                let template = gguf.get::<&str>("tokenizer.chat_template")?;
                notes.extend(vocab.mark_control(template));
                let packed = pack_tokenizer(&vocab, TokenizerOptions { lowercase: self.options.lowercase })?;
                notes.extend(packed.notes);
                sections.push(Section { kind: SectionKind::Tokenizer, bytes: packed.bytes });
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

    fn read_tensors(&mut self, c: &ModelConfig, to: &mut Tensors<'_, '_>) -> Result<()> {
        let names = self.manifest.model.clone();
        let embedding = self.need(&names.embedding)?;
        let own_head = match (self.manifest.head, self.find(&names.head)) {
            (Head::Tied, Some(_)) => {
                self.notes.push(format!("{} is not used: the embedding is the head", names.head));
                None
            }
            (_, head) => head,
        };
        let factor = self.manifest.logit_scale.unwrap_or(1.0);
        let embedding_type = self.options.embedding_type;
        // Tied weights are one tensor unless the two ends are to have different types.
        let head_type = self.options.head_type.or(if own_head.is_none() { embedding_type } else { None });
        let shape = (c.vocab, c.dim);
        self.table(TensorId::EMBEDDING, &embedding, shape, (embedding_type, 1.0), to)?;
        let shared = own_head.is_none() && head_type == embedding_type;
        if shared {
            let placed = &self.placed[0];
            let head = Placed { id: TensorId::HEAD, factor, ..*placed };
            self.placed.push(head);
        }
        for layer in 0..c.layers {
            for role in Role::ALL {
                self.layer_tensor(c, layer, role, to)?;
            }
        }
        let norm = self.need(&names.final_norm)?;
        self.vector(TensorId::FINAL_NORM, &norm, c.dim, None, to)?;
        if !shared {
            self.table(TensorId::HEAD, &own_head.unwrap_or(embedding), shape, (head_type, factor), to)?;
        }
        Ok(())
    }

    fn layer_tensor(
        &mut self,
        c: &ModelConfig,
        layer: u32,
        role: Role,
        to: &mut Tensors<'_, '_>,
    ) -> Result<()> {
        let Some((name, required)) = self.manifest.tensor(role, layer) else { return Ok(()) };
        let tensor = if required {
            self.need(&name)?
        } else {
            match self.find(&name) {
                Some(tensor) => tensor,
                None => return Ok(()),
            }
        };
        let (rows, cols) = role.shape(c);
        let order = self.row_order(c, role);
        let id = TensorId::of(layer, role);
        if !role.is_matrix() {
            return self.vector(id, &tensor, cols, order, to);
        }
        check_shape(&tensor, rows, cols)?;
        let factor = self.matrix_factor(&name)?;
        let at = to.store.len() - to.start;
        let matrix = Source::new(&tensor, self.i2s, order)?.releasing(to.release).matrix(to.store)?;
        if matrix.layout == bitnet_edge_kernels::tile::Layout::T2r4
            && matches!(tensor.ty(), TensorType::F32 | TensorType::F16 | TensorType::BF16)
        {
            let note = format!("{} matrices that are ternary times a scale became ternary", tensor.ty());
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        self.place_matrix(id, at, matrix, factor, to)
    }

    /// A `.scale` tensor beside a matrix multiplies its product.
    fn matrix_factor(&mut self, name: &str) -> Result<f32> {
        let Some(stem) = name.strip_suffix(".weight") else { return Ok(1.0) };
        let i2s = self.i2s;
        let Some(tensor) = self.find(&format!("{stem}.scale")) else { return Ok(1.0) };
        let values = Source::new(&tensor, i2s, None)?.vector()?;
        ensure!(values.len() == 1, "{} has {} values; one is needed", tensor.name(), values.len());
        Ok(values[0])
    }

    /// The order that turns rotated neighbours into halves, for what belongs to Q and K.
    fn row_order(&self, c: &ModelConfig, role: Role) -> Option<Vec<usize>> {
        let heads = match role {
            Role::Q | Role::QBias => c.heads,
            Role::K | Role::KBias => c.kv_heads,
            Role::QNorm | Role::KNorm => 1,
            _ => return None,
        };
        if self.manifest.rope == RopeStyle::Neox {
            return None;
        }
        let (hd, pairs) = (c.head_dim as usize, c.rope_pairs as usize);
        let within = |i: usize| match i {
            i if i < pairs => 2 * i,
            i if i < 2 * pairs => 2 * (i - pairs) + 1,
            i => i,
        };
        Some((0..heads as usize).flat_map(|h| (0..hd).map(move |i| h * hd + within(i))).collect())
    }

    fn table(
        &mut self,
        id: TensorId,
        tensor: &Tensor<'a>,
        (rows, cols): (u32, u32),
        (ty, factor): (Option<BlockType>, f32),
        to: &mut Tensors<'_, '_>,
    ) -> Result<()> {
        check_shape(tensor, rows, cols)?;
        let mut notes = Vec::new();
        let at = to.store.len() - to.start;
        let source = Source::new(tensor, self.i2s, None)?.releasing(to.release);
        let matrix = source.table(ty, &mut notes, to.store)?;
        self.notes.extend(notes);
        self.place_matrix(id, at, matrix, factor, to)
    }

    /// Notes a matrix whose row tiles are in the store, from `at` on, and stores the rest of it.
    fn place_matrix(
        &mut self,
        id: TensorId,
        at: u64,
        m: Matrix,
        factor: f32,
        to: &mut Tensors<'_, '_>,
    ) -> Result<()> {
        to.store.pad()?;
        let row_scales = match m.row_scales {
            None => None,
            Some(scales) => {
                let at = to.store.len() - to.start;
                to.store.append(&scales.iter().flat_map(|s| s.to_le_bytes()).collect::<Vec<u8>>())?;
                to.store.pad()?;
                Some(at)
            }
        };
        let (rows, cols, len, scale) = (m.rows as u32, m.cols as u32, m.len, m.scale);
        let layout = m.layout.id();
        self.placed.push(Placed { id, layout, rows, cols, scale, factor, at, len, row_scales });
        Ok(())
    }

    fn vector(
        &mut self,
        id: TensorId,
        tensor: &Tensor<'a>,
        cols: u32,
        order: Option<Vec<usize>>,
        to: &mut Tensors<'_, '_>,
    ) -> Result<()> {
        let mut values = Source::new(tensor, self.i2s, None)?.vector()?;
        ensure!(
            values.len() == cols as usize,
            "{} has {} values; the configuration needs {cols}",
            tensor.name(),
            values.len()
        );
        if let Some(order) = order {
            values = order.iter().map(|&i| values[i]).collect();
        }
        let mut bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
        let (at, len) = (to.store.len() - to.start, bytes.len());
        to.store.append(&bytes)?;
        let (layout, scale, factor) = (VECTOR_LAYOUT, 1.0, 1.0);
        self.placed.push(Placed { id, layout, rows: 1, cols, scale, factor, at, len, row_scales: None });
        Ok(())
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

    /// The table of the tensors, which begin at `base`.
    fn tensor_table(&self, base: u64, layers: u32) -> Vec<u8> {
        let mut bytes = vec![0; table_len(layers)];
        for p in &self.placed {
            let entry = &mut bytes[p.id.0 as usize * TABLE_ENTRY_LEN..][..TABLE_ENTRY_LEN];
            put(entry, 0, &p.layout.to_le_bytes());
            put(entry, 4, &p.rows.to_le_bytes());
            put(entry, 8, &p.cols.to_le_bytes());
            put(entry, 12, &p.scale.to_le_bytes());
            put(entry, 16, &p.factor.to_le_bytes());
            put(entry, 24, &(base + p.at).to_le_bytes());
            put(entry, 32, &(p.len as u64).to_le_bytes());
            put(entry, 40, &p.row_scales.map_or(0, |at| base + at).to_le_bytes());
        }
        bytes
    }
}

fn check_shape(tensor: &Tensor<'_>, rows: u32, cols: u32) -> Result<()> {
    ensure!(
        (tensor.row_count(), tensor.columns()) == (u64::from(rows), u64::from(cols)),
        "{} has {} rows of {}; the configuration needs {rows} of {cols}",
        tensor.name(),
        tensor.row_count(),
        tensor.columns()
    );
    Ok(())
}
