//! Every key in one table: name, kind, default, aliases, meaning.
//!
//! What is read, described, suggested and documented comes from here; `KEYS.md` in this crate is
//! the table as text, and a test holds them equal.

use std::fmt::Write;

/// A key of the settings. In a path `*` stands for the number of a level, from 0, or for the
/// name of a backend or of an option.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The path, such as `timeouts.read`.
    pub path: &'static str,
    /// How its value is written.
    pub kind: Kind,
    /// The value when nobody sets one, as it would be written; empty when there is none.
    pub default: &'static str,
    /// Other ways to write a path, each with the path it stands for.
    pub aliases: &'static [(&'static str, &'static str)],
    /// A value other than the default, as it would be written.
    pub example: &'static str,
    /// What it means.
    pub doc: &'static str,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name of letters, digits, `-`, `_` and `.`.
    Name,
    /// True or false.
    Flag,
    /// A whole number from this one upward.
    Count(u32),
    /// A number from 0 to 1, or per cent.
    Share,
    /// A duration such as `"5m"`; a plain number is seconds.
    Time,
    /// A duration, or `off`.
    TimeOrOff,
    /// A duration, or `forever`.
    Life,
    /// A size such as `"1KiB"`; a plain number is bytes.
    Size,
    /// A size, or `off`.
    SizeOrOff,
    /// Bytes with a unit, or a number of entries.
    Capacity,
    /// A path of the file system.
    Path,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Text or a list of texts; for a secret `env:NAME` or `file:PATH`.
    Free,
}

impl Kind {
    /// The kind in the words of the table.
    fn words(self) -> String {
        match self {
            Self::Name => "name".into(),
            Self::Flag => "true or false".into(),
            Self::Count(least) => format!("count, from {least}"),
            Self::Share => "share, 0 to 1".into(),
            Self::Time => "duration".into(),
            Self::TimeOrOff => "duration or `off`".into(),
            Self::Life => "duration or `forever`".into(),
            Self::Size => "size".into(),
            Self::SizeOrOff => "size or `off`".into(),
            Self::Capacity => "size or entries".into(),
            Self::Path => "path".into(),
            Self::Choice(words) => {
                words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
            }
            Self::Free => "text or list".into(),
        }
    }
}

const fn key(
    path: &'static str,
    kind: Kind,
    default: &'static str,
    example: &'static str,
    doc: &'static str,
) -> Key {
    Key { path, kind, default, aliases: &[], example, doc }
}

const fn aliased(key: Key, aliases: &'static [(&'static str, &'static str)]) -> Key {
    Key { aliases, ..key }
}

/// The words of `failover.strategy`.
pub(crate) const STRATEGIES: [&str; 3] = ["graceful_degradation", "fail_fast", "queue_writes"];

/// The words of `retry.backoff`.
pub(crate) const BACKOFFS: [&str; 2] = ["exponential", "constant"];

/// The words of `levels.*.write_policy`.
pub(crate) const WRITE_POLICIES: [&str; 3] = ["through", "behind", "around"];

/// Every key that can be set, in the order in which they are described.
pub const KEYS: &[Key] = &[
    key("name", Kind::Name, "cache", "shop", "Name of the manager; the first part of stored keys"),
    key("cache_levels", Kind::Count(1), "", "1", "How many levels are meant to be on; a check"),
    key(
        "levels.*.kind",
        Kind::Name,
        "",
        "redis",
        "What the level is: `memory` (default of the first), `disk` (of the second), or the name \
         of another backend",
    ),
    aliased(
        key("levels.*.enabled", Kind::Flag, "true", "false", "Whether the level is used"),
        &[
            ("l1_enabled", "levels.0.enabled"),
            ("l2_enabled", "levels.1.enabled"),
            ("l3_enabled", "levels.2.enabled"),
        ],
    ),
    aliased(
        key(
            "levels.*.max_size",
            Kind::Capacity,
            "",
            "512MB",
            "What the level may hold. Default 64MiB in memory, 1GiB on disk; a disk is limited \
             in bytes",
        ),
        &[
            ("l1_max_size", "levels.0.max_size"),
            ("l2_max_size", "levels.1.max_size"),
            ("backends.memory.max_size", "levels.0.max_size"),
            ("cache_config.backends.memory.max_size", "levels.0.max_size"),
            ("cache_backends.memory.max_size", "levels.0.max_size"),
        ],
    ),
    aliased(
        key("levels.*.ttl", Kind::TimeOrOff, "off", "1m", "Longest life of an entry in the level"),
        &[
            ("backends.memory.ttl", "levels.0.ttl"),
            ("cache_config.backends.memory.ttl", "levels.0.ttl"),
            ("cache_backends.memory.ttl", "levels.0.ttl"),
        ],
    ),
    aliased(
        key(
            "levels.*.eviction_policy",
            Kind::Name,
            "default",
            "s3-fifo",
            "What decides which entry leaves level 1: the name of an eviction policy; `default` is `s3-fifo`",
        ),
        &[
            ("strategy", "levels.0.eviction_policy"),
            ("l1_strategy", "levels.0.eviction_policy"),
            ("l1_policy", "levels.0.eviction_policy"),
            ("backends.memory.eviction_policy", "levels.0.eviction_policy"),
            ("cache_config.backends.memory.eviction_policy", "levels.0.eviction_policy"),
            ("cache_backends.memory.eviction_policy", "levels.0.eviction_policy"),
        ],
    ),
    key(
        "levels.*.write_policy",
        Kind::Choice(&WRITE_POLICIES),
        "through",
        "around",
        "When a write reaches a level below level 1: `through` before the call returns, `behind` \
         soon after, `around` never (hits of deeper levels fill it)",
    ),
    key(
        "levels.*.write_queue_max",
        Kind::Count(1),
        "10000",
        "500",
        "Longest queue of a level that is written behind; a full queue writes through",
    ),
    key(
        "levels.*.compression",
        Kind::Name,
        "",
        "lz4",
        "Name of the compressor of a level below level 1, `adaptive`, or `none`. Default: lz4 for redis, gzip \
         for memcached unless `compression.algorithm` is written; else that",
    ),
    key(
        "levels.*.retry_attempts",
        Kind::Count(0),
        "",
        "3",
        "How often a failed call to this level is tried again. Default: `retry.attempts`",
    ),
    key("levels.*.path", Kind::Path, "var/cache", "/srv/cache", "Directory of a disk level"),
    key(
        "levels.*.options.*",
        Kind::Free,
        "",
        "20",
        "Options of another backend; secrets as `env:NAME` or `file:PATH`",
    ),
    aliased(
        key(
            "backends.*.*",
            Kind::Free,
            "",
            "20",
            "A backend by name: the keys of a level (`kind` is its name where nobody says, also \
             written `type`) and its options. A level of its name is this backend; without kinds \
             of levels the default backend is the second level; the others stand beside the \
             levels, for calls that name them. `memory` is the first level. Names of backends and \
             of options are read in any case and known to calls in lower case",
        ),
        &[
            ("redis_url", "backends.redis.url"),
            ("redis_cluster", "backends.redis.cluster"),
            ("cluster_nodes", "backends.redis.cluster_nodes"),
            ("pool_size", "backends.redis.pool_size"),
            ("connection_pool_size", "backends.redis.pool_size"),
            ("performance_config.connection_pool_size", "backends.redis.pool_size"),
            ("pipeline_size", "backends.redis.pipeline_size"),
            ("performance_config.pipeline_size", "backends.redis.pipeline_size"),
        ],
    ),
    aliased(
        key(
            "default_backend",
            Kind::Name,
            "",
            "redis",
            "Name of the backend that calls use which name none: the second level. Needed where \
             `backends` has several and no level has a kind",
        ),
        &[("cache_config.default_backend", "default_backend")],
    ),
    key(
        "bus.kind",
        Kind::Name,
        "",
        "redis",
        "Name of the bus that tells other processes what ended here. Needs a level that numbers \
         for all processes, such as one of kind redis. Default: no bus",
    ),
    key(
        "bus.options.*",
        Kind::Free,
        "",
        "redis://cache:6379",
        "Options of the bus, as those of a level of its kind; secrets as `env:NAME` or \
         `file:PATH`. Where none is written, those of the first level or backend of its kind",
    ),
    key(
        "bus.unsure_max",
        Kind::Time,
        "1s",
        "250ms",
        "How long level 1 is believed after the bus was heard last",
    ),
    key(
        "bus.push_max",
        Kind::SizeOrOff,
        "off",
        "2KiB",
        "Largest value, as tiers store it, that goes along with the notice of it, so that other \
         processes which hold the one before need not read it; at most 64KiB",
    ),
    aliased(
        key(
            "budget.max_size",
            Kind::Size,
            "",
            "1GB",
            "Bytes that the first two levels share by their ratios",
        ),
        &[("cache_backends.hybrid.max_size", "budget.max_size")],
    ),
    aliased(
        key(
            "budget.l1_ratio",
            Kind::Share,
            "",
            "0.2",
            "Share of the first level. Without `budget.max_size` the first level's own size \
             stands for its share",
        ),
        &[("cache_backends.hybrid.l1_ratio", "budget.l1_ratio")],
    ),
    aliased(
        key("budget.l2_ratio", Kind::Share, "", "0.8", "Share of the second level; both add to 1"),
        &[("cache_backends.hybrid.l2_ratio", "budget.l2_ratio")],
    ),
    aliased(
        key(
            "promote_after",
            Kind::Count(1),
            "1",
            "10",
            "Hits in a lower level after which an entry climbs",
        ),
        &[("cache_backends.hybrid.promotion_threshold", "promote_after")],
    ),
    key(
        "defaults.ttl",
        Kind::Life,
        "",
        "5m",
        "Life of entries whose cache names none; without it such a cache does not open",
    ),
    key(
        "defaults.l1_ttl",
        Kind::TimeOrOff,
        "off",
        "30s",
        "Longest life of a copy in level 1; `off` leaves it to the engine",
    ),
    key("defaults.jitter", Kind::Share, "0.05", "0.1", "Share of the life added at random"),
    key("defaults.negative_ttl", Kind::Time, "30s", "5s", "How long an absent value is remembered"),
    key(
        "defaults.stale_if_error",
        Kind::TimeOrOff,
        "off",
        "1h",
        "How long past its life a value answers when its load fails",
    ),
    key("defaults.idle", Kind::TimeOrOff, "off", "10m", "Unread for this long, an entry ends"),
    key("defaults.hard_timeout", Kind::Time, "30s", "10s", "Longest a load may take"),
    key(
        "defaults.fill_strategy",
        Kind::Name,
        "",
        "adaptive_ttl",
        "Name of the strategy that decides which values are stored and for how long: \
         `adaptive_ttl`, or one that the program registers with `Wiring::strategy`. Default: none",
    ),
    key(
        "adaptive_ttl.min_ttl",
        Kind::Time,
        "1m",
        "30s",
        "Shortest life that the strategy `adaptive_ttl` gives; new keys start with it",
    ),
    key("adaptive_ttl.max_ttl", Kind::Time, "1h", "6h", "Longest life that it gives"),
    key(
        "adaptive_ttl.adjustment_factor",
        Kind::Share,
        "0.1",
        "0.25",
        "Share by which a life grows when a reload brought the same value, and shrinks when not",
    ),
    aliased(
        key("codec", Kind::Name, "messagepack", "json", "Name of the codec below level 1"),
        &[("serialization", "codec"), ("performance_config.serialization", "codec")],
    ),
    aliased(
        key("compression.enabled", Kind::Flag, "true", "false", "Whether values are compressed"),
        &[("compression_enabled", "compression.enabled")],
    ),
    aliased(
        key(
            "compression.algorithm",
            Kind::Name,
            "zstd",
            "lz4",
            "Name of the compressor, or `adaptive`: the one that pays for each kind of data",
        ),
        &[("compression_algorithm", "compression.algorithm")],
    ),
    aliased(
        key("compression.threshold", Kind::Size, "1KiB", "4KiB", "Smaller values stay as they are"),
        &[
            ("compression_threshold", "compression.threshold"),
            ("performance_config.compression_threshold", "compression.threshold"),
        ],
    ),
    key(
        "compression.bytes_per_cpu_second",
        Kind::Size,
        "20MB",
        "100MB",
        "What a CPU second of compressing must save, where the compressor is `adaptive`",
    ),
    key(
        "compression.dictionaries",
        Kind::Flag,
        "false",
        "true",
        "Whether `adaptive` learns a dictionary for each kind of data of a cache and tenant, which \
         repeats pieces of its values; not of caches whose spec says `secret`",
    ),
    aliased(
        key("timeouts.read", Kind::Time, "250ms", "5s", "Longest a read of a tier may take"),
        &[("read_timeout", "timeouts.read"), ("performance_config.read_timeout", "timeouts.read")],
    ),
    aliased(
        key("timeouts.write", Kind::Time, "250ms", "10s", "Longest a write to a tier may take"),
        &[
            ("write_timeout", "timeouts.write"),
            ("performance_config.write_timeout", "timeouts.write"),
        ],
    ),
    aliased(
        key(
            "failover.strategy",
            Kind::Choice(&STRATEGIES),
            "graceful_degradation",
            "fail_fast",
            "What a failing level means: `graceful_degradation` asks the next level, `fail_fast` \
             is an error to calls that can fail, `queue_writes` degrades and writes behind where a \
             level does not say",
        ),
        &[
            ("fallback_strategy", "failover.strategy"),
            ("auto_failover.fallback_strategy", "failover.strategy"),
        ],
    ),
    key("breaker.enabled", Kind::Flag, "true", "false", "Whether failing tiers are left alone"),
    key(
        "breaker.failure_threshold",
        Kind::Count(1),
        "5",
        "10",
        "Failures within the window that open the circuit",
    ),
    key("breaker.window", Kind::Time, "10s", "1m", "How long a failure counts"),
    key(
        "breaker.recovery_timeout",
        Kind::Time,
        "200ms",
        "5s",
        "How long the circuit stays open the first time; it doubles",
    ),
    key(
        "breaker.recovery_timeout_max",
        Kind::Time,
        "400ms",
        "2m",
        "It grows no further than this. Where nobody says, at least `breaker.recovery_timeout`",
    ),
    key("breaker.success_threshold", Kind::Count(1), "3", "5", "Probes that close the circuit"),
    aliased(
        key("retry.attempts", Kind::Count(0), "1", "3", "How often a failed call is tried again"),
        &[
            ("retry_attempts", "retry.attempts"),
            ("max_retry_attempts", "retry.attempts"),
            ("auto_failover.max_retry_attempts", "retry.attempts"),
        ],
    ),
    key("retry.delay", Kind::Time, "5ms", "20ms", "Wait before the first further attempt"),
    key("retry.delay_max", Kind::Time, "100ms", "1s", "The wait grows no further than this"),
    key(
        "retry.within",
        Kind::Time,
        "250ms",
        "2s",
        "Time from the start of a call within which further attempts start and end",
    ),
    aliased(
        key(
            "retry.backoff",
            Kind::Choice(&BACKOFFS),
            "exponential",
            "constant",
            "How the wait grows: it doubles, or stays `retry.delay`",
        ),
        &[("retry_backoff", "retry.backoff"), ("auto_failover.retry_backoff", "retry.backoff")],
    ),
    key(
        "retry.budget",
        Kind::Count(0),
        "10",
        "50",
        "Retries and hedged reads that an outage may cost, all tiers together",
    ),
    key("hedge.enabled", Kind::Flag, "false", "true", "Whether slow reads are attempted twice"),
    key(
        "hedge.quantile",
        Kind::Share,
        "0.95",
        "0.99",
        "A read is slow when it takes longer than this share of recent ones",
    ),
    key(
        "hedge.delay_min",
        Kind::Time,
        "1ms",
        "5ms",
        "A second attempt starts no sooner. Where nobody says, at most `hedge.delay_max`",
    ),
    key(
        "hedge.delay_max",
        Kind::Time,
        "100ms",
        "50ms",
        "A second attempt starts no later. Where nobody says, at least `hedge.delay_min`",
    ),
    key("hedge.share", Kind::Share, "0.05", "0.1", "Share of reads that may be attempted twice"),
    key("bulkhead.enabled", Kind::Flag, "false", "true", "Whether calls to a tier are bounded"),
    key("bulkhead.calls_max", Kind::Count(1), "256", "64", "Calls to a tier under way"),
    key(
        "bulkhead.queue_max",
        Kind::Count(0),
        "1024",
        "100",
        "Calls to a tier that wait for a place",
    ),
    key("bulkhead.wait_max", Kind::Time, "50ms", "20ms", "Longest such a wait"),
];

/// The table as Markdown: what `KEYS.md` holds.
pub fn markdown() -> String {
    let mut text = String::from(
        "| Key | Written as | Default | Meaning | Also read as |\n|---|---|---|---|---|\n",
    );
    for key in KEYS {
        let aliases: Vec<_> = key.aliases.iter().map(|(alias, _)| format!("`{alias}`")).collect();
        let default = match key.default {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let (path, kind, doc) = (key.path, key.kind.words(), key.doc);
        // Writing to a string cannot fail.
        let _ =
            writeln!(text, "| `{path}` | {kind} | {default} | {doc} | {} |", aliases.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meaning::find;

    #[test]
    fn each_alias_stands_for_a_key_of_its_own_row_and_for_one_only() {
        let mut seen = std::collections::BTreeSet::new();
        for key in KEYS {
            for (alias, stands_for) in key.aliases {
                assert_eq!(find(stands_for).map(|found| found.path), Some(key.path), "{alias}");
                assert!(seen.insert(*alias), "{alias} stands twice");
                assert!(find(alias).is_none(), "{alias} is a key itself");
            }
        }
    }

    #[test]
    fn the_page_holds_the_table() {
        assert_eq!(
            include_str!("../KEYS.md"),
            markdown(),
            "write it anew: cargo run -p cache-enterprise-settings --example keys > KEYS.md"
        );
    }
}
