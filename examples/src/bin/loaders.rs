//! Three ways to load: cannot fail, can fail, and owned with a stale answer meanwhile.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cache_enterprise::Clock;
use cache_enterprise::prelude::*;

static PAGES: CacheSpec<String, String> = CacheSpec::new("pages").ttl(mins(1));

#[derive(Debug)]
struct NotFound;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = Clock::manual();
    let manager = CacheManager::builder("site").clock(clock.clone()).build_in_memory()?;
    let pages = manager.open(&PAGES)?;

    let home = pages.get_with("home", || async { "<h1>Home</h1>" }).await;
    println!("{}", *home);
    assert_eq!(*home, "<h1>Home</h1>");

    let failed = pages.try_get_with("gone", || async { Err::<String, _>(NotFound) }).await;
    assert!(matches!(failed, Err(LoadError::Loader(_))), "an error is told");
    assert!(!pages.contains("gone"), "and never stored");

    for is_stale in [false, true] {
        let news = pages
            .fetch("news")
            .ttl(secs(10))
            .stale_for(hours(1))
            .detached(move |cx| async move {
                cx.tag(tag!("news"));
                Ok::<_, NotFound>("<h1>News</h1>")
            })
            .await;
        let news = news.map_err(|error| format!("{error:?}"))?;
        println!("{}, stale: {}", *news, news.is_stale());
        assert_eq!(news.is_stale(), is_stale, "past its life it answers while the load runs");
        clock.advance(mins(1));
    }
    Ok(())
}
