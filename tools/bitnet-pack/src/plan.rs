//! The memory plan and the flash image, as tables.

use std::io::{self, Write};

use bitnet_edge_core::memory::Lifetime;
use bitnet_edge_core::{MemoryPlan, Model};

/// Prints each buffer, totals by lifetime, and flash bytes by section.
pub fn print(model: &Model<'_>, plan: &MemoryPlan, out: &mut impl Write) -> io::Result<()> {
    let o = plan.options();
    writeln!(
        out,
        "memory plan: context {}, KV cache {}, batch {}, text of {} bytes",
        o.context,
        o.kv.name(),
        o.batch,
        o.prompt_bytes
    )?;
    writeln!(out, "\n{:>12}  {:>12}  {:<12}  buffer", "offset", "bytes", "lifetime")?;
    for b in plan.buffers().iter().filter(|b| b.bytes > 0) {
        writeln!(out, "{:>12}  {:>12}  {:<12}  {}", b.at, b.bytes, b.lifetime.name(), b.name)?;
    }
    writeln!(out, "\nbytes by lifetime; attention, feed-forward, head and text share memory:")?;
    use Lifetime::{Attention, FeedForward, Head, Pass, Session, Text};
    for lifetime in [Session, Pass, Attention, FeedForward, Head, Text] {
        let bytes: usize = plan.buffers().iter().filter(|b| b.lifetime == lifetime).map(|b| b.bytes).sum();
        writeln!(out, "{bytes:>12}  {}", lifetime.name())?;
    }
    writeln!(out, "{:>12}  arena", plan.bytes())?;
    flash(model, out)
}

/// Prints the bytes of each section.
pub fn flash(model: &Model<'_>, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nflash, {} bytes:", model.image().bytes().len())?;
    for section in model.image().sections() {
        writeln!(out, "{:>12}  {}", section.bytes.len(), section.name())?;
    }
    Ok(())
}
