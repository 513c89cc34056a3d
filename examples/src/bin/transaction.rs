//! What a transaction ends is collected while it runs: a commit applies it, a rollback drops it.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cache_enterprise::prelude::*;

static USERS: CacheSpec<u64, String> = CacheSpec::new("users").ttl(mins(5));

#[tokio::main]
async fn main() -> cache_enterprise::Result<()> {
    let manager = CacheManager::in_memory(Capacity::entries(1_000))?;
    let users = manager.open(&USERS)?;
    users.set(&1, "Ada").await;
    users.set(&2, "Bob").tags([tag!("org:7")]).await;
    users.set(&3, "Cy").tags([tag!("org:8")]).await;

    for is_committed in [false, true] {
        let mut ended = manager.invalidations();
        // Each statement of the transaction names what it changes.
        ended.key(&users, &1);
        ended.tag(tag!("org:7"));
        assert!(users.contains(&1), "nothing has ended yet");
        if is_committed {
            let receipt = ended.apply().await;
            println!("committed: {} targets ended", receipt.targets);
            assert_eq!(receipt.targets, 2);
        } else {
            ended.discard();
            println!("rolled back: {} users are held", users.len());
        }
        assert_eq!(users.contains(&1), !is_committed);
        assert_eq!(users.contains(&2), !is_committed);
    }
    assert!(users.contains(&3), "nobody spoke of this one");
    Ok(())
}
