//! Further cores: they wait for work, and an operation is spread over them.
//!
//! There is no operating system that takes a core away, so all cores take part in every operation that is large enough. The
//! boot code starts them and has each call [`Crew::join`]; the first core calls [`Crew::assemble`] and gets a [`Team`],
//! which is the [`Split`](bitnet_edge_core::model::Split) of the session.
//!
//! ```
//! use bitnet_edge_board::cores::{Crew, Spin};
//! use bitnet_edge_core::model::{Output, Part, Split, Work};
//!
//! static CREW: Crew<Spin> = Crew::new();
//! let other = std::thread::spawn(|| CREW.join()); // a board starts a core here
//! while CREW.present() < 1 {}
//!
//! let team = CREW.assemble()?;
//! assert_eq!(team.threads(), 2);
//! let mut squares = [0_u8; 16];
//! let work = Work { units: 0..16, grain: 1, cost: 1_000_000 };
//! team.run([Output::units_of(&mut squares, 1)], &work, |part| {
//!     let units = part.units();
//!     let [squares] = part.bytes([0]);
//!     for (square, unit) in squares.iter_mut().zip(units) {
//!         *square = (unit * unit) as u8;
//!     }
//!     Ok(())
//! }).unwrap();
//! assert_eq!(squares[15], 225);
//! drop(team); // the other cores are free
//! other.join().unwrap();
//! # Ok::<(), bitnet_edge_board::Error>(())
//! ```

mod crew;
mod team;

pub use bitnet_edge_team::TeamPart;
pub use crew::{Crew, Spin, Wait};
pub use team::Team;

use core::hint::black_box;

/// Whether this core computes with subnormal floats, as every result here assumes.
#[must_use]
pub fn keeps_subnormals() -> bool {
    let half = black_box(f32::MIN_POSITIVE) * black_box(0.5_f32);
    // Flushed inputs would make equal what differs in its bits.
    half.to_bits() == 0x0040_0000 && black_box(half) * black_box(2.0) == f32::MIN_POSITIVE
}
