//! A tier that is written behind the caller's back; a shutdown leaves nothing in the queue.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use cache_enterprise::prelude::*;
use own_backend::MapBackend;

static EVENTS: CacheSpec<u64, String> = CacheSpec::new("events").ttl(mins(1));

#[tokio::main]
async fn main() -> cache_enterprise::Result<()> {
    let tier =
        Tier::new(Arc::new(MapBackend::default())).write(WritePolicy::Behind { queue_max: 10_000 });
    let manager = CacheManager::builder("log").l2(tier).codec(MessagePack).build().await?;
    let events = manager.open(&EVENTS)?;
    for key in 0..1_000 {
        events.set(&key, "something happened").await;
    }

    let report = manager.shutdown(secs(30)).await;
    let written = manager.tier_stats()[0].puts;
    println!("1000 written, {written} reached the tier");
    assert!(report.is_clean() && written == 1_000);
    assert_eq!(report.writes_flushed, 1_000, "none was written while its caller waited");
    Ok(())
}
