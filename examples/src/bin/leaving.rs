//! What leaves level 1 is told with its cause, off every lock; what is pinned stays.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::sync::mpsc;

use cache_enterprise::RemovalCause;
use cache_enterprise::prelude::*;

static PAGES: CacheSpec<u64, String> = CacheSpec::new("pages").ttl(mins(1));

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manager = CacheManager::in_memory(Capacity::entries(100))?;
    let (told, departures) = mpsc::channel();
    let listener = Arc::new(move |key: &u64, _: &Cached<String>, cause| {
        // Nobody may listen any more when the last entries leave.
        let _ = told.send((*key, cause));
    });
    let pages = manager.open_listening(&PAGES, listener)?;

    pages.set(&0, "front page").priority(Priority::Pinned).await;
    for key in 1..=1_000 {
        pages.set(&key, "another page").await;
    }
    let (key, cause) = departures.recv()?;
    println!("{} entries are held; page {key} was the first to leave: {cause:?}", pages.len());
    assert_eq!(cause, RemovalCause::Evicted);
    assert!(key != 0 && pages.contains(&0), "pinned entries are not evicted");
    Ok(())
}
