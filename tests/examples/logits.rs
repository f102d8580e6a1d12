use bitnet_edge_core::*;
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let source = bitnet_pack::source::Source::open(path.as_ref(), &Default::default()).unwrap();
    let model = Model::new_checked(source.bytes()).unwrap();
    let mut o = PlanOptions::new(&model.config());
    o.context = 64;
    let plan = MemoryPlan::new(&model.config(), &o).unwrap();
    let mut arena = bitnet_edge_std::Arena::new(plan.bytes());
    let mut s = Session::new(&model, &plan, Cpu::scalar(&model, &plan, arena.lines()).unwrap()).unwrap();
    for i in 0..16u32 {
        let logits = s.decode((1 + 7919 * i) % model.config().vocab).unwrap();
        println!("{}", logits.iter().map(|l| l.to_string()).collect::<Vec<_>>().join(" "));
    }
}
