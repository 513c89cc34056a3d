//! A thousand tasks ask for one cold key; its loader runs once.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cache_enterprise::prelude::*;
use tokio::task::JoinSet;

static PAGES: CacheSpec<u64, String> = CacheSpec::new("pages").ttl(mins(1));

#[tokio::main]
async fn main() -> cache_enterprise::Result<()> {
    let pages = CacheManager::in_memory(Capacity::entries(1_000))?.open(&PAGES)?;
    let loads = Arc::new(AtomicU32::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..1_000 {
        let (pages, loads) = (pages.clone(), Arc::clone(&loads));
        tasks.spawn(async move {
            let load = || async {
                loads.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(ms(5)).await;
                "<h1>Home</h1>"
            };
            pages.get_with(&1, load).await
        });
    }
    let answers = tasks.join_all().await;
    assert!(answers.windows(2).all(|pair| Cached::ptr_eq(&pair[0], &pair[1])));
    assert_eq!(loads.load(Ordering::Relaxed), 1);
    println!("{} callers, 1 load, 1 value in memory", answers.len());
    Ok(())
}
