//! Whether a model fits a board: its flash and its RAM, with what the runtime itself takes of both.

use std::io::{self, Write};

use anyhow::{Result, bail};
use bitnet_edge_core::{KvType, MemoryPlan, ModelConfig, PlanOptions};

/// Flash that the runtime takes without its model, at most, in a firmware that is built for size (`tests/runtime`): code and
/// constants. `cargo xtask test --stage size` holds it to that.
pub const RUNTIME_FLASH: usize = 64 << 10;
/// Stack that a board has, of which self-test and answers leave some.
pub const STACK: usize = 16 << 10;
/// RAM that the runtime takes beside arena and stack, at most.
pub const STATICS: usize = 4 << 10;

/// Positions that a suggested context is a multiple of.
const STEP: u32 = 16;

/// What a board has for a program and its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// As in `--board NAME`, and the firmware's folder below `boards/`.
    pub name: &'static str,
    /// Bytes from which code and model are executed in place.
    pub flash: usize,
    /// Bytes of them that are kept for the program: the console, and all kernels, which are built for speed.
    pub program: usize,
    /// Bytes of RAM.
    pub ram: usize,
    /// Bytes of them that the firmware has for the arena, at most.
    pub arena: usize,
    /// The KV cache of the firmware.
    pub kv: KvType,
    /// Tokens of a prompt that it gives the model at once.
    pub batch: u32,
}

/// The boards that have a firmware and a fixed memory. (Where a loader brings the model, memory is what the machine has.)
pub const BOARDS: [Board; 6] = [
    // The last sector is for the first block of a UF2 file.
    Board {
        name: "pico2",
        flash: (4 << 20) - 4096,
        program: 640 << 10,
        ram: 520 << 10,
        arena: 440 << 10,
        kv: KvType::F16,
        batch: 8,
    },
    Board {
        name: "virt-riscv32",
        flash: 4 << 20,
        program: 640 << 10,
        ram: 200 << 10,
        arena: 168 << 10,
        kv: KvType::I8,
        batch: 4,
    },
    Board {
        name: "mps2-an386",
        flash: 4 << 20,
        program: 1 << 20,
        ram: 4 << 20,
        arena: 240 << 10,
        kv: KvType::F16,
        batch: 4,
    },
    Board {
        name: "mps2-an500",
        flash: 4 << 20,
        program: 1 << 20,
        ram: 4 << 20,
        arena: 240 << 10,
        kv: KvType::F16,
        batch: 4,
    },
    Board {
        name: "mps2-an505",
        flash: 4 << 20,
        program: 1 << 20,
        ram: 4 << 20,
        arena: 240 << 10,
        kv: KvType::F16,
        batch: 4,
    },
    Board {
        name: "mps3-an547",
        flash: 2560 << 10,
        program: 512 << 10,
        ram: 512 << 10,
        arena: 240 << 10,
        kv: KvType::F16,
        batch: 4,
    },
];

impl Board {
    /// The board of a name.
    pub fn from_name(name: &str) -> Result<Self> {
        let Some(board) = BOARDS.iter().find(|board| board.name == name) else {
            let known: Vec<_> = BOARDS.iter().map(|board| board.name).collect();
            bail!(
                "there is no board {name:?}; {} are, and --flash and --ram describe any other",
                known.join(", ")
            )
        };
        Ok(*board)
    }
}

/// What there is; `None` is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes of flash.
    pub flash: Option<usize>,
    /// Bytes of RAM.
    pub ram: Option<usize>,
    /// Bytes of the flash that are not for the model.
    pub program: usize,
    /// Bytes of the RAM that are not for the arena: stacks, and what the program has beside them.
    pub beside: usize,
}

/// Nothing is looked at, and a firmware that is built for size takes its part.
impl Default for Room {
    fn default() -> Self {
        Self { flash: None, ram: None, program: RUNTIME_FLASH, beside: STACK + STATICS }
    }
}

impl From<Board> for Room {
    fn from(board: Board) -> Self {
        let Board { flash, program, ram, arena, .. } = board;
        Self { flash: Some(flash), ram: Some(ram), program, beside: ram - arena }
    }
}

/// What a model needs of a board.
#[derive(Clone, Copy, Debug)]
pub struct Need<'a> {
    /// Bytes of the flash image.
    pub image: usize,
    /// The plan of its arena.
    pub plan: &'a MemoryPlan,
}

impl Need<'_> {
    /// Prints flash and RAM, part by part, against what there is.
    ///
    /// # Errors
    /// Those of the output.
    pub fn print(&self, room: Room, out: &mut impl Write) -> io::Result<()> {
        let (image, arena) = (self.image, self.plan.bytes());
        if room.flash.or(room.ram).is_some() {
            writeln!(out)?;
        }
        if let Some(have) = room.flash {
            writeln!(
                out,
                "flash: {image} model + {} program = {} of {have} bytes: {}",
                room.program,
                self.flash(room),
                verdict(self.flash(room), have)
            )?;
        }
        if let Some(have) = room.ram {
            writeln!(
                out,
                "RAM: {arena} arena + {} stack and program = {} of {have} bytes: {}",
                room.beside,
                self.ram(room),
                verdict(self.ram(room), have)
            )?;
        }
        Ok(())
    }

    /// # Errors
    /// What there is too little of, by how much, and what would fit.
    pub fn check(&self, room: Room) -> Result<()> {
        if let Some(have) = room.flash.filter(|&have| have < self.flash(room)) {
            bail!(
                "the model does not fit: model and program need {} bytes of flash and there are {have}, {} too few; \
                 a model of at most {} bytes would fit (--embedding-type q4_0 and --head-type q4_0 make one smaller)",
                self.flash(room),
                self.flash(room) - have,
                have.saturating_sub(room.program)
            );
        }
        if let Some(have) = room.ram.filter(|&have| have < self.ram(room)) {
            bail!(
                "the model does not fit: arena, stack and program need {} bytes of RAM and there are {have}, {} too few; {}",
                self.ram(room),
                self.ram(room) - have,
                advice(&self.plan.config(), self.plan.options(), have.saturating_sub(room.beside))
            );
        }
        Ok(())
    }

    fn flash(&self, room: Room) -> usize {
        self.image.saturating_add(room.program)
    }

    fn ram(&self, room: Room) -> usize {
        self.plan.bytes().saturating_add(room.beside)
    }
}

fn verdict(need: usize, have: usize) -> String {
    match have.checked_sub(need) {
        Some(free) => format!("fits, {free} free"),
        None => format!("does not fit, {} too few", need - have),
    }
}

/// What would fit an arena of `have` bytes: first what changes no result and keeps the context, then int8, then shorter contexts.
fn advice(config: &ModelConfig, options: PlanOptions, have: usize) -> String {
    let fits =
        |options: &PlanOptions| MemoryPlan::new(config, options).is_ok_and(|plan| plan.bytes() <= have);
    let batch = |options| PlanOptions { batch: 1, ..options };
    let int8 = |options| PlanOptions { kv: KvType::I8, ..options };
    for (candidate, text) in [
        (batch(options), "--batch 1"),
        (int8(options), "--kv int8"),
        (batch(int8(options)), "--kv int8 --batch 1"),
    ] {
        if fits(&candidate) {
            return format!("{text} would fit");
        }
    }
    let longest = |options: PlanOptions| {
        let steps = options.context.div_ceil(STEP);
        let of = |step: u32| {
            let context = STEP * step;
            PlanOptions { context, prompt_bytes: 4 * context, ..batch(options) }
        };
        // A plan grows with its context: a search by halves.
        let (mut fit, mut not) = (0, steps);
        while not - fit > 1 {
            let middle = fit.midpoint(not);
            if fits(&of(middle)) { fit = middle } else { not = middle }
        }
        (fit > 0).then_some(STEP * fit)
    };
    match (longest(options), longest(int8(options))) {
        (Some(context), Some(more)) if more > context => {
            let kv = options.kv.name();
            format!(
                "--context {context} --batch 1 would fit with {kv}, --context {more} --batch 1 with --kv int8"
            )
        }
        (Some(context), _) => format!("--context {context} --batch 1 would fit"),
        (None, Some(context)) => format!("--context {context} --batch 1 --kv int8 would fit"),
        (None, None) => {
            format!("no context fits, not even {STEP} positions of int8: a smaller model is needed")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn config() -> ModelConfig {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../core/testdata/tiny.bpk");
        ModelConfig { context: 4096, ..ModelConfig::read(&fs::read(file).unwrap()).unwrap() }
    }

    fn told(have: usize) -> String {
        let config = config();
        let plan = MemoryPlan::new(&config, &PlanOptions::new(&config)).unwrap();
        let room = Room { ram: Some(have), ..Room::default() };
        Need { image: 1, plan: &plan }.check(room).err().map(|error| error.to_string()).unwrap_or_default()
    }

    /// The options in a piece of advice, as the command line would take them.
    fn options(advice: &str, full: PlanOptions) -> PlanOptions {
        let words: Vec<_> = advice.split_whitespace().collect();
        let mut options = full;
        for pair in words.windows(2) {
            match *pair {
                ["--batch", "1"] => options.batch = 1,
                ["--kv", kv] if kv.starts_with("int8") => options.kv = KvType::I8,
                ["--context", context] => {
                    options.context = context.parse().unwrap();
                    options.prompt_bytes = 4 * options.context;
                }
                _ => {}
            }
        }
        options
    }

    #[test]
    fn what_would_fit_does_and_a_step_more_does_not() {
        let config = config();
        let full = PlanOptions::new(&config);
        let need =
            |options: &PlanOptions| MemoryPlan::new(&config, options).unwrap().bytes() + STACK + STATICS;
        assert_eq!(told(need(&full)), "");
        let mut seen = [0; 3];
        for have in (STACK + STATICS..need(&full)).rev().step_by(1009) {
            let text = told(have);
            let advice = text.split_once("few; ").unwrap().1;
            if advice.ends_with("a smaller model is needed") {
                let least =
                    PlanOptions { context: STEP, kv: KvType::I8, batch: 1, prompt_bytes: 4 * STEP, ..full };
                assert!(need(&least) > have, "{text}");
                seen[2] += 1;
                continue;
            }
            for part in advice.split(", ") {
                let one = options(part, full);
                assert!(need(&one) <= have, "{have}: {part}");
                if one.context < full.context {
                    let context = one.context + STEP;
                    let more = PlanOptions { context, prompt_bytes: 4 * context, ..one };
                    assert!(context >= full.context || need(&more) > have, "{have}: {part}");
                    seen[1] += 1;
                } else {
                    seen[0] += 1;
                }
            }
        }
        assert!(seen.iter().all(|&count| count > 2), "{seen:?}");
    }

    #[test]
    fn flash_holds_the_runtime_too() {
        let config = config();
        let plan = MemoryPlan::new(&config, &PlanOptions::new(&config)).unwrap();
        let need = Need { image: 1000, plan: &plan };
        let room = |flash| Room { flash: Some(flash), ..Room::default() };
        assert!(need.check(room(RUNTIME_FLASH + 1000)).is_ok());
        let error = need.check(room(RUNTIME_FLASH + 999)).unwrap_err().to_string();
        assert!(error.contains("1 too few; a model of at most 999 bytes"), "{error}");
        let mut text = Vec::new();
        need.print(room(RUNTIME_FLASH + 1), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(
            text,
            "\nflash: 1000 model + 65536 program = 66536 of 65537 bytes: does not fit, 999 too few\n"
        );
    }

    #[test]
    fn boards_are_known_by_name() {
        assert_eq!(Board::from_name("pico2").unwrap().ram, 532_480);
        let error = Board::from_name("abacus").unwrap_err().to_string();
        assert!(error.contains("\"abacus\"") && error.contains("virt-riscv32"), "{error}");
    }

    /// The sum of the lengths of a board's regions: those in flash, those in RAM.
    fn regions(script: &str) -> (usize, usize) {
        let mut sums = (0, 0);
        for line in script.lines() {
            let Some((name, rest)) = line.trim().split_once(':') else { continue };
            let Some((_, length)) = rest.split_once("LENGTH = ") else { continue };
            let bytes: isize = length
                .split(' ')
                .filter(|part| !part.is_empty())
                .fold((0, 1), |(sum, sign), part| match part {
                    "-" => (sum, -1),
                    "+" => (sum, 1),
                    _ => (sum + sign * crate::cli::bytes(part).unwrap() as isize, 1),
                })
                .0;
            match name.trim() {
                "FLASH" | "MODEL" => sums.0 += bytes as usize,
                "RAM" | "STACK" => sums.1 += bytes as usize,
                other => panic!("the region {other} is neither flash nor RAM"),
            }
        }
        sums
    }

    #[test]
    fn boards_have_what_their_memory_maps_say() {
        for board in BOARDS {
            let script =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../../boards").join(board.name).join("memory.x");
            let script = fs::read_to_string(script).unwrap();
            assert_eq!(regions(&script), (board.flash, board.ram), "{}", board.name);
            // Where the linker keeps the model apart, the program's region is what the table says.
            if let Some(program) = length(&script, "FLASH").filter(|_| script.contains("MODEL")) {
                assert_eq!(program, board.program, "{}", board.name);
            }
            let folder =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../../boards").join(board.name).join("src");
            let sources =
                ["main.rs", "plan.rs"].map(|file| fs::read_to_string(folder.join(file)).unwrap_or_default());
            let kib = board.arena >> 10;
            let stated = [format!("arena: {kib} * 1024,"), format!("ARENA_BYTES: usize = {kib} * 1024;")];
            let found = sources.iter().any(|text| stated.iter().any(|line| text.contains(line)));
            assert!(found, "{}: the firmware has an arena of other than {kib} KiB", board.name);
        }
    }

    /// The length of a region.
    fn length(script: &str, region: &str) -> Option<usize> {
        let line = script.lines().find(|line| line.trim().starts_with(region))?;
        crate::cli::bytes(line.split_once("LENGTH = ")?.1.trim()).ok()
    }
}
