//! Ways to read, and what the handle of a hit knows. It stays readable when its entry is gone.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cache_enterprise::Source;
use cache_enterprise::prelude::*;

static NAMES: CacheSpec<u64, String> = CacheSpec::new("names").ttl(mins(1));

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let names = CacheManager::in_memory(Capacity::entries(1_000))?.open(&NAMES)?;
    names.set(&1, "Ada").await;

    // Level 1 alone, without await.
    let peeked: Option<Cached<String>> = names.peek(&1);
    // All levels; an error only when no level could answer.
    let found: Option<Cached<String>> = names.get(&1).await?;
    assert_eq!(peeked, found);

    let hit = names.get_entry(&1).await?.ok_or("the entry is gone")?;
    println!("{} from {:?}, {:?} old, stale: {}", *hit.value, hit.source, hit.age, hit.stale);
    assert!(hit.source == Source::Memory && hit.age < mins(1) && !hit.stale);

    let kept = hit.value.clone();
    assert!(Cached::ptr_eq(&kept, &hit.value), "a clone is one count, not one more value");
    names.remove(&1).await;
    assert!(names.get(&1).await?.is_none());
    println!("{} has {} letters and is still here", *kept, kept.len());
    assert_eq!(*kept, "Ada");
    Ok(())
}
