//! The models that the repository has, and their golden files.

use bitnet_edge_core::{KvType, MemoryPlan, Model, PlanOptions};
use bitnet_edge_std::Bytes;
use bitnet_pack::convert::{Options, convert};

use crate::files;
use crate::golden::Golden;

/// A model and what another engine made of it.
#[derive(Clone, Copy, Debug)]
pub struct GoldenModel {
    /// The GGUF file, from the root of the workspace.
    pub file: &'static str,
    /// The golden file, in `tests/data/golden/`.
    pub golden: &'static str,
}

/// The story model: ternary (`I2_S`), tied `Q8_0` embedding, squared `ReLU`.
pub const STORY: GoldenModel = GoldenModel {
    file: "models/tinystories-micro/tinystories-micro-i2_s.gguf",
    golden: "tinystories-micro-i2_s.json",
};

/// `BitNet` 2B4T in small: ternary (`I2_S`), tied f16 embedding, squared `ReLU`.
pub const TINY_2B4T: GoldenModel =
    GoldenModel { file: "tests/data/models/tiny-2b4t-i2_s.gguf", golden: "tiny-2b4t-i2_s.json" };

/// The same with `SiLU`, from `TQ2_0`.
pub const TINY_SILU: GoldenModel =
    GoldenModel { file: "tests/data/models/tiny-2b4t-tq2_0-silu.gguf", golden: "tiny-2b4t-tq2_0-silu.json" };

/// A Llama with f32 weights.
pub const STORIES260K: GoldenModel =
    GoldenModel { file: "tests/data/models/stories260K-f32.gguf", golden: "stories260K-f32.json" };

impl GoldenModel {
    /// The flash image.
    ///
    /// # Panics
    /// If the file cannot be read or converted.
    #[must_use]
    pub fn image(&self) -> Bytes {
        convert(&files::read(self.file), &Options::default()).unwrap().image
    }

    /// The golden steps.
    #[must_use]
    pub fn golden(&self) -> Golden {
        files::read_json(format!("tests/data/golden/{}", self.golden))
    }
}

/// A plan without room for text.
///
/// # Panics
/// If there is no such plan.
#[must_use]
pub fn plan(model: &Model<'_>, context: u32, kv: KvType, batch: u32) -> MemoryPlan {
    let config = model.config();
    let options = PlanOptions { context, kv, batch, prompt_bytes: 0, ..PlanOptions::new(&config) };
    MemoryPlan::new(&config, &options).unwrap()
}
