//! Processes that say in their settings what they share: nothing of the bus stands in code.

use cache_enterprise::prelude::*;
use cache_enterprise::settings::Format;
use cache_enterprise_testkit::servers::RedisServer;
use cache_enterprise_testkit::wait::until_async;

static NUMBERS: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(hours(1));

/// A process as a service starts it: from the text of its settings alone. A busy machine makes it
/// wait and not fail.
async fn process(bus: &str, server: &RedisServer) -> CacheManager<AnySerde> {
    let patience = "[timeouts]\nread = \"20s\"\nwrite = \"20s\"\n";
    let level =
        format!("[[levels]]\nkind = \"redis\"\noptions = {{ url = \"{}\" }}\n", server.url());
    let text = format!("name = \"fleet\"\n{patience}[[levels]]\nkind = \"memory\"\n{level}{bus}");
    let settings = Settings::builder().text(Format::Toml, text).build().unwrap();
    CacheManager::from_settings(settings).await.unwrap()
}

/// Sets a number, again where the store of numbers or the bus was too slow to say that it did.
async fn set(cache: &Cache<u64, u64>, key: u64, number: u64) {
    let is_set = async || cache.set(&key, number).strict().await.is_ok();
    until_async("the number is set", is_set).await;
}

/// Reads until level 1 keeps the number: the bus has to be heard for that.
async fn keeps(cache: &Cache<u64, u64>, key: u64, number: u64) {
    until_async("level 1 keeps the number", async || {
        let found = cache.get(&key).await.unwrap();
        found.is_some_and(|found| *found == number) && cache.peek(&key).is_some()
    })
    .await;
}

async fn each_hears_the_other(bus: &str, server: &RedisServer) {
    let (one, two) = (process(bus, server).await, process(bus, server).await);
    let (here, there) = (one.open(&NUMBERS).unwrap(), two.open(&NUMBERS).unwrap());
    for (round, (teller, hearer)) in [(&here, &there), (&there, &here)].into_iter().enumerate() {
        let key = round as u64;
        set(teller, key, 10).await;
        keeps(hearer, key, 10).await;
        set(teller, key, 11).await;
        let is_old = || hearer.peek(&key).is_some_and(|number| *number == 10);
        until_async("the replaced number has gone", async || !is_old()).await;
        keeps(hearer, key, 11).await;
        teller.remove(&key).await;
        until_async("the removed number has gone", async || hearer.peek(&key).is_none()).await;
        assert!(hearer.get(&key).await.unwrap().is_none());
    }
    for manager in [&one, &two] {
        let stats = manager.bus_stats().expect("settings gave it a bus");
        assert!(stats.frames > 0 && stats.heard > 0, "{stats:?}");
        assert_eq!(manager.describe().row("bus").unwrap().value, "redis");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_options_of_the_level_of_its_kind() {
    let server = RedisServer::start();
    each_hears_the_other("[bus]\nkind = \"redis\"\nunsure_max = \"1m\"\n", &server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_options_of_its_own_on_another_server() {
    let (level, bus) = (RedisServer::start(), RedisServer::start());
    let options = format!("options = {{ url = \"{}\", entries = 1000 }}\n", bus.url());
    let text = format!("[bus]\nkind = \"redis\"\nunsure_max = \"1m\"\n{options}");
    each_hears_the_other(&text, &level).await;
    assert_eq!(level.cli(&["KEYS", "{fleet:}log"]).trim(), "", "the log is on the other server");
    assert_eq!(bus.cli(&["KEYS", "{fleet:}log"]).trim(), "{fleet:}log");
}

/// What is replaced in one process while the other believes its copy is taken up there unread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_values_that_are_pushed() {
    let server = RedisServer::start();
    let bus = "[bus]\nkind = \"redis\"\nunsure_max = \"1m\"\npush_max = \"2KiB\"\n";
    let (one, two) = (process(bus, &server).await, process(bus, &server).await);
    let (here, there) = (one.open(&NUMBERS).unwrap(), two.open(&NUMBERS).unwrap());
    let mut newest = 0;
    until_async("a pushed value is taken up", async || {
        newest += 1;
        there.get(&1).await.unwrap();
        set(&here, 1, newest).await;
        two.bus_stats().is_some_and(|stats| stats.adopted > 0)
    })
    .await;
    assert!(one.bus_stats().unwrap().pushed > 0);
    keeps(&there, 1, newest).await;
}
