//! Three ways to load: cannot fail, can fail, and owned with a stale answer meanwhile.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use cache_enterprise::prelude::*;

static PAGES: CacheSpec<String, String> = CacheSpec::new("pages").ttl(mins(1));

#[derive(Debug)]
struct NotFound;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pages = CacheManager::in_memory(Capacity::entries(1_000))?.open(&PAGES)?;

    let home = pages.get_with("home", || async { "<h1>Home</h1>" }).await;
    println!("{}", *home);

    let failed = pages.try_get_with("gone", || async { Err::<String, _>(NotFound) }).await;
    assert!(matches!(failed, Err(LoadError::Loader(_))), "an error is shared and never stored");

    let news = pages
        .fetch("news")
        .ttl(secs(10))
        .stale_for(hours(1))
        .detached(move |cx| async move {
            cx.tag(tag!("news"));
            Ok::<_, NotFound>("<h1>News</h1>")
        })
        .await;
    println!("{}", *news.map_err(|error| format!("{error:?}"))?);
    Ok(())
}
