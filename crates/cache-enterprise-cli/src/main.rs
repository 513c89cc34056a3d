//! `cachectl`.
fn main() {}
