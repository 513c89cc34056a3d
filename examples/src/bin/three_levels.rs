//! Three levels, a codec and a compressor; which level answered, and what those below level 1
//! count.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use cache_enterprise::core::{KeySpace, OpContext, Sequence};
use cache_enterprise::prelude::*;
use cache_enterprise::{Backend, OpenedBackend, Source};
use own_backend::MapBackend;

static LYRICS: CacheSpec<u64, String> = CacheSpec::new("lyrics").ttl(hours(1));

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    // `.l2(Disk::at(..))` does as much; this keeps a handle, to take an entry from the disk alone.
    let disk = Disk::at(folder.path()).budget(64 * MIB).open().await?;
    let map = Arc::new(MapBackend::default());
    let manager = CacheManager::builder("songs")
        .l1(Memory::bytes(16 * MIB))
        .l2(OpenedBackend::new(Arc::clone(&disk) as _).with_epochs(Arc::clone(&disk) as _))
        .l3(Arc::clone(&map))
        .codec(MessagePack)
        .compression(Zstd::over(1024))
        .build()
        .await?;
    let lyrics = manager.open(&LYRICS)?;

    lyrics.set(&1, "la ".repeat(10_000)).await;
    let key = KeySpace::new("songs", "", "lyrics")?.key(&1_u64)?;
    let ctx = OpContext::default();
    let stored = map.get(&key, &ctx).await?.ok_or("level 3 has no entry")?;
    println!("level 3 holds it in {} bytes", stored.len());
    assert!(stored.len() < 1_000, "it is compressed");

    for level in [Source::Memory, Source::Tier(2), Source::Tier(3)] {
        let hit = lyrics.get_entry(&1).await?.ok_or("nobody holds the entry")?;
        println!("{} bytes from {:?}", hit.value.len(), hit.source);
        assert_eq!(hit.source, level);
        lyrics.drop_level1();
        if level == Source::Tier(2) {
            disk.remove(&key, Sequence::ZERO, &ctx).await?;
        }
    }
    for tier in manager.tier_stats() {
        println!("level {} ({}): {} puts, {} hits", tier.level, tier.name, tier.puts, tier.hits);
        assert_eq!(tier.hits, 1);
    }
    assert!(manager.shutdown(secs(30)).await.is_clean());
    Ok(())
}
