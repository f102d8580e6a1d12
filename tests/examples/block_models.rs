//! `block_models FOLDER` writes the models of `bitnet_edge_tests::block_models`, for `tests/python/golden_blocks.py`.

use std::path::Path;
use std::{env, fs, io};

use bitnet_edge_tests::block_models::BLOCKS;

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: block_models FOLDER"))?;
    fs::create_dir_all(&folder)?;
    BLOCKS.iter().try_for_each(|block| {
        fs::write(Path::new(&folder).join(format!("{}.gguf", block.layout.name())), block.gguf())
    })
}
