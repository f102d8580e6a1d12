//! Tokenizers, chat templates and perplexity, beside other engines.

#[cfg(feature = "fetched")]
mod chat;
mod chat_templates;
mod perplexity;
#[cfg(feature = "fetched")]
mod stops;
mod story_tokenizer;
#[cfg(feature = "fetched")]
mod tokenizers;
