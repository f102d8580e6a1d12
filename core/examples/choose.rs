//! A device that must decide: which of some strings goes on with a prompt, and how likely each of them is.
//!
//!     cargo run -p bitnet-edge-core --example choose -- "hello" " friend!" " every board" " one model"

use bitnet_edge_core::{
    Cpu, Error, GenerationConfig, Generator, Line, MemoryPlan, Model, PlanOptions, include_image,
};

static IMAGE: &[u8] = include_image!("../testdata/tiny.bpk");
/// Multiply-accumulates after which the caller gets its turn.
const BUDGET: u32 = 100_000;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (prompt, actions) = match &arguments[..] {
        [prompt, actions @ ..] if !actions.is_empty() => (*prompt, actions),
        _ => ("once upon a time", &[", there lived one model", ", there lived", " friend!"][..]),
    };
    let model = Model::new_checked(IMAGE)?;
    let plan = MemoryPlan::new(&model.config(), &PlanOptions::new(&model.config()))?;
    let mut arena = vec![Line::ZERO; Line::count(plan.bytes())];
    let cpu = Cpu::scalar(&model, &plan, &mut arena)?;
    let mut generator = Generator::new(&model, &plan, cpu, GenerationConfig::greedy())?;

    generator.prompt(prompt)?;
    let mut chooser = generator.choose(actions)?;
    let mut steps = 1;
    let choice = loop {
        match chooser.step(BUDGET)? {
            Some(choice) => break choice,
            None => steps += 1, // here a board feeds its watchdog and reads its sensors
        }
    };
    for (action, probability) in actions.iter().zip(chooser.probabilities()) {
        println!("{probability:.6}  {prompt}{action}");
    }
    println!("chosen in {steps} steps: {prompt}{}", actions[choice.index]);
    Ok(())
}
