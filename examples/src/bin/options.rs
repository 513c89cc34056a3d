//! An option of the call wins over the spec's, the spec's over the manager's; each says where it
//! came from.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cache_enterprise::prelude::*;
use cache_enterprise::{Life, Origin};

static NEWS: CacheSpec<u64, String> = CacheSpec::new("news").ttl(mins(5)).jitter(0.0);

fn main() -> cache_enterprise::Result<()> {
    let defaults =
        Options { ttl: Some(Life::For(hours(1))), negative_ttl: Some(secs(5)), ..Options::NONE };
    let manager = CacheManager::builder("site").options(defaults).build_in_memory()?;
    let news = manager.open(&NEWS)?;
    println!("{}", manager.describe());
    cache_enterprise::block_on(async {
        news.set(&1, "this one lives a second").ttl(secs(1)).await;
    });
    let options = news.effective_options(&1);
    println!("{options}");
    let life = options.row("entry.life").map(|row| row.value.as_str());
    assert_eq!(life, Some("1s"), "the entry has the life of its call");
    let from = |name| options.row(name).map(|row| (row.value.as_str(), &row.origin));
    assert_eq!(from("ttl"), Some(("300s", &Origin::Spec)), "and not the manager's hour");
    assert_eq!(from("negative_ttl"), Some(("5s", &Origin::Manager)), "the spec says nothing");
    Ok(())
}
