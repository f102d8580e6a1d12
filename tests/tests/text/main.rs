//! Tokenizers, chat templates and perplexity, beside other engines.

#[cfg(feature = "fetched")]
mod chat;
mod chat_templates;
mod perplexity;
mod story_tokenizer;
#[cfg(feature = "fetched")]
mod tokenizers;
