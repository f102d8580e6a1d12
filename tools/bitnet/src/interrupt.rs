//! Ctrl-C ends an answer, not the program.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// How often Ctrl-C was typed since [`clear`].
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Catches Ctrl-C from here on. One that is not heard is repeated: the third one ends the program.
pub(crate) fn watch() -> Result<()> {
    static WATCHED: OnceLock<Result<(), String>> = OnceLock::new();
    let handler = || {
        if COUNT.fetch_add(1, Ordering::SeqCst) >= 2 {
            std::process::exit(bitnet_pack::report::INTERRUPTED.into());
        }
    };
    let watched = WATCHED.get_or_init(|| ctrlc::set_handler(handler).map_err(|error| error.to_string()));
    watched.clone().map_err(anyhow::Error::msg).context("Ctrl-C cannot be caught")
}

/// Whether Ctrl-C was typed since [`clear`].
pub(crate) fn is_set() -> bool {
    COUNT.load(Ordering::SeqCst) > 0
}

/// Forgets what was typed.
pub(crate) fn clear() {
    COUNT.store(0, Ordering::SeqCst);
}
