//! Other names for the same things, as thin types over the manager: for programs that write
//! their levels as data and ask for parts by what they do.

mod invalidation;
mod strategies;

pub use invalidation::{InvalidationEngine, InvalidationService};
pub use strategies::{
    AdaptiveStrategy, CacheStrategy, EnableMlOptimization, EnableStrategies, MLPredictiveStrategy,
    SmartCache,
};

use std::ops::Deref;

use cache_enterprise_core::Result;
use cache_enterprise_engine::CacheManager;
use cache_enterprise_serializers::AnySerde;
use cache_enterprise_settings::{Settings, SettingsBuilder, SettingsErrors};
use serde::Deserialize;

use crate::Wiring;

/// One level of a [`DistributedCache`], tagged by `type`. What is left out has the defaults of
/// the settings.
///
/// ```
/// use cache_enterprise::compat::LevelSpec;
///
/// let levels: Vec<LevelSpec> = serde_json::from_str(
///     r#"[{"type": "memory", "size": "100MB", "ttl": 60},
///         {"type": "redis", "cluster": ["redis1", "redis2"]},
///         {"type": "memcached", "servers": ["mc1", "mc2"]}]"#,
/// )?;
/// assert_eq!(levels.len(), 3);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum LevelSpec {
    /// Memory: level 1 when it comes first.
    Memory {
        /// What it may hold: bytes with a unit, or a number of entries.
        size: Option<Amount>,
        /// Longest life of an entry in it; a number is seconds.
        ttl: Option<Amount>,
        /// Name of the eviction policy.
        eviction_policy: Option<String>,
    },
    /// The embedded disk.
    Disk {
        /// The directory.
        path: Option<String>,
        /// Bytes it may hold, with a unit.
        size: Option<Amount>,
        /// Longest life of an entry in it; a number is seconds.
        ttl: Option<Amount>,
        /// Name of the compressor, or `none`.
        compression: Option<String>,
    },
    /// Redis: one server by its URL, or a cluster by some of its nodes (port 6379 where an
    /// address has none).
    Redis {
        /// The server.
        url: Option<String>,
        /// Nodes of the cluster.
        cluster: Option<Vec<String>>,
        /// Connections of the pool.
        pool_size: Option<u32>,
        /// Longest life of an entry in it; a number is seconds.
        ttl: Option<Amount>,
        /// Name of the compressor, or `none`.
        compression: Option<String>,
    },
    /// memcached: its servers (port 11211 where an address has none).
    Memcached {
        /// The servers.
        servers: Vec<String>,
        /// Whether the binary protocol is spoken.
        binary_protocol: Option<bool>,
        /// Longest life of an entry in it; a number is seconds.
        ttl: Option<Amount>,
        /// Name of the compressor, or `none`.
        compression: Option<String>,
    },
}

/// A number, or a text with a unit.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    /// A whole number.
    Count(u64),
    /// A number with a fraction.
    Number(f64),
    /// With a unit, such as `100MB` or `5m`.
    Text(String),
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// A cache of several levels that are written as data: a manager and nothing else, to which it
/// dereferences.
///
/// ```
/// use cache_enterprise::compat::{DistributedCache, LevelSpec};
/// use cache_enterprise::prelude::*;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let levels: Vec<LevelSpec> = serde_json::from_str(r#"[{"type": "memory", "size": "8MiB"}]"#)?;
/// let cache = DistributedCache::from_levels(levels).await?;
/// let data = vec![1_u64, 2, 3];
/// let placed = cache.set("popular_tracks", &data).ttl(mins(5)).multi_level().await?;
/// println!("it went to {:?}", placed.levels);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct DistributedCache {
    manager: CacheManager<AnySerde>,
}

impl DistributedCache {
    /// Opens the levels, top first, with the backends of the enabled features. Inside a tokio
    /// runtime when there is more than memory.
    ///
    /// # Errors
    /// Everything that is wrong at once, each as a key of the settings such as `levels.1.ttl`;
    /// else what keeps a level from opening.
    pub async fn from_levels(levels: Vec<LevelSpec>) -> Result<Self> {
        let manager = Wiring::new().manager(&settings_of(&levels)?).await?;
        Ok(Self { manager })
    }

    /// The manager, for everything else.
    pub fn manager(&self) -> &CacheManager<AnySerde> {
        &self.manager
    }
}

impl Deref for DistributedCache {
    type Target = CacheManager<AnySerde>;

    fn deref(&self) -> &Self::Target {
        &self.manager
    }
}

/// The settings that say the same.
fn settings_of(levels: &[LevelSpec]) -> std::result::Result<Settings, SettingsErrors> {
    let start = Settings::builder();
    let numbered = levels.iter().enumerate();
    numbered.fold(start, |builder, (number, level)| level.add_to(Keys { builder, number })).build()
}

impl LevelSpec {
    fn add_to(&self, keys: Keys) -> SettingsBuilder {
        match self {
            Self::Memory { size, ttl, eviction_policy } => keys
                .set("kind", Some("memory"))
                .set("max_size", size.as_ref())
                .set("ttl", ttl.as_ref())
                .set("eviction_policy", eviction_policy.as_ref()),
            Self::Disk { path, size, ttl, compression } => keys
                .set("kind", Some("disk"))
                .set("path", path.as_ref())
                .set("max_size", size.as_ref())
                .set("ttl", ttl.as_ref())
                .set("compression", compression.as_ref()),
            Self::Redis { url, cluster, pool_size, ttl, compression } => keys
                .set("kind", Some("redis"))
                .set("options.url", url.as_ref())
                .set_list("options.cluster_nodes", cluster.as_deref())
                .set("options.pool_size", *pool_size)
                .set("ttl", ttl.as_ref())
                .set("compression", compression.as_ref()),
            Self::Memcached { servers, binary_protocol, ttl, compression } => keys
                .set("kind", Some("memcached"))
                .set_list("options.servers", Some(servers))
                .set("options.binary_protocol", *binary_protocol)
                .set("ttl", ttl.as_ref())
                .set("compression", compression.as_ref()),
        }
        .builder
    }
}

/// The keys of one level.
struct Keys {
    builder: SettingsBuilder,
    number: usize,
}

impl Keys {
    fn set(self, field: &str, value: Option<impl std::fmt::Display>) -> Self {
        let Some(value) = value else { return self };
        let key = format!("levels.{}.{field}", self.number);
        Self { builder: self.builder.set(&key, value), ..self }
    }

    fn set_list(self, field: &str, items: Option<&[String]>) -> Self {
        let Some(items) = items else { return self };
        let key = format!("levels.{}.{field}", self.number);
        Self { builder: self.builder.set_list(&key, items), ..self }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn levels(json: &str) -> Vec<LevelSpec> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn levels_are_read_as_they_are_written() {
        let levels = levels(
            r#"[{"type":"memory","size":"100MB","ttl":60},
                {"type":"redis","cluster":["redis1","redis2"]},
                {"type":"memcached","servers":["mc1","mc2"]}]"#,
        );
        let settings = settings_of(&levels).unwrap();
        let row = |key: &str| settings.describe().row(key).map(|row| row.value.clone());
        assert_eq!(row("levels.0.max_size"), Some("100MB".into()));
        assert_eq!(row("levels.0.ttl"), Some("1m".into()));
        assert_eq!(row("levels.1.kind"), Some("redis".into()));
        assert_eq!(row("levels.1.options.cluster_nodes"), Some("[redis1, redis2]".into()));
        assert_eq!(row("levels.2.options.servers"), Some("[mc1, mc2]".into()));
        assert_eq!(settings.levels().len(), 3);
    }

    #[cfg(all(feature = "redis", feature = "memcached"))]
    #[test]
    fn addresses_without_a_port_get_the_usual_one() {
        let levels = levels(
            r#"[{"type":"memory"},{"type":"redis","cluster":["redis1","[::1]:7000"]},
                {"type":"memcached","servers":["mc1","mc2:11212"]}]"#,
        );
        Wiring::new().check(&settings_of(&levels).unwrap()).unwrap();
    }

    #[tokio::test]
    async fn everything_wrong_is_told_at_once() {
        let levels = levels(
            r#"[{"type":"memory","size":"lots","ttl":-1},
                {"type":"disk","size":"1GiB","ttl":"soon"}]"#,
        );
        let told = DistributedCache::from_levels(levels).await.unwrap_err().to_string();
        for key in ["levels.0.max_size", "levels.0.ttl", "levels.1.ttl"] {
            assert!(told.contains(key), "{key} is missing: {told}");
        }
        let unknown = serde_json::from_str::<LevelSpec>(r#"{"type":"memory","sise":1}"#);
        assert!(unknown.unwrap_err().to_string().contains("sise"));
    }
}
