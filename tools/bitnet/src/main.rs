//! `bitnet`: runs a model.
fn main() {}
