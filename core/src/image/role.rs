//! What a tensor is in its model: roles and their places in the table.

use core::fmt;

use super::config::ModelConfig;

/// Entries of the table that belong to the model as a whole.
///
/// ```
/// assert_eq!(bitnet_edge_core::image::GLOBAL_ROLES, 8);
/// ```
pub const GLOBAL_ROLES: u32 = 8;
/// Entries of the table a layer has.
///
/// ```
/// assert_eq!(bitnet_edge_core::image::LAYER_ROLES, 24);
/// ```
pub const LAYER_ROLES: u32 = 24;
/// Bytes of an entry of the table.
///
/// ```
/// assert_eq!(bitnet_edge_core::image::TABLE_ENTRY_LEN, 48);
/// ```
pub const TABLE_ENTRY_LEN: usize = 48;
/// The layout number of a vector.
///
/// ```
/// assert_eq!(bitnet_edge_core::image::VECTOR_LAYOUT, 256);
/// ```
pub const VECTOR_LAYOUT: u16 = 256;

/// Index in the tensor table.
///
/// ```
/// use bitnet_edge_core::image::{Role, TensorId};
/// assert_eq!(TensorId::of(2, Role::Q).0, 8 + 2 * 24 + 1);
/// assert_eq!(TensorId::of(2, Role::FfnNorm).to_string(), "2.ffn_norm");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TensorId(pub u32);

impl TensorId {
    /// The token embedding, `vocab` rows.
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, Model, image::TensorId, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// assert_eq!(model.tensor(TensorId::EMBEDDING).map(|t| (t.rows, t.cols)), Some((56, 64)));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const EMBEDDING: Self = Self(0);
    /// The output head, `vocab` rows.
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, Model, image::TensorId, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// // A tied head is the embedding, stored once.
    /// let [head, embedding] = [TensorId::HEAD, TensorId::EMBEDDING].map(|id| model.tensor(id).map(|t| t.offset));
    /// assert_eq!(head, embedding);
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const HEAD: Self = Self(1);
    /// The norm before the head.
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, Model, image::TensorId, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// assert_eq!(model.tensor(TensorId::FINAL_NORM).map(|t| (t.rows, t.cols)), Some((1, 64)));
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const FINAL_NORM: Self = Self(2);

    /// The tensor of a role in a layer.
    ///
    /// ```
    /// use bitnet_edge_core::image::{LAYER_ROLES, Role, TensorId};
    /// let [q0, q1] = [0, 1].map(|layer| TensorId::of(layer, Role::Q));
    /// assert_eq!(q1.0 - q0.0, LAYER_ROLES);
    /// ```
    pub const fn of(layer: u32, role: Role) -> Self {
        Self(GLOBAL_ROLES.saturating_add(LAYER_ROLES.saturating_mul(layer)).saturating_add(role as u32))
    }
}

/// The name in reports: `embedding`, or layer and role as in `2.ffn_norm`.
impl fmt::Display for TensorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::EMBEDDING => f.write_str("embedding"),
            Self::HEAD => f.write_str("head"),
            Self::FINAL_NORM => f.write_str("final_norm"),
            Self(id) => {
                let (layer, role) = match id.checked_sub(GLOBAL_ROLES) {
                    Some(place) => (place / LAYER_ROLES, place % LAYER_ROLES),
                    None => return write!(f, "{id}"),
                };
                match Role::ALL.get(role as usize) {
                    Some(role) => write!(f, "{layer}.{}", role.name()),
                    None => write!(f, "{layer}.{role}"),
                }
            }
        }
    }
}

/// What a tensor is in its layer; the discriminant is its place in the layer's part of the table.
///
/// ```
/// assert_eq!(bitnet_edge_core::image::Role::Down as u32, 19);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
#[allow(missing_docs)] // The names are those of docs/image-format.md, which gives each one's shape.
pub enum Role {
    AttnNorm = 0,
    Q,
    K,
    V,
    QBias,
    KBias,
    VBias,
    QNorm,
    KNorm,
    AttnSubNorm,
    AttnOut,
    AttnOutBias,
    AttnPostNorm,
    FfnNorm,
    Gate,
    Up,
    GateBias,
    UpBias,
    FfnSubNorm,
    Down,
    DownBias,
    FfnPostNorm,
}

impl Role {
    /// All roles, in the table's order.
    ///
    /// ```
    /// use bitnet_edge_core::image::Role;
    /// assert!((0..).zip(Role::ALL).all(|(place, role)| role as u32 == place));
    /// ```
    pub const ALL: [Self; 22] = [
        Self::AttnNorm,
        Self::Q,
        Self::K,
        Self::V,
        Self::QBias,
        Self::KBias,
        Self::VBias,
        Self::QNorm,
        Self::KNorm,
        Self::AttnSubNorm,
        Self::AttnOut,
        Self::AttnOutBias,
        Self::AttnPostNorm,
        Self::FfnNorm,
        Self::Gate,
        Self::Up,
        Self::GateBias,
        Self::UpBias,
        Self::FfnSubNorm,
        Self::Down,
        Self::DownBias,
        Self::FfnPostNorm,
    ];

    /// The name in reports and manifests.
    ///
    /// ```
    /// use bitnet_edge_core::image::Role;
    /// assert_eq!(Role::AttnSubNorm.name(), "attn_sub_norm");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::AttnNorm => "attn_norm",
            Self::Q => "q",
            Self::K => "k",
            Self::V => "v",
            Self::QBias => "q_bias",
            Self::KBias => "k_bias",
            Self::VBias => "v_bias",
            Self::QNorm => "q_norm",
            Self::KNorm => "k_norm",
            Self::AttnSubNorm => "attn_sub_norm",
            Self::AttnOut => "attn_out",
            Self::AttnOutBias => "attn_out_bias",
            Self::AttnPostNorm => "attn_post_norm",
            Self::FfnNorm => "ffn_norm",
            Self::Gate => "gate",
            Self::Up => "up",
            Self::GateBias => "gate_bias",
            Self::UpBias => "up_bias",
            Self::FfnSubNorm => "ffn_sub_norm",
            Self::Down => "down",
            Self::DownBias => "down_bias",
            Self::FfnPostNorm => "ffn_post_norm",
        }
    }

    /// Rows and columns (rows 1 for a vector) in a model of this configuration.
    ///
    /// ```
    /// # use bitnet_edge_core::{Error, Model, image::Role, include_image};
    /// # static IMAGE: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/tiny.bpk"));
    /// # let model = Model::new_checked(IMAGE)?;
    /// let config = model.config();
    /// assert_eq!(Role::K.shape(&config), (config.kv_dim(), config.dim));
    /// assert_eq!(Role::FfnSubNorm.shape(&config), (1, config.ffn)); // a vector
    /// # Ok::<(), bitnet_edge_core::Error>(())
    /// ```
    pub const fn shape(self, c: &ModelConfig) -> (u32, u32) {
        match self {
            Self::Q => (c.q_dim(), c.dim),
            Self::K | Self::V => (c.kv_dim(), c.dim),
            Self::AttnOut => (c.dim, c.q_dim()),
            Self::Gate | Self::Up => (c.ffn, c.dim),
            Self::Down => (c.dim, c.ffn),
            Self::QBias | Self::AttnSubNorm => (1, c.q_dim()),
            Self::KBias | Self::VBias => (1, c.kv_dim()),
            Self::QNorm | Self::KNorm => (1, c.head_dim),
            Self::GateBias | Self::UpBias | Self::FfnSubNorm => (1, c.ffn),
            _ => (1, c.dim),
        }
    }

    /// Whether this is a matrix; the others are vectors.
    ///
    /// ```
    /// use bitnet_edge_core::image::Role;
    /// assert!(Role::Q.is_matrix() && !Role::QBias.is_matrix());
    /// ```
    pub const fn is_matrix(self) -> bool {
        matches!(self, Self::Q | Self::K | Self::V | Self::AttnOut | Self::Gate | Self::Up | Self::Down)
    }
}
