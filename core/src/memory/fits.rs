//! A model that does not fit is a compile error on a board, with both numbers in it.

/// What a plan that does not fit says, written by a `const fn`: `panic!` in a constant takes text, not numbers.
///
/// The text is that of [`Error::ArenaTooSmall`](crate::Error::ArenaTooSmall).
///
/// ```
/// use bitnet_edge_core::{Error, memory::TooSmall};
/// const TEXT: TooSmall = TooSmall::new(4096, 64);
/// assert_eq!(TEXT.as_str(), Error::ArenaTooSmall { need: 4096, have: 64 }.to_string());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSmall {
    text: [u8; Self::CAPACITY],
    len: usize,
}

impl TooSmall {
    /// The words and two numbers of 64 bits.
    const CAPACITY: usize = 48 + 2 * 20;

    /// The text for a plan of `need` bytes and an arena of `have` bytes.
    ///
    /// ```
    /// use bitnet_edge_core::memory::TooSmall;
    /// const TEXT: TooSmall = TooSmall::new(4096, 64);
    /// assert!(TEXT.as_str().starts_with("the arena has 64 bytes"));
    /// ```
    pub const fn new(need: usize, have: usize) -> Self {
        let empty = Self { text: [0; Self::CAPACITY], len: 0 };
        empty.words("the arena has ").number(have).words(" bytes and the memory plan needs ").number(need)
    }

    /// The text.
    ///
    /// ```
    /// use bitnet_edge_core::memory::TooSmall;
    /// assert!(TooSmall::new(4096, 64).as_str().ends_with("needs 4096"));
    /// ```
    pub const fn as_str(&self) -> &str {
        match self.text.split_at_checked(self.len) {
            Some((text, _)) => match core::str::from_utf8(text) {
                Ok(text) => text,
                Err(_) => "",
            },
            None => "",
        }
    }

    const fn byte(mut self, byte: u8) -> Self {
        if let Some((_, [slot, ..])) = self.text.as_mut_slice().split_at_mut_checked(self.len) {
            *slot = byte;
            self.len += 1;
        }
        self
    }

    const fn words(mut self, words: &str) -> Self {
        let mut rest = words.as_bytes();
        while let [byte, later @ ..] = rest {
            self = self.byte(*byte);
            rest = later;
        }
        self
    }

    const fn number(self, n: usize) -> Self {
        let before = if n < 10 { self } else { self.number(n / 10) };
        before.byte(b'0' + (n % 10) as u8)
    }
}

/// Fails to compile if a [`MemoryPlan`](crate::MemoryPlan) does not fit an arena of so many bytes; both are constants. The
/// error has both numbers.
///
/// Firmware plans when it is compiled, from the image that it carries:
///
/// ```standalone_crate
/// use bitnet_edge_core::{Line, MemoryPlan, ModelConfig, PlanOptions, assert_fits, include_image};
///
/// static IMAGE: &[u8] = include_image!("../../testdata/tiny.bpk");
/// const CONFIG: ModelConfig = match ModelConfig::read(IMAGE) {
///     Ok(config) => config,
///     Err(_) => panic!("not a flash image of this version"),
/// };
/// const OPTIONS: PlanOptions = PlanOptions { batch: 1, ..PlanOptions::new(&CONFIG) };
/// const PLAN: MemoryPlan = match MemoryPlan::new(&CONFIG, &OPTIONS) {
///     Ok(plan) => plan,
///     Err(_) => panic!("an option is out of bounds"),
/// };
/// assert_fits!(PLAN, 32 * 1024); // what the board has to spare
///
/// static mut ARENA: [Line; Line::count(PLAN.bytes())] = [Line::ZERO; Line::count(PLAN.bytes())];
/// ```
///
/// ```standalone_crate,compile_fail,E0080
/// # use bitnet_edge_core::{MemoryPlan, ModelConfig, PlanOptions, assert_fits, include_image};
/// # static IMAGE: &[u8] = include_image!("../../testdata/tiny.bpk");
/// # const CONFIG: ModelConfig = match ModelConfig::read(IMAGE) { Ok(config) => config, Err(_) => loop {} };
/// # const OPTIONS: PlanOptions = PlanOptions::new(&CONFIG);
/// # const PLAN: MemoryPlan = match MemoryPlan::new(&CONFIG, &OPTIONS) { Ok(plan) => plan, Err(_) => loop {} };
/// assert_fits!(PLAN, 1024); // the arena has 1024 bytes and the memory plan needs ...
/// ```
#[macro_export]
macro_rules! assert_fits {
    ($plan:expr, $bytes:expr $(,)?) => {
        const _: () = {
            const NEED: usize = $crate::MemoryPlan::bytes(&$plan);
            const HAVE: usize = $bytes;
            const TEXT: $crate::memory::TooSmall = $crate::memory::TooSmall::new(NEED, HAVE);
            if NEED > HAVE {
                ::core::panic!("{}", TEXT.as_str());
            }
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use std::string::ToString;

    #[test]
    fn any_two_numbers_fit_the_text() {
        for (need, have) in [(0, 0), (1, 10), (usize::MAX, usize::MAX), (1_000_000, 999_999)] {
            let text = Error::ArenaTooSmall { need, have }.to_string();
            assert_eq!(TooSmall::new(need, have).as_str(), text);
        }
    }
}
