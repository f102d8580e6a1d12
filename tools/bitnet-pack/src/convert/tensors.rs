//! The tensors of an image, in the order in which it has them.

use anyhow::{Result, ensure};
use bitnet_edge_core::ModelConfig;
use bitnet_edge_core::image::{GLOBAL_ROLES, LAYER_ROLES, Role, TABLE_ENTRY_LEN, TensorId, VECTOR_LAYOUT};
use bitnet_edge_kernels::tile::Layout;

use super::image::{ALIGN, put};
use super::import::{Matrix, Release, Source};
use super::store::Store;
use super::{BlockType, Converter, Head, RopeStyle};
use crate::gguf::{Tensor, TensorType};

/// The section of tensors, as it grows.
pub(super) struct Tensors<'s, 'f> {
    pub(super) store: &'s mut Store<'f>,
    /// Where the section begins in the store.
    pub(super) start: u64,
    pub(super) release: Release<'s>,
}

/// A tensor's entry in the table.
pub(super) struct Placed {
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

/// Bytes of the tensor table.
pub(super) const fn table_len(layers: u32) -> usize {
    (GLOBAL_ROLES as usize + LAYER_ROLES as usize * layers as usize) * TABLE_ENTRY_LEN
}

impl<'a> Converter<'_, 'a> {
    pub(super) fn read_tensors(&mut self, c: &ModelConfig, to: &mut Tensors<'_, '_>) -> Result<()> {
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
        if matrix.layout == Layout::T2r4
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

    /// The table of the tensors, which begin at `base`.
    pub(super) fn tensor_table(&self, base: u64, layers: u32) -> Vec<u8> {
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
