//! `describe` and `effective_options` tell each value and who set it.

use std::sync::Arc;

use cache_enterprise::memory::MemoryBackend;
use cache_enterprise::prelude::*;
use cache_enterprise::settings::Format;
use cache_enterprise::{Description, Origin};

use crate::{World, two_levels};

fn told(description: &Description, name: &str) -> (String, String) {
    let row = description.row(name);
    let row = row.unwrap_or_else(|| panic!("no row {name} in\n{description}"));
    (row.value.clone(), row.origin.to_string())
}

fn pair(value: &str, origin: &str) -> (String, String) {
    (value.to_owned(), origin.to_owned())
}

#[tokio::test]
async fn default_file_environment_code_and_spec() {
    static PRICES: CacheSpec<u64, u64> = CacheSpec::new("prices").ttl(secs(30));
    let text = "[[levels]]\nmax_size = \"8MiB\"\n[[levels]]\nkind = \"shelf\"\nttl = \"1m\"\n\
                [levels.options]\npool_size = 4\n[timeouts]\nread = \"50ms\"\n";
    let settings = Settings::builder()
        .text(Format::Toml, text)
        .env_from("CE_", [("CE_CODEC".into(), "json".into())])
        .set("defaults.jitter", "10%")
        .set("retry.attempts", 0);
    let manager = World::new().manager(settings).await;
    let prices = manager.open(&PRICES).unwrap();

    let description = manager.describe();
    let told = |name| told(&description, name);
    assert_eq!(told("name"), pair("cache", "default"));
    assert_eq!(told("l1.max_size"), pair("8 MiB", "settings, text:2:1"));
    assert_eq!(told("l2.backend"), pair("memory", "settings, text:4:1"));
    assert_eq!(told("l2.pool_size"), pair("4", "settings, text:7:1"));
    assert_eq!(told("l2.ttl"), pair("60s", "settings, text:5:1"));
    assert_eq!(told("l2.timeout.read"), pair("50ms", "settings, text:9:1"));
    assert_eq!(told("l2.timeout.write"), pair("250ms", "default"));
    assert_eq!(told("l2.retry.attempts"), pair("0", "settings, code"));
    assert_eq!(told("codec"), pair("json", "settings, env CE_CODEC"));
    assert_eq!(told("compression.algorithm"), pair("zstd", "default"));
    assert_eq!(told("jitter"), pair("0.1", "settings, code"));
    assert_eq!(told("cache.prices.ttl"), pair("30s", "spec"));
    let printed = description.to_string();
    assert_eq!(printed.lines().count(), description.rows().len());

    let options = prices.effective_options(&7);
    assert_eq!(self::told(&options, "ttl"), pair("30s", "spec"));
    assert_eq!(self::told(&options, "jitter"), pair("0.1", "settings, code"));
    assert_eq!(self::told(&options, "hard_timeout"), pair("30s", "default"));
    assert!(options.row("entry.life").is_none(), "nothing is stored yet");
}

#[tokio::test]
async fn a_wait_that_grows_has_the_origin_of_its_own_limit() {
    let settings = two_levels().set("retry.delay", "20ms");
    for (backoff, value, origin) in
        [("exponential", "100ms", "default"), ("constant", "20ms", "settings, code")]
    {
        let settings = settings.clone().set("retry.backoff", backoff);
        let description = World::new().manager(settings).await.describe();
        assert_eq!(told(&description, "l2.retry.delay_max"), pair(value, origin), "{backoff}");
    }
}

#[tokio::test]
async fn a_key_adds_what_its_own_call_gave_it() {
    static NAMES: CacheSpec<u64, u64> = CacheSpec::new("names");
    let world = World::new();
    let manager = world.manager(two_levels().set("levels.0.ttl", "10s")).await;
    let names = manager.open(&NAMES).unwrap();
    names.set(&7, 1_u64).ttl(mins(1)).tags([tag!("org:7")]).await;
    world.clock.advance(secs(4));

    let options = names.effective_options(&7);
    assert_eq!(told(&options, "ttl"), pair("forever", "settings, code"));
    assert_eq!(told(&options, "l1_ttl"), pair("10s", "settings, code"));
    assert_eq!(told(&options, "entry.age"), pair("4s", "entry"));
    assert_eq!(told(&options, "entry.life"), pair("10s", "entry"));
    assert_eq!(told(&options, "entry.fresh_for"), pair("6s", "entry"));
    assert_eq!(told(&options, "entry.tag"), pair("org:7", "entry"));
}

#[tokio::test]
async fn the_builder_is_named_where_it_spoke() {
    let tier = Tier::new(Arc::new(MemoryBackend::new(Capacity::bytes(MIB)))).promote_after(3);
    let builder = CacheManager::builder("shop").l2(tier).codec(MessagePack);
    let manager = builder.compression(Lz4::over(512)).build().await.unwrap();
    let description = manager.describe();
    let told = |name| told(&description, name);
    assert_eq!(told("name"), pair("shop", "manager"));
    assert_eq!(told("l1.max_size"), pair("64 MiB", "default"));
    assert_eq!(told("l2.promote_after"), pair("3", "manager"));
    assert_eq!(told("l2.write"), pair("through", "default"));
    assert_eq!(told("codec"), pair("messagepack", "manager"));
    assert_eq!(told("compression.threshold"), pair("512", "manager"));
}

#[tokio::test]
async fn settings_that_say_nothing_do_what_a_builder_does_that_is_told_nothing() {
    let world = World::new();
    let from_settings = world.manager(Settings::builder().set("levels.1.kind", "shelf"));
    let from_settings = from_settings.await.describe();
    let builder = CacheManager::builder("cache").l2(world.shelf.clone()).codec(MessagePack);
    let built = builder.compression(Zstd::over(1024)).build().await.unwrap().describe();
    let values = |description: &Description| -> Vec<_> {
        let rows = description.rows().iter();
        rows.map(|row| (row.name.clone(), row.value.clone())).collect()
    };
    assert_eq!(values(&from_settings), values(&built));
    let set = from_settings.rows().iter().filter(|row| row.origin != Origin::Default);
    let set: Vec<_> = set.map(|row| row.name.as_str()).collect();
    assert_eq!(set, ["l2.backend"]);
}
