//! The front for a person: a line is a prompt, the answer is text.

use bitnet_edge_core::generate::Logprobs;
use bitnet_edge_core::model::Split;
use bitnet_edge_core::text::Utf8Stream;
use bitnet_edge_kernels::Kernels;
use bitnet_edge_protocol::Stop;

use super::{Session, say};
use crate::engine::{Listener, Prompt};
use crate::{Board, Console, Hex};

impl<B: Board, K: Kernels, S: Split> Session<'_, '_, B, K, S> {
    /// Answers the line.
    #[inline(never)] // the frames of a request are not on its stack
    pub(super) fn answer_line(&mut self) {
        let mut terminal = Terminal { console: &mut self.console, stream: Utf8Stream::new() };
        self.receipt = false;
        let answer = match self.engine.answer(&self.config, &mut terminal) {
            Ok(answer) => answer,
            Err(error) => return say(&mut self.console, format_args!("error: {error}")),
        };
        self.last = Some(answer);
        self.receipt = true;
        let Terminal { console, mut stream } = terminal;
        stream.finish(|text| console.write(text));
        console.write("\n");
        match answer.stop {
            Stop::ContextFull => console.write("note: the context is full\n"),
            Stop::Cancelled => console.write("note: interrupted\n"),
            _ => {}
        }
        if let Some(digest) = answer.digest {
            say(console, format_args!("logit digest {}", Hex(&digest)));
        }
        let (stats, seed) = (answer.stats, self.config.seed);
        let (arena, backend) = (self.engine.plan.bytes(), self.engine.kernels.name());
        let cores = self.engine.split.threads();
        let plural = if cores == 1 { "" } else { "s" };
        say(
            console,
            format_args!(
                "{stats} | arena {arena} bytes | backend {backend}, {cores} core{plural} | seed {seed}"
            ),
        );
    }
}

struct Terminal<'c, 'b, B> {
    console: &'c mut Console<'b, B>,
    stream: Utf8Stream,
}

impl<B: Board> Listener for Terminal<'_, '_, B> {
    fn prompt(&mut self) -> (Prompt<'_>, &mut dyn Board) {
        let (line, board) = self.console.parts();
        (Prompt { system: None, text: line, raw: false }, board)
    }

    fn begin(&mut self, continues: bool) {
        if continues {
            self.console.show_line();
        }
    }

    fn text(&mut self, bytes: &[u8]) {
        let Self { console, stream } = self;
        stream.feed(bytes, |text| console.write(text));
    }

    fn token(&mut self, _: u32, bytes: &[u8]) {
        self.text(bytes);
    }

    /// Nobody can ask for them here.
    fn logprobs(&mut self, _: &Logprobs) {}

    fn cancelled(&mut self) -> bool {
        self.console.interrupted()
    }

    fn now_us(&mut self) -> u64 {
        self.console.board().now_us()
    }
}
