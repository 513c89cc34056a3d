//! A tier that fails is skipped and reported; callers get their values.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cache_enterprise::prelude::*;
use cache_enterprise::{Backend, Event, Observer};
use own_backend::MapBackend;

static NAMES: CacheSpec<u64, String> = CacheSpec::new("names").ttl(mins(1));

/// Counts what an operator would want to know.
#[derive(Debug, Default)]
struct Failures(Arc<AtomicU32>);

impl Observer for Failures {
    fn on_event(&self, event: &Event) {
        if matches!(event, Event::TierFailed { .. }) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::main]
async fn main() -> cache_enterprise::Result<()> {
    let (tier, failures) = (Arc::new(MapBackend::default()), Arc::new(AtomicU32::new(0)));
    let manager = CacheManager::builder("shop")
        .l2(Arc::clone(&tier))
        .codec(MessagePack)
        .observer(Failures(Arc::clone(&failures)))
        .build()
        .await?;
    let names = manager.open(&NAMES)?;

    // From here on every call to the tier is an error.
    tier.close().await?;
    for key in 0..10 {
        let name = names.get_with(&key, || async move { format!("user {key}") }).await;
        assert_eq!(*name, format!("user {key}"));
    }
    println!("10 callers served, {} failures heard", failures.load(Ordering::Relaxed));
    assert!(failures.load(Ordering::Relaxed) > 0);
    for level in manager.health().await {
        println!("level {} ({}): {:?}", level.level, level.name, level.health);
    }
    Ok(())
}
