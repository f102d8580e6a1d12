//! Renders a chat template as other engines do.

use anyhow::Context as _;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, context};

use super::vocab::Vocab;

/// Instructions of the template engine a rendering; real templates take a few thousand.
const FUEL: u64 = 1_000_000;

/// A chat template, ready to be rendered.
pub(crate) struct Renderer {
    environment: Environment<'static>,
    context: Value,
}

impl Renderer {
    pub(crate) fn new(template: &str, vocab: &Vocab) -> anyhow::Result<Self> {
        let mut environment = Environment::new();
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        // A template out of a file may loop for as long as it likes.
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment
            .add_template_owned("chat", template.to_owned())
            .context("the chat template is not a template that can be read")?;
        let name = |id: Option<u32>| id.and_then(|id| vocab.tokens.get(id as usize)).map(String::as_str);
        let context = context! {
            bos_token => name(vocab.bos).unwrap_or_default(),
            eos_token => name(vocab.eos).unwrap_or_default(),
            unk_token => name(vocab.unk),
            pad_token => name(vocab.pad),
            tools => (),
            documents => (),
        };
        Ok(Self { environment, context })
    }

    /// Renders a conversation of roles and contents; `reply` asks for what makes the model reply.
    pub(crate) fn render(&self, messages: &[(&str, &str)], reply: bool) -> Result<String, Error> {
        let messages: Vec<Value> =
            messages.iter().map(|&(role, content)| context! { role => role, content => content }).collect();
        let conversation =
            context! { messages => messages, add_generation_prompt => reply, ..self.context.clone() };
        self.environment.get_template("chat")?.render(conversation)
    }
}
