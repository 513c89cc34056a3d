//! The maps of backends that people write, as levels and as backends beside them.

#![allow(clippy::unwrap_used)]

use cache_enterprise_core::{Capacity, secs};
use cache_enterprise_settings::{
    FailoverStrategy, Format, LevelKind, LevelSettings, OptionValue, Settings, WriteSettings,
};

fn yaml(text: &str) -> Settings {
    Settings::builder().text(Format::Yaml, text).build().unwrap_or_else(|e| panic!("{e}"))
}

/// A level as its number, name, kind and options.
fn told(level: &LevelSettings) -> (Option<usize>, Option<&str>, &str, Vec<String>) {
    let (kind, options) = match &level.kind {
        LevelKind::Memory { .. } => ("memory", Vec::new()),
        LevelKind::Disk { .. } => ("disk", Vec::new()),
        LevelKind::Other { name, options } => {
            let text = |(name, value): (&String, &OptionValue)| format!("{name}={value}");
            (name.as_str(), options.iter().map(text).collect())
        }
        _ => unreachable!("there is no other kind"),
    };
    (level.number, level.name.as_deref(), kind, options)
}

#[test]
fn a_map_gives_memory_the_default_backend_and_the_rest_beside() {
    let settings = yaml(
        "
         CACHE_CONFIG:
           default_backend: redis
           backends:
             redis: {url: 'redis://cluster:6379/0', pool_size: 20, retry_attempts: 3, compression: lz4}
             memcached: {servers: ['memcached:11211'], binary_protocol: true, compression: gzip}
             memory: {max_size: 512MB, ttl: 60, eviction_policy: lfu}
         PERFORMANCE_CONFIG: {pipeline_size: 100, read_timeout: 5, write_timeout: 10}",
    );
    let [memory, redis] = settings.levels() else { panic!("{settings:?}") };
    assert!(matches!(&memory.kind, LevelKind::Memory { max_size, eviction_policy }
        if *max_size == Capacity::bytes(512_000_000) && eviction_policy.as_deref() == Some("lfu")));
    assert_eq!(memory.ttl, Some(secs(60)));
    let options = ["pipeline_size=100", "pool_size=20", "url=redis://cluster:6379/0"];
    let options = options.map(str::to_owned).to_vec();
    assert_eq!(told(redis), (Some(1), Some("redis"), "redis", options));
    assert_eq!((redis.retry_attempts, redis.compression.as_deref()), (Some(3), Some("lz4")));
    let [memcached] = settings.backends() else { panic!("{:?}", settings.backends()) };
    let options = vec!["binary_protocol=true".to_owned(), "servers=[memcached:11211]".to_owned()];
    assert_eq!(told(memcached), (None, Some("memcached"), "memcached", options));
    assert_eq!(memcached.compression.as_deref(), Some("gzip"));
    assert_eq!(memcached.key("options.servers"), "backends.memcached.servers");
    assert_eq!(settings.default_backend(), Some("redis"));
    assert_eq!(settings.timeouts().read, secs(5));
}

#[test]
fn the_flat_keys_make_redis_the_second_level() {
    let settings = Settings::builder()
        .set("cache_levels", 2)
        .set("l1_enabled", true)
        .set("l2_enabled", true)
        .set("redis_url", "redis://localhost:6379")
        .set("redis_cluster", false)
        .build()
        .unwrap();
    let options = vec!["cluster=false".to_owned(), "url=redis://localhost:6379".to_owned()];
    assert_eq!(told(&settings.levels()[1]), (Some(1), Some("redis"), "redis", options));
    assert_eq!(settings.default_backend(), Some("redis"), "the only one is the default");

    let settings = yaml(
        "
         cache_backends:
           memory: {max_size: 1GB, eviction_policy: adaptive}
           redis: {cluster_nodes: ['redis-1:6379', 'redis-2:6379'], replication_factor: 3}",
    );
    let options = ["cluster_nodes=[redis-1:6379, redis-2:6379]", "replication_factor=3"];
    let options = options.map(str::to_owned).to_vec();
    assert_eq!(told(&settings.levels()[1]), (Some(1), Some("redis"), "redis", options));
}

#[test]
fn a_listed_level_of_a_backends_name_is_that_backend() {
    let settings = yaml(
        "
         default_backend: near
         backends:
           near: {type: redis, url: 'redis://a'}
           far: {type: memcached, servers: [b]}
           archive: {type: disk, path: var/archive, max_size: 1GB}
         levels:
           - {max_size: 100MB}
           - {kind: near, ttl: 5m}
           - {kind: far, write_policy: behind}",
    );
    let levels: Vec<_> = settings.levels().iter().map(told).collect();
    assert_eq!(
        levels,
        [
            (Some(0), None, "memory", vec![]),
            (Some(1), Some("near"), "redis", vec!["url=redis://a".to_owned()]),
            (Some(2), Some("far"), "memcached", vec!["servers=[b]".to_owned()]),
        ]
    );
    assert_eq!(settings.levels()[1].ttl, Some(secs(300)));
    assert!(matches!(settings.levels()[2].write, WriteSettings::Behind { queue_max: 10_000 }));
    assert_eq!(settings.backends().iter().map(told).count(), 1);
    assert!(matches!(
        &settings.backends()[0].kind,
        LevelKind::Disk { max_size: 1_000_000_000, .. }
    ));
    assert_eq!(settings.default_backend(), Some("near"));
}

#[test]
fn a_backend_may_be_named_without_options_switched_off_or_left_beside_memory() {
    let named = yaml("{default_backend: redis, backends: {redis: {}}}");
    assert_eq!(told(&named.levels()[1]), (Some(1), Some("redis"), "redis", vec![]));
    let off =
        yaml("{default_backend: redis, backends: {redis: {url: u}, attic: {enabled: false}}}");
    assert!(off.backends().is_empty());
    let beside = yaml("{default_backend: memory, backends: {redis: {url: u}}}");
    assert_eq!((beside.levels().len(), beside.backends().len()), (1, 1));
    assert_eq!(beside.default_backend(), Some("memory"));
}

#[test]
fn failover_says_how_often_how_and_what_then() {
    let settings = yaml(
        "
         auto_failover:
           {fallback_strategy: queue_writes, max_retry_attempts: 3, retry_backoff: constant}
         retry: {delay: 20ms, delay_max: 1s}
         levels: [{}, {kind: disk}, {kind: redis, write_policy: through}]",
    );
    assert_eq!(settings.failover(), FailoverStrategy::QueueWrites);
    let retry = settings.retry();
    assert_eq!((retry.attempts, retry.delay_max), (3, retry.delay));
    let writes: Vec<_> = settings.levels()[1..].iter().map(|level| level.write).collect();
    assert_eq!(writes, [WriteSettings::Behind { queue_max: 10_000 }, WriteSettings::Through]);
}

#[test]
fn memory_in_the_map_is_the_first_level_whatever_is_said_of_it() {
    for nothing in ["backends: {memory: {}}", "cache_backends: {memory: {}, hybrid: {}}"] {
        let settings = yaml(&format!("{{{nothing}}}"));
        assert_eq!((settings.levels().len(), settings.backends().len()), (1, 0), "{nothing}");
    }
    let beside = yaml("{backends: {memory: {}, redis: {url: u}}}");
    assert_eq!(told(&beside.levels()[1]).1, Some("redis"));
    let off =
        yaml("{cache_config: {backends: {memory: {type: memory, enabled: no}, redis: {url: u}}}}");
    let [redis] = off.levels() else { panic!("{:?}", off.levels()) };
    assert_eq!(redis.number, Some(1));
}

#[test]
fn names_of_backends_are_the_same_in_any_case() {
    let settings = yaml(
        "
         default_backend: Sessions
         backends: {sessions: {type: Redis, URL: u}, Archive: {kind: DISK}}",
    );
    let options = vec!["url=u".to_owned()];
    assert_eq!(told(&settings.levels()[1]), (Some(1), Some("sessions"), "redis", options));
    assert_eq!(settings.default_backend(), Some("sessions"));
    assert_eq!(told(&settings.backends()[0]), (None, Some("archive"), "disk", vec![]));
    let listed = yaml("{backends: {Far: {type: redis}}, levels: [{}, {kind: FAR}]}");
    assert_eq!(told(&listed.levels()[1]), (Some(1), Some("far"), "redis", vec![]));
    let bus = yaml("{levels: [{}, {kind: REDIS, options: {url: u}}], bus: {kind: Redis}}");
    assert_eq!(bus.bus().unwrap().config().text("url").unwrap(), Some("u"));
}
