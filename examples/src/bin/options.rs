//! An option of the call wins over the spec's, the spec's over the manager's; each says where it
//! came from.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cache_enterprise::Life;
use cache_enterprise::prelude::*;

static NEWS: CacheSpec<u64, String> = CacheSpec::new("news").ttl(mins(5)).jitter(0.0);

fn main() -> cache_enterprise::Result<()> {
    let defaults =
        Options { ttl: Some(Life::For(hours(1))), negative_ttl: Some(secs(5)), ..Options::NONE };
    let manager = CacheManager::builder("site").options(defaults).build_in_memory()?;
    let news = manager.open(&NEWS)?;
    for option in news.effective_options() {
        println!("{:<16} {:<8} from the {}", option.name, option.value, option.origin);
    }
    cache_enterprise::block_on(async {
        news.set(&1, "this one lives a second").ttl(secs(1)).await;
    });
    assert!(news.peek(&1).is_some());
    Ok(())
}
