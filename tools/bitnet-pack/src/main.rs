//! `bitnet-pack`: convert, inspect, verify and plan.
fn main() {}
