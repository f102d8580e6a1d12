//! A conversation with a model: what was said, and how much of it the model has seen.

use anyhow::{Context, Result, bail};
use bitnet_edge_core::text::{ChatTemplate, Ending, Message, Piece, Role};
use bitnet_edge_core::{Backend, Error, GenerationConfig, Generator, StopReason};
use bitnet_pack::report::advised;

use super::conversation::{Turn, Who};
use crate::generation::{Ended, Outcome, Part, generate};

const FULL: &str = "/clear begins anew, /save FILE keeps what was said, and --context N makes room for more";

/// A conversation. The model's context holds the messages up to `seen`; only what follows is given to it.
pub(super) struct Talk<'m, B> {
    generator: Generator<'m, B>,
    /// None goes on with the text as it is.
    template: Option<ChatTemplate<'m>>,
    turns: Vec<Turn>,
    seen: usize,
    /// The last token of an answer that did not end by itself: the model has still to see it.
    unseen: Option<u32>,
    /// Where the last question begins.
    mark: Option<Mark>,
    /// The tokens that the model was given last.
    given: Vec<u32>,
}

/// A place to go back to.
#[derive(Clone, Copy, Debug)]
struct Mark {
    position: u32,
    seen: usize,
    unseen: Option<u32>,
}

impl<'m, B: Backend> Talk<'m, B> {
    pub(super) fn new(generator: Generator<'m, B>, template: Option<ChatTemplate<'m>>) -> Self {
        Self { generator, template, turns: Vec::new(), seen: 0, unseen: None, mark: None, given: Vec::new() }
    }

    /// What was said.
    pub(super) fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// Positions in use, and how many there are.
    pub(super) fn positions(&self) -> (u32, u32) {
        let session = self.generator.session();
        (session.position(), session.plan().options().context)
    }

    /// The model forgets what it has seen, and what was drawn: the next answer is that of a run of its own, whose prompt is the
    /// whole conversation.
    pub(super) fn restart(&mut self) {
        self.generator.restart();
        self.forget();
    }

    /// The tokens that the model was given last.
    pub(super) fn given(&self) -> &[u32] {
        &self.given
    }

    /// Steps that were sampled.
    pub(super) const fn sampled(&self) -> u64 {
        self.generator.sampled()
    }

    pub(super) fn configure(&mut self, config: GenerationConfig) -> Result<()> {
        self.generator.configure(config).map_err(advised)
    }

    /// Another conversation. The model sees it with the next question.
    pub(super) fn replace(&mut self, turns: Vec<Turn>) -> Result<()> {
        if let Some(template) = &self.template {
            let messages: Vec<Message<'_>> = turns.iter().map(Turn::message).collect();
            if !messages.is_empty() {
                let ask = Message { role: Role::User, content: b"" };
                let is_open = turns.last().is_some_and(|turn| turn.role == Who::User);
                let asked: Vec<_> = messages.into_iter().chain((!is_open).then_some(ask)).collect();
                template
                    .render(None, &asked, Ending::Reply)
                    .context("the model's chat template has no place for these messages")?;
            }
        } else if turns.first().is_some_and(|turn| turn.role == Who::System) {
            bail!("a system message needs a chat template, which this model has not or --raw leaves out");
        }
        self.turns = turns;
        self.forget();
        Ok(())
    }

    /// Forgets the conversation but for its system message.
    pub(super) fn clear(&mut self) {
        self.turns.retain(|turn| turn.role == Who::System);
        self.forget();
    }

    /// The system message, or none. What was said stays.
    pub(super) fn set_system(&mut self, text: Option<&str>) -> Result<()> {
        let system = text.map(|text| Turn { role: Who::System, content: text.to_owned() });
        let said = self.turns.iter().filter(|turn| turn.role != Who::System).cloned();
        self.replace(system.into_iter().chain(said).collect())
    }

    /// The model forgets all that it has seen.
    fn forget(&mut self) {
        self.generator.rewind(0);
        (self.seen, self.unseen, self.mark) = (0, None, None);
    }

    /// A question, and its answer. An error leaves the conversation as it was, and so does Ctrl-C before the answer begins.
    pub(super) fn ask(
        &mut self,
        text: &str,
        tell: &mut dyn FnMut(Part<'_>) -> Result<()>,
    ) -> Result<Outcome> {
        self.turns.push(Turn { role: Who::User, content: text.to_owned() });
        let result = self.answer(tell);
        if result.as_ref().map_or(true, is_unanswered) {
            self.turns.pop();
        }
        result
    }

    /// Another answer to the last question.
    pub(super) fn again(&mut self, tell: &mut dyn FnMut(Part<'_>) -> Result<()>) -> Result<Outcome> {
        let answer = self.turns.pop_if(|turn| turn.role == Who::Assistant);
        if self.turns.last().is_none_or(|turn| turn.role != Who::User) {
            self.turns.extend(answer);
            bail!("there is no question yet that could be answered again");
        }
        match self.mark {
            Some(mark) => self.rewind(mark),
            None => self.forget(),
        }
        let result = self.answer(tell);
        if result.as_ref().map_or(true, is_unanswered) {
            // The one before stays, and is given to the model as a text.
            self.turns.extend(answer);
            self.forget();
        }
        result
    }

    fn rewind(&mut self, mark: Mark) {
        self.generator.rewind(mark.position);
        (self.seen, self.unseen) = (mark.seen, mark.unseen);
    }

    /// Gives the model what it has not seen, and takes its answer into the conversation.
    fn answer(&mut self, tell: &mut dyn FnMut(Part<'_>) -> Result<()>) -> Result<Outcome> {
        let position = self.generator.session().position();
        let mark = Mark { position, seen: self.seen, unseen: self.unseen };
        let result = self.give().and_then(|tokens| {
            self.given = self.generator.given(tokens).unwrap_or_default().to_vec();
            generate(&mut self.generator, tokens, tell)
        });
        // The generator keeps no token: `unseen` has it, wherever the conversation goes on.
        self.generator.cancel();
        match &result {
            Ok(outcome) if !is_unanswered(outcome) => {
                self.turns.push(Turn { role: Who::Assistant, content: outcome.text.clone() });
                self.seen = self.turns.len();
                let has_ended = matches!(outcome.ended, Ended::Stop(StopReason::Stop(_)));
                self.unseen = outcome.ids.last().copied().filter(|_| !has_ended);
                self.mark = Some(mark);
            }
            _ => self.rewind(mark),
        }
        result
    }

    /// Gives the model the messages that it has not seen. Returns their tokens.
    fn give(&mut self) -> Result<u32> {
        let (seen, unseen) = self.turns.split_at(self.seen);
        let messages: Vec<Message<'_>> = unseen.iter().map(Turn::message).collect();
        let mut pieces: Vec<Piece<'_>> = self.unseen.map(Piece::Special).into_iter().collect();
        match &self.template {
            Some(template) => {
                let previous = seen.last().map(|turn| turn.role.into());
                let rendered = template
                    .render(previous, &messages, Ending::Reply)
                    .context("the model's chat template has no place for this message")?;
                pieces.extend(rendered);
            }
            None => pieces.extend(messages.iter().map(|message| Piece::Text(message.content))),
        }
        let begin = self.template.is_none() && self.generator.session().position() == 0;
        self.generator.pieces(pieces.into_iter(), begin, u32::MAX, &mut || {}).map_err(|error| match error {
            Error::ContextFull { need, have } => {
                anyhow::anyhow!("the conversation takes {need} positions and the context has {have}: {FULL}")
            }
            error => advised(error),
        })
    }
}

/// Whether Ctrl-C came before the answer.
pub(super) fn is_unanswered(outcome: &Outcome) -> bool {
    outcome.ended == Ended::Interrupted && outcome.ids.is_empty()
}

/// What is to be said of an answer that did not end by itself.
pub(super) fn note(outcome: &Outcome, context: u32) -> Option<String> {
    match outcome.ended {
        Ended::Interrupted if is_unanswered(outcome) => {
            Some("interrupted before the answer; the question is taken back".to_owned())
        }
        Ended::Interrupted => Some("interrupted".to_owned()),
        Ended::Stop(StopReason::ContextFull) => {
            Some(format!("the answer ends because the context of {context} positions is full: {FULL}"))
        }
        Ended::Stop(StopReason::MaxTokens) => {
            Some("the answer ends at the token limit; /set max-tokens changes it".to_owned())
        }
        Ended::Stop(_) => None,
    }
}
