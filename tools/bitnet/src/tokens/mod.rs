//! `bitnet tokenize` and `bitnet detokenize`: text to tokens and back, as a model sees them.

mod offsets;
mod pieces;

use std::io::stdin;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bitnet_edge_core::Error as CoreError;
use bitnet_edge_core::text::{
    Decoder, EncodeOptions, Error as TextError, TokenKind, Tokenizer, scratch_words,
};
use bitnet_pack::cli::{ImportArgs, print_notes};
use bitnet_pack::convert;
use bitnet_pack::gguf::Gguf;
use bitnet_pack::report::{advised, print};
use bitnet_pack::source;
use clap::Args;
use serde::Serialize;

use crate::model::open;
use crate::text_input;
use pieces::Fragment;

pub(crate) const TOKENIZE_EXAMPLES: &str = "Examples:\n  bitnet tokenize \"once upon a time\"\n  \
    bitnet tokenize --model model.bpk --file text.txt --ids\n  \
    bitnet tokenize --model model.bpk --special --no-bos \"<|user|>hi\" --json";

pub(crate) const DETOKENIZE_EXAMPLES: &str = "Examples:\n  bitnet detokenize 193 212 52 169\n  \
    bitnet tokenize \"once upon a time\" --ids | bitnet detokenize --skip-special";

#[derive(Debug, Args)]
pub(crate) struct TokenizeArgs {
    /// The text; without it and without --file it is read from stdin
    #[arg(value_name = "TEXT", conflicts_with = "file")]
    text: Option<String>,
    /// Read the text from a file; - is stdin
    #[arg(short, long)]
    file: Option<PathBuf>,
    /// A flash image (.bpk), or a GGUF file; without it the story model
    #[arg(short, long)]
    model: Option<PathBuf>,
    /// Put the token that begins a text in front, even if the model does not ask for it
    #[arg(long, conflicts_with = "no_bos")]
    bos: bool,
    /// Leave the token that begins a text out, even if the model asks for it
    #[arg(long)]
    no_bos: bool,
    /// Take the names of control tokens in the text, such as <|endoftext|>, for those tokens
    #[arg(long)]
    special: bool,
    /// Drop bytes of the text that the model has no token for, instead of refusing it
    #[arg(long)]
    lossy: bool,
    /// Print the ids only, in one line
    #[arg(long, conflicts_with = "json")]
    ids: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Put the text in lower case, as an import with --lowercase would
    #[arg(long)]
    lowercase: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DetokenizeArgs {
    /// Token ids, also with commas and brackets around them; without any they are read from stdin
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// A flash image (.bpk), or a GGUF file; without it the story model
    #[arg(short, long)]
    model: Option<PathBuf>,
    /// Leave control tokens out, instead of printing their names
    #[arg(long)]
    skip_special: bool,
}

/// A token of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Token {
    id: u32,
    /// What it stands for, as text.
    piece: String,
    /// Its bytes, where they are no text by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<Vec<u8>>,
    /// Where it stands in the text, in bytes; a token that is not from the text has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<usize>,
    kind: &'static str,
}

pub(crate) fn tokenize(args: &TokenizeArgs) -> Result<()> {
    let text = match (&args.text, &args.file) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, file) => text_input::read(file.as_deref().unwrap_or(Path::new("-")))?,
    };
    with_tokenizer(args.model.as_deref(), args.lowercase, |tokenizer| {
        let tokens = tokens_of(args, tokenizer, &text)?;
        let printed = if args.json {
            let count = tokens.len();
            serde_json::to_string_pretty(&serde_json::json!({ "count": count, "tokens": tokens }))? + "\n"
        } else if args.ids {
            tokens.iter().map(|token| token.id.to_string()).collect::<Vec<_>>().join(" ") + "\n"
        } else {
            tokens.iter().map(line).collect()
        };
        print(&printed)
    })
}

/// Id, place in the text, piece; in columns.
fn line(token: &Token) -> String {
    let place = match (token.start, token.end) {
        (Some(start), Some(end)) => format!("{start}..{end}"),
        _ => "-".to_owned(),
    };
    let piece = match &token.bytes {
        Some(bytes) => bytes.escape_ascii().to_string(),
        None => token.piece.escape_debug().to_string(),
    };
    let kind = if token.kind == "normal" { String::new() } else { format!("  {}", token.kind) };
    format!("{:>7}  {place:>13}  \"{piece}\"{kind}\n", token.id)
}

/// The tokens of a text, as the options want them.
fn tokens_of(args: &TokenizeArgs, tokenizer: &Tokenizer<'_>, text: &[u8]) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let wants_bos = args.bos || tokenizer.adds_bos() && !args.no_bos;
    match tokenizer.bos().filter(|_| wants_bos) {
        Some(bos) => tokens.push(token(tokenizer, bos, None)),
        None if args.bos => bail!("--bos: the vocabulary has no token that begins a text"),
        None => {}
    }
    for fragment in pieces::fragments(tokenizer, text, args.special) {
        match fragment {
            Fragment::Special { id, start, end } => tokens.push(token(tokenizer, id, Some((start, end)))),
            Fragment::Text { start, bytes } => {
                let ids = encode(tokenizer, bytes, args.lossy).map_err(|error| shifted(error, start))?;
                let places = offsets::places(tokenizer, bytes, &ids);
                for (&id, place) in ids.iter().zip(places) {
                    tokens.push(token(tokenizer, id, Some((start + place.start, start + place.end))));
                }
            }
        }
    }
    Ok(tokens)
}

/// An error of a part of the text that begins at `start`.
fn shifted(error: TextError, start: usize) -> anyhow::Error {
    let error = match error {
        TextError::NoToken { byte, at } => TextError::NoToken { byte, at: at + start as u32 },
        other => other,
    };
    advised(CoreError::Text(error)).context("the text cannot become tokens")
}

fn encode(tokenizer: &Tokenizer<'_>, text: &[u8], lossy: bool) -> Result<Vec<u32>, TextError> {
    let mut scratch = vec![0; scratch_words(text.len())];
    let mut ids = vec![0; text.len() + 1];
    let options = EncodeOptions { lossy, ..EncodeOptions::default() };
    let count = bitnet_edge_core::text::encode(tokenizer, text, &mut scratch, &mut ids, options)?;
    ids.truncate(count);
    Ok(ids)
}

fn token(tokenizer: &Tokenizer<'_>, id: u32, place: Option<(usize, usize)>) -> Token {
    let bytes = tokenizer.token_bytes(id);
    let text = std::str::from_utf8(bytes);
    Token {
        id,
        piece: text.map_or_else(|_| String::from_utf8_lossy(bytes).into_owned(), str::to_owned),
        bytes: text.is_err().then(|| bytes.to_vec()),
        start: place.map(|place| place.0),
        end: place.map(|place| place.1),
        kind: match tokenizer.kind(id) {
            TokenKind::Normal => "normal",
            TokenKind::Unknown => "unknown",
            TokenKind::Control => "control",
            TokenKind::UserDefined => "user-defined",
            TokenKind::Unused => "unused",
            TokenKind::Byte => "byte",
        },
    }
}

pub(crate) fn detokenize(args: &DetokenizeArgs) -> Result<()> {
    let words = if args.ids.is_empty() {
        let text = std::io::read_to_string(stdin().lock()).context("cannot read stdin")?;
        vec![text]
    } else {
        args.ids.clone()
    };
    let ids = words.iter().map(|words| ids(words)).collect::<Result<Vec<_>>>()?.concat();
    with_tokenizer(args.model.as_deref(), false, |tokenizer| {
        let mut decoder = Decoder::at_start();
        if !args.skip_special {
            decoder = decoder.with_special();
        }
        let mut text = Vec::new();
        for id in ids {
            if id >= tokenizer.token_count() {
                return Err(CoreError::Text(TextError::UnknownToken { id }).into());
            }
            text.extend_from_slice(decoder.bytes(tokenizer, id));
        }
        print(&text)
    })
}

/// Numbers, however they are separated.
fn ids(words: &str) -> Result<Vec<u32>> {
    let parts = words.split(|c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']'));
    let parts = parts.filter(|part| !part.is_empty());
    parts.map(|part| part.parse().with_context(|| format!("{part:?} is not the id of a token"))).collect()
}

/// Does `work` with the tokenizer of a model: of a GGUF file the vocabulary alone is read.
fn with_tokenizer(
    path: Option<&Path>,
    lowercase: bool,
    work: impl FnOnce(&Tokenizer<'_>) -> Result<()>,
) -> Result<()> {
    let Some(path) = path else {
        if lowercase {
            bail!("--lowercase needs --model: the story model puts texts in lower case itself");
        }
        let source = open(None, &ImportArgs::default(), false)?;
        return of_image(source.bytes(), Path::new("the story model"), work);
    };
    let file = source::map(path)?;
    if source::is_image(&file, path)? {
        if lowercase {
            bail!("{} is a flash image: --lowercase is for GGUF files", path.display());
        }
        return of_image(&file, path, work);
    }
    let packed = Gguf::parse(&file).map_err(Into::into).and_then(|gguf| convert::tokenizer(&gguf, lowercase));
    let Some(packed) = packed.with_context(|| path.display().to_string())? else {
        bail!("{} has no vocabulary", path.display());
    };
    print_notes(&packed.notes);
    let tokenizer = Tokenizer::new_checked(&packed.bytes).map_err(CoreError::Text);
    work(&tokenizer.map_err(advised).with_context(|| path.display().to_string())?)
}

fn of_image(bytes: &[u8], path: &Path, work: impl FnOnce(&Tokenizer<'_>) -> Result<()>) -> Result<()> {
    match source::model(bytes, path)?.tokenizer() {
        Some(tokenizer) => work(&tokenizer),
        None => bail!("{} has no tokenizer; convert a GGUF file that has one", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::ids;

    #[test]
    fn ids_are_read_however_they_are_written() {
        for words in ["1 22 333", "1,22,333", "[1, 22,\n 333]\n"] {
            assert_eq!(ids(words).unwrap(), [1, 22, 333]);
        }
        assert!(ids(" \n").unwrap().is_empty());
        assert_eq!(ids("1 x").unwrap_err().to_string(), "\"x\" is not the id of a token");
        assert!(ids("-1").is_err() && ids("4294967296").is_err());
    }
}
