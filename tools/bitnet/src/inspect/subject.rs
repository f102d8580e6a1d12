//! The tensors of a model file, in the order of the forward pass.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Result;
use bitnet_edge_core::Model;
use bitnet_edge_core::image::{
    Data as ImageData, GLOBAL_ROLES, LAYER_ROLES, Role, SectionKind, Tensor as ImageTensor, TensorId,
};
use bitnet_pack::convert::{Manifest, Provenance};
use bitnet_pack::gguf::{Gguf, Tensor as GgufTensor};

use super::role::{Kind, Place};
use super::stats::{self, Class, Stats};

/// A model file that is looked into.
pub(super) struct Subject<'a> {
    /// `general.architecture` of the GGUF file, or of the one that an image was made of.
    pub(super) architecture: String,
    /// What most weights of its projections are stored as.
    pub(super) ty: String,
    /// What that is.
    pub(super) class: Class,
    items: Vec<Item<'a>>,
}

struct Item<'a> {
    place: Place,
    name: String,
    ty: String,
    class: Class,
    rows: u64,
    columns: u64,
    data: Data<'a>,
}

enum Data<'a> {
    Gguf(GgufTensor<'a>),
    Image(ImageTensor<'a>),
}

impl Item<'_> {
    fn kind(&self) -> Kind {
        self.place.kind(self.rows > 1)
    }

    fn stats(&self) -> Stats {
        Stats {
            name: self.name.clone(),
            role: self.place.name.clone(),
            kind: self.kind(),
            ty: self.ty.clone(),
            class: self.class,
            rows: self.rows,
            columns: self.columns,
            numbers: match &self.data {
                Data::Gguf(tensor) => stats::of_gguf(tensor),
                Data::Image(tensor) => stats::of_image(tensor),
            },
        }
    }
}

impl<'a> Subject<'a> {
    /// A GGUF file, also one of an architecture that the runtime does not know.
    pub(super) fn of_gguf(file: &'a [u8]) -> Result<Self> {
        let gguf = Gguf::parse(file)?;
        let architecture = gguf.get::<&str>("general.architecture")?.unwrap_or("unknown").to_owned();
        let names: Vec<&str> = gguf.tensors().iter().map(GgufTensor::name).collect();
        let layers = gguf.get::<u32>(&format!("{architecture}.block_count"))?.unwrap_or(0);
        // No more layers than there are tensors: the number is the file's.
        let layers = layers.min(u32::try_from(names.len()).unwrap_or(u32::MAX));
        let places =
            Manifest::built_in(&architecture, &names).map_or_else(|_| HashMap::new(), |m| places(&m, layers));
        let items = gguf.tensors().iter().enumerate().map(|(index, tensor)| Item {
            place: places.get(tensor.name()).cloned().unwrap_or_else(|| Place::other(index, tensor.name())),
            name: tensor.name().to_owned(),
            ty: tensor.ty().to_string(),
            class: Class::of_gguf(tensor.ty()),
            rows: tensor.row_count(),
            columns: tensor.columns(),
            data: Data::Gguf(*tensor),
        });
        Ok(Self::new(architecture, items.collect()))
    }

    /// A flash image.
    pub(super) fn of_image(model: &Model<'a>) -> Result<Self> {
        let record =
            model.image().section(SectionKind::Provenance).map(Provenance::from_bytes).transpose()?;
        let architecture = record.map_or_else(|| "unknown".to_owned(), |record| record.architecture);
        let embedding = model.tensor(TensorId::EMBEDDING).map(|tensor| tensor.offset);
        let count = GLOBAL_ROLES + LAYER_ROLES * model.config().layers;
        let items = (0..count).map(TensorId).filter_map(|id| {
            let tensor = model.tensor(id)?;
            // A tied head is the embedding, which is there already.
            if id == TensorId::HEAD && Some(tensor.offset) == embedding {
                return None;
            }
            let (ty, class) = match tensor.data {
                ImageData::Vector(_) => ("vector", Class::Float),
                ImageData::Matrix { layout, .. } => (layout.name(), Class::of_layout(layout)),
            };
            Some(Item {
                place: place_of(id),
                name: id.to_string(),
                ty: ty.to_owned(),
                class,
                rows: tensor.rows.into(),
                columns: tensor.cols.into(),
                data: Data::Image(tensor),
            })
        });
        Ok(Self::new(architecture, items.collect()))
    }

    fn new(architecture: String, mut items: Vec<Item<'a>>) -> Self {
        items.sort_by(|one, other| one.place.cmp(&other.place));
        let mut weights: BTreeMap<&str, (u128, Class)> = BTreeMap::new();
        for item in items.iter().filter(|item| item.kind() == Kind::Projection) {
            let entry = weights.entry(&item.ty).or_insert((0, item.class));
            entry.0 += u128::from(item.rows) * u128::from(item.columns);
        }
        let most = weights.into_iter().max_by_key(|(_, (count, _))| *count);
        let (ty, class) = most.map_or(("none", Class::Unknown), |(ty, (_, class))| (ty, class));
        Self { architecture, ty: ty.to_owned(), class, items }
    }

    /// The statistics of every tensor, computed on all processors.
    pub(super) fn stats(&self) -> Vec<Stats> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = self.items.get(index) else { return done };
                done.push((index, item.stats()));
            }
        };
        let threads = thread::available_parallelism().map_or(1, usize::from).min(self.items.len()).max(1);
        let mut all: Vec<(usize, Stats)> = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().flat_map(join).collect()
        });
        all.sort_by_key(|(index, _)| *index);
        all.into_iter().map(|(_, stats)| stats).collect()
    }
}

/// Where the tensors of an architecture are, by the names that files give them.
fn places(manifest: &Manifest, layers: u32) -> HashMap<String, Place> {
    let mut places = HashMap::from([
        (manifest.model.embedding.clone(), Place::embedding()),
        (manifest.model.head.clone(), Place::head()),
        (manifest.model.final_norm.clone(), Place::final_norm()),
    ]);
    for (role, name) in manifest.layer.iter().chain(&manifest.optional) {
        let Some(role) = Role::ALL.into_iter().find(|known| known.name() == role) else { continue };
        let of_layers =
            (0..layers).map(|layer| (name.replace("{}", &layer.to_string()), Place::of_layer(layer, role)));
        places.extend(of_layers);
    }
    places
}

/// Where a tensor of an image is.
fn place_of(id: TensorId) -> Place {
    match id {
        TensorId::EMBEDDING => Place::embedding(),
        TensorId::HEAD => Place::head(),
        TensorId::FINAL_NORM => Place::final_norm(),
        TensorId(number) => {
            let within = number.saturating_sub(GLOBAL_ROLES);
            let role = Role::ALL.get((within % LAYER_ROLES) as usize);
            role.map_or_else(
                || Place::other(number as usize, &id.to_string()),
                |&role| Place::of_layer(within / LAYER_ROLES, role),
            )
        }
    }
}
