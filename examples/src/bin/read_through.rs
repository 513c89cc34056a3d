//! A loader that is registered once: reads go through it, and values are refreshed behind their
//! readers, by etag where the origin knows them.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_enterprise::prelude::*;
use cache_enterprise::{Clock, Fetched, Loader};

static PAGES: CacheSpec<String, String> =
    CacheSpec::new("pages").ttl(mins(1)).stale_for(hours(1)).refresh_at(0.8);

/// Stands in for an HTTP client.
#[derive(Default)]
struct Site {
    requests: AtomicU64,
}

impl Loader<String, String> for Site {
    type Error = Infallible;

    async fn load(
        &self,
        path: &String,
        cx: LoadContext<String>,
    ) -> Result<Fetched<String>, Infallible> {
        let request = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        println!("request {request}: {path}, if none matches {:?}", cx.etag());
        if cx.etag() == Some("v1") {
            return Ok(cx.not_modified());
        }
        cx.keep_etag("v1");
        Ok(cx.value(format!("<h1>{path}</h1>")))
    }
}

// One thread, so that the refresh behind the stale answer starts when this waits for it.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = Clock::manual();
    let manager = CacheManager::builder("site").clock(clock.clone()).build_in_memory()?;
    let pages = manager.open(&PAGES)?.with_loader(Site::default());

    let first = pages.load("home").await?;
    clock.advance(mins(2));
    let stale = pages.load("home").await?;
    assert!(stale.is_stale(), "past its life: it answers at once, and one refresh starts");
    while pages.stats().renewals == 0 {
        tokio::task::yield_now().await;
    }
    let confirmed = pages.load("home").await?;
    assert!(!confirmed.is_stale() && Cached::ptr_eq(&first, &confirmed));
    println!("{} refresh, and the page was not sent again", pages.stats().refreshes);
    Ok(())
}
