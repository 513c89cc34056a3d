//! Three levels, a codec and a compressor; which level answered, and what each of them counts.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use cache_enterprise::prelude::*;
use own_backend::MapBackend;

static LYRICS: CacheSpec<u64, String> = CacheSpec::new("lyrics").ttl(hours(1));

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let manager = CacheManager::builder("songs")
        .l1(Memory::bytes(16 * MIB))
        .l2(Disk::at(folder.path()).budget(64 * MIB))
        .l3(Arc::new(MapBackend::default()))
        .codec(MessagePack)
        .compression(Zstd::over(1024))
        .build()
        .await?;
    let lyrics = manager.open(&LYRICS)?;

    lyrics.set(&1, "la ".repeat(10_000)).await;
    for _ in 0..2 {
        let hit = lyrics.get_entry(&1).await?.ok_or("nobody holds the entry")?;
        println!("{} bytes from {:?}", hit.value.len(), hit.source);
        lyrics.drop_level1();
    }
    for tier in manager.tier_stats() {
        println!("level {} ({}): {} puts, {} hits", tier.level, tier.name, tier.puts, tier.hits);
    }
    assert!(manager.shutdown(secs(30)).await.is_clean());
    Ok(())
}
