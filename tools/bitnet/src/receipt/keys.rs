//! Keys of ed25519, and what they sign.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bitnet_edge_core::receipt::Digest;
use bitnet_pack::convert::hex;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use ed25519_dalek::{SIGNATURE_LENGTH, Signer};
use serde::{Deserialize, Serialize};

/// What is signed begins with this, so that no signature of anything else is one of a receipt.
const DOMAIN: &[u8] = b"bitnet-edge receipt 1\0";

/// A signature in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signature {
    /// The public key, in hexadecimal.
    pub(crate) public_key: String,
    /// Its ed25519 signature of the hash, in hexadecimal.
    pub(crate) ed25519: String,
}

/// A key that signs.
#[derive(Clone)]
pub(crate) struct SigningKey(ed25519_dalek::SigningKey);

/// A key that tells whether it was signed by its other half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey(ed25519_dalek::VerifyingKey);

impl SigningKey {
    /// Reads a key: PKCS #8 in PEM, as `openssl genpkey -algorithm ed25519` writes it, or 64 hexadecimal digits.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = read(path)?;
        let what =
            || format!("{} is not an ed25519 key: PKCS #8 in PEM, or 64 hexadecimal digits", path.display());
        if text.contains("-----BEGIN") {
            return ed25519_dalek::SigningKey::from_pkcs8_pem(text.trim()).map(Self).ok().with_context(what);
        }
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&digits(&text).with_context(what)?)))
    }

    /// A new one, of the system's random numbers.
    pub(crate) fn generate() -> Result<Self> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)
            .map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&secret)))
    }

    /// Writes the key, for its owner alone, and beside it the public one, for everybody. Nothing is written over.
    pub(crate) fn write(&self, path: &Path) -> Result<PathBuf> {
        let public = path.with_added_extension("pub");
        let pem = self.0.to_pkcs8_pem(LineEnding::LF).map_err(|error| anyhow::anyhow!("{error}"))?;
        let open = self.0.verifying_key().to_public_key_pem(LineEnding::LF);
        let open = open.map_err(|error| anyhow::anyhow!("{error}"))?;
        for path in [path, &public] {
            // A symbolic link to nowhere is there, too.
            if fs::symlink_metadata(path).is_ok() {
                bail!("cannot write {}: it is there; nothing is written over", path.display());
            }
        }
        create(path, pem.as_bytes(), true)?;
        create(&public, open.as_bytes(), false)?;
        Ok(public)
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs a hash.
    pub(crate) fn sign(&self, hash: &Digest) -> Signature {
        let signature = self.0.sign(&message(hash));
        Signature { public_key: self.public().to_string(), ed25519: hex(&signature.to_bytes()) }
    }
}

impl PublicKey {
    /// Reads a key: SPKI in PEM, or 64 hexadecimal digits.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = read(path)?;
        let what =
            || format!("{} is not a public ed25519 key: PEM, or 64 hexadecimal digits", path.display());
        if text.contains("-----BEGIN") {
            let key = ed25519_dalek::VerifyingKey::from_public_key_pem(text.trim());
            return key.map(Self).ok().with_context(what);
        }
        Self::from_hex(&text).with_context(what)
    }

    fn from_hex(text: &str) -> Option<Self> {
        ed25519_dalek::VerifyingKey::from_bytes(&digits(text)?).map(Self).ok()
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(self.0.as_bytes()))
    }
}

impl Signature {
    /// The key by which this is a signature of the hash.
    pub(crate) fn check(&self, hash: &Digest) -> Result<PublicKey> {
        let key = PublicKey::from_hex(&self.public_key).context("its public key is none of ed25519")?;
        let bytes: [u8; SIGNATURE_LENGTH] =
            digits(&self.ed25519).context("it is not 128 hexadecimal digits")?;
        let signature = ed25519_dalek::Signature::from_bytes(&bytes);
        // Also refused: keys and signatures that hold for more than one message.
        if key.0.verify_strict(&message(hash), &signature).is_err() {
            bail!("it is not one of this hash by this key");
        }
        Ok(key)
    }
}

fn message(hash: &Digest) -> Vec<u8> {
    [DOMAIN, &hash.0].concat()
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read the key {}", path.display()))
}

fn create(path: &Path, bytes: &[u8], secret: bool) -> Result<()> {
    use std::io::Write;
    let mut options = fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if secret {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let written = options.open(path).and_then(|mut file| file.write_all(bytes));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Exactly `N` bytes in hexadecimal.
fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, []) = text.trim().as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[a, b]| Some(digit(*a)? << 4 | digit(*b)?)).collect();
    bytes?.try_into().ok()
}
