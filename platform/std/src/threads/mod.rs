//! Threads: a pool that works on the parts of an operation.

mod cores;
mod crew;
mod pool;

pub use bitnet_edge_team::TeamPart as PoolPart;
pub use cores::physical_cores;
pub use pool::Pool;

use std::fmt;

/// Why there is no pool.
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolError {
    /// The system gives no more threads.
    Threads(rayon::ThreadPoolBuildError),
    /// A thread takes subnormal floats for zero, so that results would not be those of other machines.
    FlushesSubnormals,
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threads(_) => f.write_str("the system does not give the threads of the pool"),
            Self::FlushesSubnormals => f.write_str(
                "this process flushes subnormal floats to zero (a preloaded library built with fast-math?), so its \
                 results would not be those of other machines; run it without that library",
            ),
        }
    }
}

impl std::error::Error for PoolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Threads(error) => Some(error),
            Self::FlushesSubnormals => None,
        }
    }
}
