//! Values of any type under text keys; another type under the key is an error, never a miss.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cache_enterprise::prelude::*;

#[tokio::main]
async fn main() -> cache_enterprise::Result<()> {
    let manager = CacheManager::in_memory(Capacity::bytes(16 * MIB))?;
    let user = String::from("Ada");
    manager.set("user:123", &user).tenant("tenant1").ttl(hours(1)).tags(["user:123"]).await?;
    let found = manager.get::<String>("user:123").tenant("tenant1").await?;
    println!("found {found:?}");
    assert_eq!(found.as_deref(), Some(&user));
    let wrong = manager.get::<u64>("user:123").tenant("tenant1").await;
    println!("asked as a number: {}", wrong.expect_err("a string stands there"));
    assert!(manager.delete("user:123").tenant("tenant1").await?);
    Ok(())
}
