//! The tensor table, and the model as a whole.

use bitnet_edge_kernels::tile::{Layout, TILE_ROWS, TernaryScale, t2r4};
use zerocopy::FromBytes;

use super::bytes::{f32_at, range, u16_at, u32_at, u64_at};
use super::config::ModelConfig;
use super::container::{Image, Section, SectionKind, VERIFY_STEP};
use super::role::{GLOBAL_ROLES, LAYER_ROLES, Role, TABLE_ENTRY_LEN, TensorId, VECTOR_LAYOUT};
use crate::Error;
use crate::text::{ChatTemplate, Tokenizer};

/// What a tensor's bytes are.
///
/// ```
/// use bitnet_edge_core::{Model, image::{Data, TensorId}};
/// # static IMAGE: &[u8] =
/// #     bitnet_edge_core::include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
/// let model = Model::new_checked(IMAGE)?;
/// match model.tensor(TensorId::EMBEDDING).map(|tensor| tensor.data) {
///     Some(Data::Matrix { layout, row_tile_bytes, tiles, .. }) => {
///         assert_eq!(layout.name(), "q8r4");
///         assert_eq!(tiles.len() / row_tile_bytes, 56 / 4); // four rows a tile
///     }
///     _ => unreachable!("an embedding is a matrix"),
/// }
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// f32 values.
    Vector(&'a [f32]),
    /// Row tiles of a matrix.
    Matrix {
        /// How the weights lie.
        layout: Layout,
        /// Bytes of a row tile.
        row_tile_bytes: usize,
        /// The row tiles.
        tiles: &'a [u8],
        /// Scale of ternary weights.
        scale: TernaryScale<'a>,
    },
}

/// One tensor of an image.
///
/// ```
/// use bitnet_edge_core::{Model, image::{Role, TensorId}};
/// # static IMAGE: &[u8] =
/// #     bitnet_edge_core::include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
/// let model = Model::new_checked(IMAGE)?;
/// let down = model.tensor(TensorId::of(1, Role::Down)).expect("every model has it");
/// assert_eq!((down.rows, down.cols), (64, 128)); // outputs, inputs
/// assert_eq!(down.len, 64 * 128 / 4); // bytes: 2 bits a weight
/// assert!(down.offset.is_multiple_of(64));
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    /// Rows; 1 for a vector.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
    /// Factor on the product.
    pub factor: f32,
    /// Offset of the data in the image.
    pub offset: u64,
    /// Bytes of the data.
    pub len: u64,
    /// The data.
    pub data: Data<'a>,
}

/// A model in a flash image: everything that the runtime reads, checked once.
///
/// ```
/// use bitnet_edge_core::Model;
/// # static IMAGE: &[u8] =
/// #     bitnet_edge_core::include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
/// let model = Model::new_checked(IMAGE)?;
/// let config = model.config();
/// assert_eq!((config.layers, config.dim, config.vocab), (2, 64, 56));
/// assert!(model.tokenizer().is_some() && model.chat().is_some());
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    image: Image<'a>,
    config: ModelConfig,
    turns: &'a [u64],
    table: &'a [u8],
    /// Kept: every operation of a pass looks tensors up.
    tensors: Section<'a>,
    tokenizer: Option<Tokenizer<'a>>,
    chat: Option<ChatTemplate<'a>>,
}

impl<'a> Model<'a> {
    /// Checks header, tables and every tensor's place and shape. Weights themselves are not read:
    /// [`Image::verify`] does that.
    ///
    /// # Errors
    /// What is wrong, as an [`Error`] of an image.
    ///
    /// ```
    /// use bitnet_edge_core::{Error, Model};
    /// # static IMAGE: &[u8] =
    /// #     bitnet_edge_core::include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// let model = Model::new_checked(IMAGE)?;
    /// assert_eq!(model.config().layers, 2);
    /// assert_eq!(Model::new_checked(&[]).err(), Some(Error::NotAnImage));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, Error> {
        let image = Image::new_checked(bytes)?;
        let config = ModelConfig::decode(image.required(SectionKind::Config)?)?;
        let damaged = Error::ImageDamaged("the RoPE section has the wrong length");
        let turns = <[u64]>::ref_from_bytes(image.required(SectionKind::Rope)?).map_err(|_| damaged)?;
        if turns.len() != config.rope_pairs as usize {
            return Err(damaged);
        }
        let table = image.required(SectionKind::TensorTable)?;
        let entries = u64::from(GLOBAL_ROLES) + u64::from(LAYER_ROLES) * u64::from(config.layers);
        if table.len() as u64 != entries * TABLE_ENTRY_LEN as u64 {
            return Err(Error::ImageDamaged("the tensor table has the wrong length"));
        }
        let missing = Error::SectionMissing(SectionKind::Tensors.name());
        let tensors = image.sections().find(|s| s.kind == SectionKind::Tensors as u32).ok_or(missing)?;
        let tokenizer = image.section(SectionKind::Tokenizer).map(Tokenizer::new_checked).transpose()?;
        let (tokens, rows) = (tokenizer.map_or(0, |t| t.token_count()), config.vocab);
        if tokens > rows {
            return Err(Error::Vocabulary { tokens, rows });
        }
        let chat = image.section(SectionKind::Chat).map(ChatTemplate::new_checked).transpose()?;
        let model = Self { image, config, turns, table, tensors, tokenizer, chat };
        model.check_tensors()?;
        Ok(model)
    }

    fn check_tensors(&self) -> Result<(), Error> {
        let c = &self.config;
        self.check(TensorId::EMBEDDING, (c.vocab, c.dim), true, true)?;
        self.check(TensorId::HEAD, (c.vocab, c.dim), true, true)?;
        self.check(TensorId::FINAL_NORM, (1, c.dim), false, true)?;
        for layer in 0..c.layers {
            for role in Role::ALL {
                self.check(TensorId::of(layer, role), role.shape(c), role.is_matrix(), role.is_matrix())?;
            }
        }
        Ok(())
    }

    fn check(&self, id: TensorId, shape: (u32, u32), matrix: bool, required: bool) -> Result<(), Error> {
        let Some(tensor) = self.read(id)? else {
            return if required { Err(Error::TensorMissing { tensor: id.0 }) } else { Ok(()) };
        };
        let layout = match tensor.data {
            Data::Vector(_) => VECTOR_LAYOUT,
            Data::Matrix { layout, .. } => layout.id(),
        };
        if (layout != VECTOR_LAYOUT) != matrix {
            return Err(Error::UnknownLayout { tensor: id.0, layout });
        }
        let found = (tensor.rows, tensor.cols);
        if found == shape { Ok(()) } else { Err(Error::TensorShape { tensor: id.0, found, need: shape }) }
    }

    /// Reads an entry of the table; `None` if it is absent.
    fn read(&self, id: TensorId) -> Result<Option<Tensor<'a>>, Error> {
        const DAMAGED: Error =
            Error::ImageDamaged("a tensor lies outside its section or has an impossible size");
        let at = (id.0 as usize).checked_mul(TABLE_ENTRY_LEN).ok_or(DAMAGED)?;
        let entry = range(self.table, at as u64, TABLE_ENTRY_LEN as u64).ok_or(DAMAGED)?;
        let word = |at| u32_at(entry, at).unwrap_or(0);
        let long = |at| u64_at(entry, at).unwrap_or(0);
        let float = |at| f32_at(entry, at).unwrap_or(0.0);
        let layout = u16_at(entry, 0).unwrap_or(0);
        if layout == 0 {
            return Ok(None);
        }
        let (rows, cols, offset, len) = (word(4), word(8), long(24), long(32));
        let bytes = self.data(offset, len).ok_or(DAMAGED)?;
        let data = if layout == VECTOR_LAYOUT {
            let values = <[f32]>::ref_from_bytes(bytes).map_err(|_| DAMAGED)?;
            Data::Vector(values.get(..cols as usize).ok_or(DAMAGED)?)
        } else {
            let known = Layout::from_id(layout).filter(|layout| layout.is_built());
            let known = known.ok_or(Error::UnknownLayout { tensor: id.0, layout })?;
            let row_tile_bytes = known.row_tile_bytes(cols as usize).ok_or(DAMAGED)?;
            if known.matrix_bytes(rows as usize, cols as usize).ok_or(DAMAGED)? != bytes.len() {
                return Err(DAMAGED);
            }
            let scale = match long(40) {
                0 => TernaryScale::Tensor(float(12)),
                at => {
                    let padded = u64::from(rows).next_multiple_of(TILE_ROWS as u64);
                    let bytes = self.data(at, padded * 4).ok_or(DAMAGED)?;
                    TernaryScale::Rows(<[f32]>::ref_from_bytes(bytes).map_err(|_| DAMAGED)?)
                }
            };
            Data::Matrix { layout: known, row_tile_bytes, tiles: bytes, scale }
        };
        Ok(Some(Tensor { rows, cols, factor: float(16), offset, len, data }))
    }

    /// Checks what no header says: every checksum and all padding ([`Image::verify`]), the order of the tokenizer's tables, and
    /// that ternary matrices hold no code 3. Reads the whole image.
    ///
    /// # Errors
    /// What is wrong, as an [`Error`] of an image.
    ///
    /// ```
    /// # use bitnet_edge_core::{Model, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// let model = Model::new_checked(IMAGE)?;
    /// model.verify()?; // after an update, or on request: it takes as long as reading the image does
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn verify(&self) -> Result<(), Error> {
        self.verify_between(&mut || {})
    }

    /// As [`verify`](Self::verify), with a call of `between` at least once in 4 KiB of the image and in 64 tokens of the
    /// vocabulary, where firmware feeds its watchdog.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    ///
    /// ```
    /// # use bitnet_edge_core::{Model, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// let model = Model::new_checked(IMAGE)?;
    /// let mut fed = 0; // how often the watchdog was
    /// model.verify_between(&mut || fed += 1)?;
    /// assert!(fed >= IMAGE.len() / 4096);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn verify_between(&self, between: &mut dyn FnMut()) -> Result<(), Error> {
        self.image.verify_between(between)?;
        if let Some(tokenizer) = &self.tokenizer {
            tokenizer.verify_between(between)?;
        }
        let layers = GLOBAL_ROLES.saturating_add(LAYER_ROLES.saturating_mul(self.config.layers));
        for id in 0..layers {
            if let Some(Tensor { data: Data::Matrix { layout: Layout::T2r4, tiles, .. }, .. }) =
                self.tensor(TensorId(id))
            {
                for piece in tiles.chunks(VERIFY_STEP) {
                    if t2r4::has_code_3(piece) {
                        return Err(Error::TernaryCode { tensor: id });
                    }
                    between();
                }
            }
        }
        Ok(())
    }

    /// Bytes inside the tensor section, at a multiple of 64.
    fn data(&self, offset: u64, len: u64) -> Option<&'a [u8]> {
        let within = offset.checked_sub(self.tensors.offset)?;
        if !offset.is_multiple_of(64) { None } else { range(self.tensors.bytes, within, len) }
    }

    /// The tensor of this id, or `None` if the model does not have it.
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, Model, image::{Data, Role, TensorId}, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// let norm = model.tensor(TensorId::of(0, Role::AttnNorm)).expect("this model has it");
    /// assert!(matches!(norm.data, Data::Vector(weights) if weights.len() == 64));
    /// assert!(model.tensor(TensorId::of(0, Role::QBias)).is_none());
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn tensor(&self, id: TensorId) -> Option<Tensor<'a>> {
        self.read(id).ok().flatten()
    }

    /// Whether the model has this tensor.
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, Model, image::{Role, TensorId}, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// assert!(model.has(TensorId::of(1, Role::FfnSubNorm)));
    /// assert!(!model.has(TensorId::of(1, Role::FfnPostNorm))); // its operation is absent from the program
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub fn has(&self, id: TensorId) -> bool {
        let at = (id.0 as usize).saturating_mul(TABLE_ENTRY_LEN);
        u16_at(self.table, at).is_some_and(|layout| layout != 0)
    }

    /// Dimensions and constants.
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, Model, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// assert_eq!(model.config().head_dim, 32);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn config(&self) -> ModelConfig {
        self.config
    }

    /// `RoPE` frequencies: turns a position, a pair each, as fractions of 2^64.
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, Model, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// // The first pair turns by one radian a position.
    /// let radians = model.turns()[0] as f64 / 2f64.powi(64) * core::f64::consts::TAU;
    /// assert!((radians - 1.0).abs() < 1e-12);
    /// assert_eq!(model.turns().len(), 16);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn turns(&self) -> &'a [u64] {
        self.turns
    }

    /// The tokenizer, if the image has one.
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, Model, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// let tokenizer = model.tokenizer().expect("this image has one");
    /// assert!(tokenizer.find(b" board").is_some_and(|id| tokenizer.token_bytes(id) == b" board"));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn tokenizer(&self) -> Option<Tokenizer<'a>> {
        self.tokenizer
    }

    /// The chat template, if the image has one.
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, Model, image::Role, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// use bitnet_edge_core::text::{Ending, Message, Piece, Role as Who};
    /// let template = model.chat().expect("this image has one");
    /// let messages = [Message { role: Who::User, content: b"hi" }];
    /// let pieces: Vec<_> = template.render(None, &messages, Ending::Reply)?.collect();
    /// // <|user|>hi<|end|><|assistant|>
    /// assert_eq!(pieces, [Piece::Special(2), Piece::from("hi"), Piece::Special(0), Piece::Special(3)]);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn chat(&self) -> Option<ChatTemplate<'a>> {
        self.chat
    }

    /// The image itself.
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, Model, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// assert_eq!(model.image().verify(), Ok(()));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn image(&self) -> Image<'a> {
        self.image
    }
}
