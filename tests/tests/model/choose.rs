//! A choice among strings is what the definition makes of the logits of fresh prompts: the same bits, whatever the order of
//! the strings, the budget of a step, the batch and the backend.

use bitnet_edge_core::generate::{Choice, LogitDigest};
use bitnet_edge_core::model::{InPlace, OneThread};
use bitnet_edge_core::text::{EncodeOptions, Tokenizer, encode, scratch_words};
use bitnet_edge_core::{
    Backend, Cpu, Error, Event, GenerationConfig, Generator, MemoryPlan, Model, PlanOptions, Session,
};
use bitnet_edge_kernels::Kernels;
use bitnet_edge_kernels::math::exp1;
use bitnet_edge_std::{Arena, Host, Tiers};
use bitnet_edge_tests::draw::Draw;
use bitnet_edge_tests::models::STORY;

const PROMPT: &str = "one day, tom found a shiny key. he put it in the";
const SETS: [&[&str]; 6] = [
    &[" box", " sky"],
    &[" lock of the door", " lock of the box", " water", " lock"],
    &[" door"],
    // Beginnings of each other, three deep.
    &[" do", " door", " doors", " doors of the house", " dog"],
    &["!", " big red ball", " big red box", " big blue box and ran", " big blue box"],
    &[" a", " b", " c", " d", " e", " f", " g", " h", " i", " j", " k", " l", " m", " n", " o", " p", " q"],
];

fn plan(model: &Model<'_>, batch: u32) -> MemoryPlan {
    let options = PlanOptions { context: 64, batch, prompt_bytes: 128, ..PlanOptions::new(&model.config()) };
    MemoryPlan::new(&model.config(), &options).unwrap()
}

fn tokens(tokenizer: &Tokenizer<'_>, text: &str, mark_ends: bool) -> Vec<u32> {
    let (mut scratch, mut ids) = (vec![0; scratch_words(text.len())], vec![0; text.len() + 2]);
    let options = EncodeOptions { mark_ends, lossy: false };
    let count = encode(tokenizer, text.as_bytes(), &mut scratch, &mut ids, options).unwrap();
    ids.truncate(count);
    ids
}

/// What a choice gives.
#[derive(Debug, PartialEq)]
struct Outcome {
    choice: Choice,
    /// The bits of the probability of each string.
    bits: Vec<u32>,
    digest: [u8; 32],
}

fn config() -> GenerationConfig {
    GenerationConfig::greedy().with_digest(true)
}

/// Chooses, in steps of `budget`.
fn chosen<B: Backend>(generator: &mut Generator<'_, B>, strings: &[&str], budget: u32) -> Outcome {
    let mut chooser = generator.choose(strings).unwrap();
    let choice = loop {
        assert!(chooser.probabilities().is_empty());
        if let Some(choice) = chooser.step(budget).unwrap() {
            break choice;
        }
    };
    assert_eq!(chooser.step(budget), Ok(Some(choice)), "what is chosen stays chosen");
    let bits = chooser.probabilities().iter().map(|p| p.to_bits()).collect();
    drop(chooser);
    Outcome { choice, bits, digest: generator.digest().unwrap() }
}

fn scalar(model: &Model<'_>, strings: &[&str], budget: u32, batch: u32) -> Outcome {
    let plan = plan(model, batch);
    let mut arena = Arena::new(plan.bytes());
    let cpu = Cpu::scalar(model, &plan, arena.lines()).unwrap();
    let mut generator = Generator::new(model, &plan, cpu, config()).unwrap();
    let prompt = generator.prompt(PROMPT).unwrap();
    let outcome = chosen(&mut generator, strings, budget);
    assert_eq!(generator.session().position(), prompt, "the context is that behind the prompt");
    outcome
}

/// The logits behind some tokens, in a context of their own.
fn fresh(model: &Model<'_>, ids: &[u32]) -> Vec<f32> {
    let plan = plan(model, 8);
    let mut arena = Arena::new(plan.bytes());
    let cpu = Cpu::scalar(model, &plan, arena.lines()).unwrap();
    let mut session = Session::new(model, &plan, cpu).unwrap();
    session.prefill(ids, true).unwrap();
    session.logits().unwrap().to_vec()
}

/// The definition: every beginning of every string is a prompt of its own.
fn defined(model: &Model<'_>, strings: &[&str]) -> Outcome {
    let tokenizer = model.tokenizer().unwrap();
    let prompt = tokens(&tokenizer, PROMPT, true);
    let paths: Vec<Vec<u32>> = strings.iter().map(|string| tokens(&tokenizer, string, false)).collect();
    let mut prefixes: Vec<&[u32]> = paths.iter().flat_map(|p| (0..=p.len()).map(|n| &p[..n])).collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    let mut probabilities = vec![1.0f64; strings.len()];
    let mut digest = LogitDigest::default();
    for prefix in prefixes {
        let behind = |path: &[u32]| path.strip_prefix(prefix).map(|rest| rest.first().copied());
        let mut next: Vec<Option<u32>> = paths.iter().filter_map(|path| behind(path)).collect();
        next.sort_unstable();
        next.dedup();
        if next.len() < 2 {
            continue;
        }
        let logits = fresh(model, &[&prompt[..], prefix].concat());
        digest.update(&logits);
        let ends = next[0].is_none();
        let ids: Vec<u32> = next.into_iter().flatten().collect();
        let possible = (0..logits.len() as u32).filter(|id| ends || ids.contains(id));
        let largest = possible.map(|id| logits[id as usize]).reduce(f32::max).unwrap();
        let weight = |id: u32| match logits[id as usize] - largest {
            x if x < -87.0 => 0.0,
            x => f64::from(exp1(x)),
        };
        let others = (0..logits.len() as u32).filter(|id| ends && !ids.contains(id));
        let end = others.fold(0.0, |sum, id| sum + weight(id));
        let total = ids.iter().fold(end, |sum, &id| sum + weight(id));
        for (path, probability) in paths.iter().zip(&mut probabilities) {
            if let Some(token) = behind(path) {
                *probability *= token.map_or(end, weight) / total;
            }
        }
    }
    let best = probabilities.iter().copied().reduce(f64::max).unwrap();
    let index = probabilities.iter().position(|&p| p == best).unwrap();
    let probabilities: Vec<f32> = probabilities.into_iter().map(|p| p as f32).collect();
    let choice = Choice { index, probability: probabilities[index] };
    Outcome { choice, bits: probabilities.iter().map(|p| p.to_bits()).collect(), digest: digest.value() }
}

#[test]
fn a_choice_is_what_fresh_prompts_say_whatever_the_budget_and_batch() {
    let image = STORY.image();
    let model = Model::new_checked(image.as_slice()).unwrap();
    for strings in SETS {
        let expected = defined(&model, strings);
        let sum: f32 = expected.bits.iter().map(|&bits| f32::from_bits(bits)).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        println!("{:.3?} {strings:?}", expected.bits.iter().map(|&b| f32::from_bits(b)).collect::<Vec<_>>());
        for (budget, batch) in [(u32::MAX, 8), (30_000, 1), (1_000_000, 3)] {
            assert_eq!(scalar(&model, strings, budget, batch), expected, "{strings:?}, budget {budget}");
        }
    }
}

#[test]
fn the_plausible_goes_on() {
    let image = STORY.image();
    let model = Model::new_checked(image.as_slice()).unwrap();
    assert_eq!(scalar(&model, SETS[0], u32::MAX, 8).choice.index, 0);
    assert_eq!(scalar(&model, &[" table and chair", " lock of the door"], u32::MAX, 8).choice.index, 1);
    assert_eq!(scalar(&model, &[" door"], u32::MAX, 8).choice, Choice { index: 0, probability: 1.0 });
}

#[test]
fn the_order_of_the_strings_changes_nothing() {
    let image = STORY.image();
    let model = Model::new_checked(image.as_slice()).unwrap();
    let mut draw = Draw::new(5);
    for strings in SETS {
        let given = scalar(&model, strings, u32::MAX, 8);
        let mut order: Vec<usize> = (0..strings.len()).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, draw.below(at + 1));
        }
        let other: Vec<&str> = order.iter().map(|&at| strings[at]).collect();
        let found = scalar(&model, &other, u32::MAX, 8);
        assert_eq!(order[found.choice.index], given.choice.index, "{other:?}");
        assert_eq!(found.digest, given.digest);
        assert!(order.iter().zip(&found.bits).all(|(&at, &bits)| given.bits[at] == bits));
    }
}

#[test]
fn every_backend_chooses_alike() {
    let image = STORY.image();
    let model = Model::new_checked(image.as_slice()).unwrap();
    let plan = plan(&model, 4);
    let expected = scalar(&model, SETS[3], u32::MAX, 4);
    for kernels in Host::available() {
        let mut arena = Arena::new(plan.bytes());
        let cpu = Cpu::new(&model, &plan, arena.lines(), kernels, OneThread, InPlace).unwrap();
        let mut generator = Generator::new(&model, &plan, cpu, config()).unwrap();
        generator.prompt(PROMPT).unwrap();
        assert_eq!(chosen(&mut generator, SETS[3], u32::MAX), expected, "{}", kernels.name());
    }
}

#[test]
fn a_choice_is_drawn_by_the_seed_and_a_generation_goes_on_behind_it() {
    let image = STORY.image();
    let model = Model::new_checked(image.as_slice()).unwrap();
    let plan = plan(&model, 8);
    let mut arena = Arena::new(plan.bytes());
    let cpu = Cpu::scalar(&model, &plan, arena.lines()).unwrap();
    let config = GenerationConfig::default().with_temperature(2.0).with_max_tokens(2);
    let mut generator = Generator::new(&model, &plan, cpu, config).unwrap();
    generator.prompt(PROMPT).unwrap();
    let mut counts = [0; 2];
    for _ in 0..40 {
        let mut chooser = generator.choose(SETS[0]).unwrap();
        let choice = std::iter::repeat_with(|| chooser.step(u32::MAX).unwrap()).find_map(|c| c).unwrap();
        counts[choice.index] += 1;
        drop(chooser);
        generator.rewind(0);
        generator.prompt(PROMPT).unwrap();
    }
    assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
    while !matches!(generator.step(u32::MAX).unwrap(), Event::Done(_)) {}
    // Behind a text that ended by its length: the token that it left unfed is fed.
    let before = generator.session().position();
    let mut chooser = generator.choose(SETS[1]).unwrap();
    while chooser.step(u32::MAX).unwrap().is_none() {}
    drop(chooser);
    assert_eq!(generator.session().position(), before + 1);
    // Given up on the way.
    let given = generator.prompt(" box").unwrap();
    let mut chooser = generator.choose(SETS[4]).unwrap();
    assert_eq!((chooser.step(u32::MAX), chooser.step(1)), (Ok(None), Ok(None)));
    drop(chooser);
    assert_eq!(generator.session().position(), before + 1 + given);
}

#[test]
fn what_cannot_be_chosen_is_refused_and_changes_nothing() {
    let image = STORY.image();
    let model = Model::new_checked(image.as_slice()).unwrap();
    let plan = plan(&model, 8);
    let mut arena = Arena::new(plan.bytes());
    let cpu = Cpu::scalar(&model, &plan, arena.lines()).unwrap();
    let mut generator = Generator::new(&model, &plan, cpu, config()).unwrap();
    assert_eq!(generator.choose(&["a"]).err(), Some(Error::Order("give a prompt first")));
    generator.prompt(PROMPT).unwrap();
    for (strings, index) in [
        (&[][..], 0),
        (&["a", ""], 1),
        (&["a", "b", "a"], 2),
        (&["a"; 40], 1),
        (&["a b c d e f g h i j k l m n o p q r s t u v w x y z"; 40], 1),
    ] {
        let refused = generator.choose(strings).err();
        assert!(matches!(refused, Some(Error::Choice { index: i, .. }) if i == index), "{refused:?}");
    }
    let far = format!("{}x", "a b ".repeat(30));
    assert!(matches!(
        generator.choose(&[&far, &far[..119]]).err(),
        Some(Error::ContextFull { have: 64, .. })
    ));
    assert_eq!(generator.choose(&[" box", " sky"]).unwrap().step(1), Ok(None));
    // Given up before the prompt was in the context: the generation goes on with it.
    assert!(matches!(generator.choose(&["a"]).err(), Some(Error::Order("a generation is under way"))));
    while !matches!(generator.step(u32::MAX).unwrap(), Event::Token { .. }) {}
}
