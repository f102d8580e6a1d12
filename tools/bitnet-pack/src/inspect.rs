//! Describes a model file for a person.

use std::collections::BTreeMap;
use std::io::{self, Write, stdout};
use std::path::Path;

use anyhow::{Context, Result};
use bitnet_edge_core::Model;
use bitnet_edge_core::image::{Data, GLOBAL_ROLES, LAYER_ROLES, SectionKind, TensorId};
use bitnet_edge_kernels::format::i2_s::I2sLayout;

use crate::convert::{Options, Provenance, assumptions, hex};
use crate::gguf::{Gguf, Tensor, TensorType};
use crate::source::{is_image, map, model};

/// Prints what is in a flash image or a GGUF file on stdout.
pub fn file(path: &Path) -> Result<()> {
    const NO_STDOUT: &str = "cannot write to stdout";
    let file = map(path)?;
    let out = &mut stdout().lock();
    if is_image(&file, path)? {
        image(&model(&file, path)?, out).context(NO_STDOUT)
    } else {
        let parsed = Gguf::parse(&file).with_context(|| path.display().to_string())?;
        gguf(&parsed, out).context(NO_STDOUT)
    }
}

/// Writes what is in a GGUF file: metadata, tensors, totals by type, what would be assumed on import, and
/// what stands against it.
///
/// Names and strings of the file are escaped.
///
/// # Errors
/// Only those of `out`: a tensor that cannot be read is part of the description.
pub fn gguf(file: &Gguf<'_>, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "GGUF version {}, {} bytes, tensor data aligned to {}",
        file.version(),
        grouped(file.file_bytes() as u64),
        file.alignment()
    )?;
    metadata(file, out)?;
    tensors(file.tensors(), out)?;
    totals(file.tensors(), out)?;
    import(file, out)
}

fn metadata(file: &Gguf<'_>, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nmetadata: {} entries", file.metadata().len())?;
    let width = file.metadata().map(|(key, _)| key.len()).max().unwrap_or(0).min(60);
    for (key, value) in file.metadata() {
        let ty = match value {
            crate::gguf::Value::Array(array) => format!("{}[{}]", array.element_type(), array.len()),
            _ => value.value_type().to_string(),
        };
        writeln!(out, "  {:width$}  {ty:<11} {value}", key.escape_debug().to_string())?;
    }
    Ok(())
}

fn tensors(tensors: &[Tensor<'_>], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\ntensors: {} (shape: columns, the contiguous dimension, first)", tensors.len())?;
    let width = tensors.iter().map(|tensor| tensor.name().len()).max().unwrap_or(0).min(60);
    for tensor in tensors {
        let shape = tensor.dims().iter().map(u64::to_string).collect::<Vec<_>>().join(" x ");
        let bytes = match tensor.data() {
            Ok(data) => format!("{} bytes", grouped(data.len() as u64)),
            Err(_) => "unknown size".to_owned(),
        };
        let name = tensor.name().escape_debug().to_string();
        writeln!(out, "  {name:width$}  {:<6} {shape:>16}  {bytes:>18}", tensor.ty().to_string())?;
    }
    Ok(())
}

fn totals(tensors: &[Tensor<'_>], out: &mut impl Write) -> io::Result<()> {
    #[derive(Default)]
    struct Total {
        tensors: usize,
        weights: u128,
        bytes: u64,
    }
    let mut by_type: BTreeMap<TensorType, Total> = BTreeMap::new();
    for tensor in tensors {
        let total = by_type.entry(tensor.ty()).or_default();
        total.tensors += 1;
        // 128 bits: tensors of unknown types are not limited by the file, and there may be many.
        total.weights += u128::from(tensor.columns()) * u128::from(tensor.row_count());
        total.bytes += tensor.data().map_or(0, |data| data.len() as u64);
    }
    writeln!(out, "\ntotals by type")?;
    for (ty, total) in &by_type {
        let Total { tensors, weights, bytes } = total;
        write!(out, "  {:<6} {tensors:>5} tensors  {:>15} weights", ty.to_string(), grouped(*weights))?;
        match ty {
            TensorType::Unsupported(_) => writeln!(out, "       unknown size")?,
            _ => writeln!(out, "  {:>15} bytes", grouped(*bytes))?,
        }
    }
    Ok(())
}

/// What a conversion would assume, and what would stop it.
fn import(file: &Gguf<'_>, out: &mut impl Write) -> io::Result<()> {
    let tensors = file.tensors();
    writeln!(out, "\non import")?;
    let layout = I2sLayout::default();
    let i2_s = tensors.iter().filter(|tensor| tensor.ty() == TensorType::I2_S);
    let (count, mut fitting) = (i2_s.clone().count(), I2sLayout::ALL.to_vec());
    if count > 0 {
        fitting.retain(|&layout| i2_s.clone().all(|tensor| tensor.rows(layout).is_ok()));
        let names: Vec<_> = fitting.iter().map(|layout| layout.name()).collect();
        writeln!(
            out,
            "  assumed: the {count} I2_S tensors are in byte order `{layout}` (--i2s-layout changes this).\n    \
             Nothing in a file tells the order; those that fit the data of this one: {}.",
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        )?;
    }
    let mut problems = 0;
    for tensor in tensors {
        if let Err(error) = tensor.rows(layout) {
            problems += 1;
            writeln!(out, "  problem: {error}")?;
        }
    }
    let mut assumed = count;
    match assumptions(file, &Options::default()) {
        // What there is to say of I2_S stands above.
        Ok(notes) => {
            for note in notes.iter().filter(|note| !note.starts_with("I2_S")) {
                assumed += 1;
                writeln!(out, "  assumed: {note}")?;
            }
        }
        Err(error) => {
            problems += 1;
            writeln!(out, "  problem: {error:#}")?;
        }
    }
    if assumed == 0 && problems == 0 {
        writeln!(out, "  nothing needs to be assumed")?;
    }
    Ok(())
}

/// A number with its digits in groups of three.
fn grouped(number: impl Into<u128>) -> String {
    let digits = number.into().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Describes a flash image: configuration, provenance, sections, tensors by layout.
pub fn image(model: &Model<'_>, out: &mut impl Write) -> io::Result<()> {
    let (image, c) = (model.image(), model.config());
    writeln!(out, "flash image, {} bytes, digest {}", image.bytes().len(), hex(&image.digest()))?;
    if let Some(record) = image.section(SectionKind::Provenance).map(Provenance::from_bytes) {
        match record {
            Ok(p) => {
                writeln!(out, "\nname          {}\narchitecture  {}", p.name, p.architecture)?;
                let licence = if p.licence.is_empty() { "not stated" } else { &p.licence };
                writeln!(out, "licence       {licence}")?;
                writeln!(
                    out,
                    "source        {} ({} bytes, SHA-256 {})",
                    p.source_name, p.source_bytes, p.source_sha256
                )?;
                writeln!(out, "made by       {} {}", p.tool, p.tool_version)?;
                for note in &p.notes {
                    writeln!(out, "note          {note}")?;
                }
            }
            Err(e) => writeln!(out, "\nprovenance cannot be read: {e:#}")?,
        }
    }
    match model.tokenizer() {
        Some(t) => writeln!(
            out,
            "tokenizer     {:?} with pre-tokenizer {:?}, {} tokens{}{}",
            t.model(),
            t.pre_tokenizer(),
            t.token_count(),
            if t.adds_bos() { ", puts the beginning token first" } else { "" },
            if t.lowercases() { ", puts prompts in lower case" } else { "" }
        )?,
        None => writeln!(out, "tokenizer     none: prompts are token ids")?,
    }
    writeln!(out, "chat template {}", if model.chat().is_some() { "yes" } else { "none" })?;
    writeln!(out, "\n{c:#?}")?;
    crate::plan::flash(model, out)?;
    writeln!(out, "\ntensors:")?;
    let count = GLOBAL_ROLES + LAYER_ROLES * c.layers;
    for id in (0..count).map(TensorId) {
        if let Some(t) = model.tensor(id) {
            let layout = match t.data {
                Data::Vector(_) => "vector",
                Data::Matrix { layout, .. } => layout.name(),
            };
            writeln!(
                out,
                "{:>6}  {:<16} {layout:<7} {:>7} x {:<6} {:>12} bytes",
                id.0,
                id.to_string(),
                t.rows,
                t.cols,
                t.len
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_are_grouped_from_the_right() {
        assert_eq!(["0", "999", "1,000", "12,345,678"], [0_u64, 999, 1000, 12_345_678].map(grouped)[..]);
    }
}
