//! Level 1 alone: no server, no serde, no runtime.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cache_enterprise::prelude::*;

/// No serde, no clone: level 1 asks nothing of a value.
#[derive(Debug)]
struct User {
    name: &'static str,
}

static USERS: CacheSpec<u64, User> = CacheSpec::new("users").ttl(mins(5));

fn main() -> cache_enterprise::Result<()> {
    let manager = CacheManager::in_memory(Capacity::bytes(64 * MIB))?;
    let users = manager.open(&USERS)?.blocking();
    let first = users.get_with(&7, || User { name: "Ada" });
    let again = users.get_with(&7, || User { name: "Grace" });
    assert!(Cached::ptr_eq(&first, &again));
    println!("{} was loaded once", again.name);
    Ok(())
}
