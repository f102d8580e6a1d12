//! AMX: asking for it, and its kernels.

mod detect;

pub(crate) use detect::missing;
