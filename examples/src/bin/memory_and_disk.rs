//! Two levels: the call sites are those of one level, and a restart starts warm.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cache_enterprise::Source;
use cache_enterprise::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct User {
    name: String,
}

static USERS: CacheSpec<u64, User> = CacheSpec::new("users").ttl(hours(1));

async fn manager(
    directory: &std::path::Path,
) -> cache_enterprise::Result<CacheManager<MessagePack>> {
    let disk = Disk::at(directory).budget(64 * MIB);
    CacheManager::builder("shop")
        .l1(Memory::bytes(16 * MIB))
        .l2(disk)
        .codec(MessagePack)
        .build()
        .await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let first = manager(folder.path()).await?;
    let users = first.open(&USERS)?;
    users.get_with(&7, || async { User { name: "Ada".to_owned() } }).await;
    assert!(first.shutdown(secs(30)).await.is_clean());
    drop((users, first));

    let second = manager(folder.path()).await?;
    let users = second.open(&USERS)?;
    let hit = users.get_entry(&7).await?.ok_or("the disk lost the entry")?;
    println!("{} came from {:?}", hit.value.name, hit.source);
    assert_eq!(hit.source, Source::Tier(2));
    second.shutdown(secs(30)).await;
    Ok(())
}
