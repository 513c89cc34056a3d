//! Stories of processes that share a Redis server: values, epochs and bus on the same one.
//!
//! A process is a manager with connections of its own. Time is that of the machine, since the
//! server has no other.
#![allow(clippy::unwrap_used)]

mod a_cut_off_process_serves_nothing_old_for_long;
mod a_server_with_an_older_copy_brings_nothing_back;
mod a_stranger_changes_a_key;
mod settings_choose_the_bus;
mod what_one_ends_the_others_let_go;

use std::future::IntoFuture;
use std::time::Duration;

use cache_enterprise::prelude::*;
use cache_enterprise_testkit::wait::until_async;

static NUMBERS: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(hours(1));

/// One process.
struct Process {
    manager: CacheManager<MessagePack>,
    cache: Cache<u64, u64>,
}

impl Process {
    /// A process whose servers are reached at `url`. A busy machine makes it wait and not fail.
    async fn at(url: &str) -> Self {
        Self::within(secs(20), url, |bus| bus).await
    }

    /// A process that finds soon that its servers do not answer.
    async fn hasty_at(url: &str) -> Self {
        Self::within(secs(2), url, |bus| bus).await
    }

    async fn within(
        limit: Duration,
        url: &str,
        options: impl FnOnce(RedisBus) -> RedisBus,
    ) -> Self {
        let settings = Redis::url(url).unwrap().connect_timeout(limit);
        let settings = settings.read_timeout(limit).write_timeout(limit);
        let redis = settings.open().await.unwrap();
        let manager = CacheManager::builder("fleet")
            .l2(Tier::new(redis.opened()).timeout(limit))
            .bus(options(RedisBus::sharing(&redis)))
            .codec(MessagePack)
            .build()
            .await
            .unwrap();
        let cache = manager.open(&NUMBERS).unwrap();
        Self { manager, cache }
    }

    /// Sets a number with the tag `all`, everywhere or not at all.
    async fn set(&self, key: u64, number: u64) {
        self.cache.set(&key, number).tags([tag!("all")]).strict().into_future().await.unwrap();
    }

    async fn get(&self, key: u64) -> Option<u64> {
        self.cache.get(&key).await.unwrap().map(|number| *number)
    }

    fn peek(&self, key: u64) -> Option<u64> {
        self.cache.peek(&key).map(|number| *number)
    }

    /// Reads until level 1 keeps what was read: the bus has to be heard first.
    async fn keeps(&self, key: u64, number: u64) {
        until_async("level 1 keeps the number", async || {
            self.get(key).await == Some(number) && self.peek(key) == Some(number)
        })
        .await;
    }
}
