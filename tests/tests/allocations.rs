//! Generating allocates nothing: every buffer is in the arena, and every thread is there before the first token.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use bitnet_edge_core::model::InPlace;
use bitnet_edge_core::{Cpu, Event, GenerationConfig, Generator, MemoryPlan, Model, PlanOptions};
use bitnet_edge_std::{Arena, Host, Pool, Tiers};
use bitnet_edge_tests::models::STORY;

/// The system's allocator, which counts on every thread.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: hands every call on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

// The only test here: others would allocate at the same time.
#[test]
fn a_generation_allocates_nothing() {
    let image = STORY.image();
    let model = Model::new_checked(image.as_slice()).unwrap();
    // All at once: a pool's threads allocate as they begin and as they end.
    let engines = Host::available().into_iter().map(|host| (host, Pool::new(3).unwrap().with_limits(0, 0)));
    let engines: Vec<_> = engines.collect();
    for (host, pool) in &engines {
        let options = PlanOptions { batch: 32, ..PlanOptions::new(&model.config()) };
        let plan = MemoryPlan::new(&model.config(), &options).unwrap();
        let mut arena = Arena::new(plan.bytes());
        let config = GenerationConfig { max_tokens: 60, ignore_eos: true, ..GenerationConfig::default() };
        let cpu = Cpu::new(&model, &plan, arena.lines(), *host, pool, InPlace).unwrap();
        let mut generator = Generator::new(&model, &plan, cpu, config).unwrap();
        generator.prompt("once upon a time there was a little girl named lily . she liked to play").unwrap();
        let mut counts = Vec::with_capacity(60);
        loop {
            match generator.step(u32::MAX).unwrap() {
                Event::Done(_) => break,
                Event::Token { .. } => counts.push(ALLOCATIONS.load(Ordering::SeqCst)),
                Event::Working | Event::Text(_) => {}
            }
        }
        assert_eq!(counts.len(), 60);
        assert_eq!(counts.first(), counts.last(), "{host:?} allocates behind the first token");
    }
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    drop(std::hint::black_box(vec![1]));
    assert!(ALLOCATIONS.load(Ordering::SeqCst) > before, "the counter counts");
}
