//! How what has no fixed size is held, and digests.

use core::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::record::{KernelRun, WeightFacts};

/// Where text and lists of a [`Receipt`](super::Receipt) are: borrowed by who writes one, owned by who reads one. All forms have the
/// same bytes.
///
/// ```
/// use bitnet_edge_core::receipt::{Form, KernelRun, Receipt, WeightFacts};
///
/// /// A receipt that was read.
/// #[derive(Clone, Debug, PartialEq)]
/// struct Owned;
///
/// impl Form for Owned {
///     type Text = String;
///     type Ids = Vec<u32>;
///     type Names = Vec<String>;
///     type Weights = Vec<WeightFacts<String>>;
///     type Kernels = Vec<KernelRun<String>>;
/// }
/// # mod run { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/receipt.rs")); }
/// # use run::*;
/// # let model = image();
/// # let written = receipt(&model, 3)?;
/// # let mut bytes = [0; 2048];
/// # let (len, _) = written.encode(0, &mut bytes);
/// let read: Receipt<Owned> = postcard::from_bytes(&bytes[..len]).unwrap();
/// assert_eq!(read.digest(), written.digest());
/// // The same in JSON.
/// let json = serde_json::to_string(&read).unwrap();
/// assert_eq!(serde_json::from_str::<Receipt<Owned>>(&json).unwrap(), read);
/// # Ok::<(), bitnet_edge_core::Error>(())
/// ```
pub trait Form {
    /// A text.
    type Text;
    /// Token ids.
    type Ids;
    /// Names of kernels.
    type Names;
    /// A line for each layout of the weights.
    type Weights;
    /// A line for each kernel.
    type Kernels;
}

/// Everything is somebody else's: for those who write receipts.
///
/// ```
/// use bitnet_edge_core::receipt::{Borrowed, Form};
/// let ids: <Borrowed<'_> as Form>::Ids = &[1, 2, 3];
/// assert_eq!(ids.len(), 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Borrowed<'a>(core::marker::PhantomData<&'a ()>);

impl<'a> Form for Borrowed<'a> {
    type Text = &'a str;
    type Ids = &'a [u32];
    type Names = &'a [&'a str];
    type Weights = &'a [WeightFacts<&'a str>];
    type Kernels = &'a [KernelRun<&'a str>];
}

/// A SHA-256: 32 bytes in postcard, hexadecimal in JSON.
///
/// ```
/// use bitnet_edge_core::receipt::Digest;
/// let digest = Digest([0xab; 32]);
/// assert_eq!(digest.to_string(), "ab".repeat(32));
/// assert_eq!(serde_json::from_str::<Digest>(&format!("\"{digest}\"")).unwrap(), digest);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest in 64 hexadecimal digits, lower case.
    ///
    /// ```
    /// use bitnet_edge_core::receipt::Digest;
    /// assert_eq!(Digest::from_hex(&"0f".repeat(32)), Some(Digest([15; 32])));
    /// assert_eq!(Digest::from_hex("0f"), None);
    /// ```
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut digest = [0; 32];
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
        if pairs.len() != digest.len() {
            return None;
        }
        for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(Self(digest))
    }
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Deserialize::deserialize(deserializer).map(Self);
        }
        struct Hex;
        impl Visitor<'_> for Hex {
            type Value = Digest;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("64 hexadecimal digits in lower case")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Digest, E> {
                Digest::from_hex(text).ok_or(E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Hex)
    }
}
