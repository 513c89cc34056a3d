//! A manager on one backend that is named.

use cache_enterprise_core::{BackendConfig, Capacity, Error, Result};
use cache_enterprise_engine::{CacheManager, Tier};
use cache_enterprise_serializers::AnySerde;

use super::built_in;

/// A manager by the name of one backend: level 1 of 64 MiB and that backend below it.
pub trait WithBackend: Sized {
    /// A manager named `cache` on the backend that is registered under `name`, with its own
    /// options, the usual codec and no compression. `memory` is level 1 alone, of `max_size`.
    /// Inside a tokio runtime. For more than this there are the builder and the settings.
    ///
    /// ```
    /// use cache_enterprise::core::BackendConfig;
    /// use cache_enterprise::prelude::*;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let mut config = BackendConfig::new("memory");
    /// config.max_size = Some(Capacity::bytes(16 * MIB));
    /// let manager = CacheManager::with_backend("memory", &config).await?;
    /// manager.set("user:1", &String::from("Ada")).ttl(hours(1)).await?;
    /// assert!(manager.get::<String>("user:1").await?.is_some());
    /// # Ok::<(), cache_enterprise::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When no feature that is on brings a backend of this name (the error lists those there
    /// are), when `config` is of another kind, when the backend refuses an option, or when it
    /// cannot be opened.
    fn with_backend(
        name: &str,
        config: &BackendConfig,
    ) -> impl Future<Output = Result<Self>> + Send;
}

impl WithBackend for CacheManager<AnySerde> {
    async fn with_backend(name: &str, config: &BackendConfig) -> Result<Self> {
        if config.kind() != name {
            let text = "the configuration is of another kind than the backend it is for";
            return Err(Error::config(text).with("backend", name).with("kind", config.kind()));
        }
        let builder = CacheManager::builder("cache").codec(AnySerde::default());
        let backends = built_in();
        let factory = backends.named(name)?;
        // Judged also where level 1 takes its place.
        let source = factory.source(config)?;
        if name == "memory" {
            let usual = Capacity::bytes(64 * cache_enterprise_core::MIB);
            return builder.l1(config.max_size.unwrap_or(usual)).build_in_memory();
        }
        builder.l2(Tier::new(source)).default_backend(name).build().await
    }
}
