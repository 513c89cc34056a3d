//! `cargo xtask simulate`: request traces through the policies that serve.

fn main() {
    for policy in cache_enterprise_strategies::eviction::all() {
        println!("{}", policy.name());
    }
}
