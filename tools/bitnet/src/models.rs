//! Ternary models that are known by a short name: where they are, and whether this version reads them.

use bitnet_pack::convert::Manifest;
use bitnet_pack::text::knows_pre_tokenizer;

/// When the entries were looked up: in other programs' catalogues, build scripts and reports that name a file with its size
/// and digest, which the file's page (`https://huggingface.co/REPO/blob/main/FILE`) shows too. The files were not downloaded.
pub(crate) const LOOKED_UP: &str = "2026-11-23";

/// A published model.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// What it is called here.
    pub(crate) name: &'static str,
    /// On the hub: `owner/name`.
    pub(crate) repo: &'static str,
    pub(crate) file: &'static str,
    /// Bytes of the file, where a source says so.
    pub(crate) bytes: Option<u64>,
    /// Digest of the file, where a source says so: what the hub serves is compared with it.
    pub(crate) sha256: Option<&'static str>,
    pub(crate) licence: &'static str,
    /// Who made the model, by their name on the hub: who publishes the file may be another.
    pub(crate) maker: &'static str,
    /// How its matrices are stored.
    pub(crate) format: Format,
    /// `general.architecture` of the file.
    pub(crate) architecture: &'static str,
    /// `tokenizer.ggml.pre` of the file; `None` for SentencePiece, which has none.
    pub(crate) pre_tokenizer: Option<&'static str>,
    /// Where repository, file and size are named.
    pub(crate) source: &'static str,
}

/// How ternary matrices are stored in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Two bits a weight, bitnet.cpp's.
    I2S,
    /// Two bits a weight, llama.cpp's.
    Tq2_0,
    /// Four bits a weight where the width is no multiple of 256, which TQ2_0 needs.
    Tq2_0AndOthers,
    /// Tables for kernels of one processor family.
    Tl2,
}

impl Format {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::I2S => "I2_S",
            Self::Tq2_0 => "TQ2_0",
            Self::Tq2_0AndOthers => "TQ2_0, Q4_0",
            Self::Tl2 => "TL2",
        }
    }
}

impl Known {
    /// Who publishes the file, where that is not who made the model.
    pub(crate) fn publisher(&self) -> Option<&'static str> {
        self.repo.split('/').next().filter(|owner| *owner != self.maker)
    }

    /// What keeps this version from running it; `None` if nothing is known to.
    pub(crate) fn obstacle(&self) -> Option<String> {
        if self.format == Format::Tl2 {
            return Some(
                "TL1 and TL2 files cannot be imported; an I2_S or TQ2_0 file of the model can".to_owned(),
            );
        }
        if Manifest::built_in(self.architecture, &[]).is_err() {
            return Some(format!("the architecture {} needs a manifest", self.architecture));
        }
        let pre = self.pre_tokenizer.filter(|pre| !knows_pre_tokenizer(pre))?;
        Some(format!("its pre-tokenizer {pre} is not known to this version"))
    }
}

/// The model with this name.
pub(crate) fn find(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name.eq_ignore_ascii_case(name))
}

const CATALOGUE: &str = "other programs' catalogues, with size and digest";
const PAGE: &str = "size: its page; digest: other programs' catalogues";

/// An I2_S file of Falcon, as their repositories have it.
const fn falcon(
    name: &'static str,
    repo: &'static str,
    bytes: u64,
    sha256: &'static str,
    pre_tokenizer: &'static str,
    source: &'static str,
) -> Known {
    Known {
        name,
        repo,
        file: "ggml-model-i2_s.gguf",
        bytes: Some(bytes),
        sha256: Some(sha256),
        licence: "Falcon LLM Licence",
        maker: "tiiuae",
        format: Format::I2S,
        architecture: "llama",
        pre_tokenizer: Some(pre_tokenizer),
        source,
    }
}

/// The list of `bitnet pull --list`.
pub(crate) static KNOWN: &[Known] = &[
    Known {
        name: "bitnet-b1.58-2b-4t",
        repo: "microsoft/bitnet-b1.58-2B-4T-gguf",
        file: "ggml-model-i2_s.gguf",
        bytes: Some(1_187_801_280),
        sha256: Some("4221b252fdd5fd25e15847adfeb5ee88886506ba50b8a34548374492884c2162"),
        licence: "MIT",
        maker: "microsoft",
        format: Format::I2S,
        architecture: "bitnet-b1.58",
        pre_tokenizer: Some("llama-bpe"),
        source: CATALOGUE,
    },
    falcon(
        "falcon-e-1b",
        "tiiuae/Falcon-E-1B-Instruct-GGUF",
        666_324_256,
        "feb7478007e916d26bb807cb1a01cc45ac16f197e355d8c30aed25e550ecd73b",
        "falcon_e",
        CATALOGUE,
    ),
    falcon(
        "falcon-e-3b",
        "tiiuae/Falcon-E-3B-Instruct-GGUF",
        999_908_608,
        "acef6896311c5d0713d80e4c7f7bc2ffa1fa183d905e2ca9236545372f434255",
        "falcon_e",
        CATALOGUE,
    ),
    falcon(
        "falcon3-1b",
        "tiiuae/Falcon3-1B-Instruct-1.58bit-GGUF",
        1_361_904_672,
        "0ecef8ad9bcb1b7d3b73bac7b0237daf2faa962b60cbbaf62c86ff51a39444b4",
        "falcon3",
        PAGE,
    ),
    falcon(
        "falcon3-3b",
        "tiiuae/Falcon3-3B-Instruct-1.58bit-GGUF",
        2_221_465_632,
        "2ee9723dc1abcc53f231ef1637bdd7c1ec1dbaf132c2c59873100cfb48b41455",
        "falcon3",
        PAGE,
    ),
    falcon(
        "falcon3-7b",
        "tiiuae/Falcon3-7B-Instruct-1.58bit-GGUF",
        3_278_680_768,
        "612ab67d4c5fb77d9f810eb521eb4a477dae46df1a85ca501018490e2dac35c6",
        "falcon3",
        PAGE,
    ),
    falcon(
        "falcon3-10b",
        "tiiuae/Falcon3-10B-Instruct-1.58bit-GGUF",
        3_991_393_696,
        "e37945ee82693a6541b5fa5484f0e24787c04a9ce95e6e377f68a6b15f139c1f",
        "falcon3",
        CATALOGUE,
    ),
    Known {
        name: "llama3-8b-1.58",
        repo: "brunopio/Llama3-8B-1.58-100B-tokens-GGUF",
        file: "Llama3-8B-1.58-100B-tokens-TQ2_0.gguf",
        bytes: None,
        sha256: Some("2565559c82a1d03ecd1101f536c5e99418d07e55a88bd5e391ed734f6b3989ac"),
        licence: "Llama 3 (the original's)",
        maker: "HF1BitLLM",
        format: Format::Tq2_0,
        architecture: "llama",
        pre_tokenizer: Some("llama-bpe"),
        source: "build scripts that check the digest",
    },
    Known {
        name: "bitnet-b1.58-large",
        repo: "gianni-cor/bitnet_b1_58-large-TQ2_0",
        file: "bitnet_b1_58-large-TQ2_0.gguf",
        bytes: None,
        sha256: Some("281aafb18a9f4a3124c10a1d8683e2296f0cfe8a2944da0a5667d17488a951bb"),
        licence: "MIT (the original's)",
        maker: "1bitLLM",
        format: Format::Tq2_0,
        architecture: "bitnet",
        pre_tokenizer: None,
        source: "download scripts and benchmark reports, with digest",
    },
    Known {
        name: "bitnet-b1.58-3b",
        repo: "gianni-cor/bitnet_b1_58-3B-TQ2_0",
        file: "bitnet_b1_58-3B-TQ2_0.gguf",
        bytes: None,
        sha256: None,
        licence: "MIT (the original's)",
        maker: "1bitLLM",
        format: Format::Tq2_0AndOthers,
        architecture: "bitnet",
        pre_tokenizer: None,
        source: "other programs' catalogues",
    },
    Known {
        name: "bitnet-b1.58-3b-tl2",
        repo: "Rushi2901/bitnet_b1_58-3B-gguf",
        file: "ggml-model-tl2.gguf",
        bytes: None,
        sha256: None,
        licence: "MIT (the original's)",
        maker: "1bitLLM",
        format: Format::Tl2,
        architecture: "bitnet",
        pre_tokenizer: None,
        source: "its page",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_unique_and_digests_whole() {
        let mut names: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KNOWN.len());
        for known in KNOWN {
            assert!(known.name.len() < 24 && known.repo.matches('/').count() == 1, "{known:?}");
            // A name is no path and no address.
            assert!(!known.name.contains(['/', ':']) && known.file.ends_with(".gguf"), "{known:?}");
            assert!(
                known.sha256.is_none_or(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
            );
            // Licences of those who made the model hold for a file of others.
            assert_eq!(known.publisher().is_some(), known.licence.contains("the original's"), "{known:?}");
            assert_eq!(find(&known.name.to_uppercase()).map(|found| found.name), Some(known.name));
        }
        assert!(find("no-such-model").is_none());
    }

    #[test]
    fn what_cannot_be_run_says_why() {
        assert_eq!(find("bitnet-b1.58-2b-4t").unwrap().obstacle(), None);
        let tables = find("bitnet-b1.58-3b-tl2").unwrap().obstacle().unwrap();
        assert!(tables.starts_with("TL1 and TL2 files cannot be imported"), "{tables}");
        let strange = Known { architecture: "mamba", ..find("bitnet-b1.58-large").unwrap().clone() };
        assert!(strange.obstacle().unwrap().contains("needs a manifest"));
        let words = Known { pre_tokenizer: Some("no-such"), ..find("falcon3-1b").unwrap().clone() };
        assert_eq!(words.obstacle().unwrap(), "its pre-tokenizer no-such is not known to this version");
    }
}
