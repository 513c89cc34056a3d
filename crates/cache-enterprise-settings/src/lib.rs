//! Settings of cache-enterprise: files, environment and code in one typed tree.
//!
//! ```
//! use cache_enterprise_settings::Settings;
//!
//! let settings = Settings::builder()
//!     .env_from("CE_", [("CE_L1_MAX_SIZE".into(), "10000".into())])
//!     .set("levels.1.path", "var/shop")
//!     .build()?;
//! assert_eq!(settings.levels().len(), 2);
//! println!("{}", settings.describe());
//! # Ok::<(), cache_enterprise_settings::SettingsErrors>(())
//! ```
//!
//! * Order: defaults, then files (TOML, YAML, JSON), then environment variables, then code; the
//!   later wins, key by key. [`Settings::load`] is that for an ordinary process.
//! * Durations and sizes are read as people write them: `"5m"`, `"1h 30m"`, `"512MB"` (10^6),
//!   `"1GiB"` (2^30). A plain number is seconds, or entries, or bytes where [`keys`] says so.
//! * Everything that is wrong comes back at once ([`SettingsErrors`]), with file, line and column
//!   where the format tells them, and with what to write instead. An unknown key is an error.
//! * Other spellings of a key are aliases of the same tree. Two spellings in one source that say
//!   different things are an error that names both.
//! * Secrets are references ([`SecretRef`]): `env:NAME` or `file:PATH`. A secret written in clear
//!   is refused without being shown, and none passes through figment, problems or
//!   [`Settings::describe`].
//!
//! What is not here: building a manager from the settings. This crate knows no engine and no
//! backend; names of codecs, compressors, policies and backends are checked by `Wiring` of the
//! crate `cache-enterprise`, which has the registries. Reloading while running is not offered yet.

mod backends;
mod budget;
mod builder;
mod bus;
mod describe;
mod environment;
mod format;
pub mod keys;
mod layer;
mod level;
mod meaning;
mod origin;
mod pairs;
mod problem;
mod quantity;
mod resolve;
mod secret;
mod settings;
mod tree;
mod value;

pub use builder::SettingsBuilder;
pub use bus::BusSettings;
pub use describe::{Description, Row};
pub use format::Format;
pub use level::{LevelKind, LevelSettings, WriteSettings};
pub use origin::Origin;
pub use problem::{Problem, SettingsErrors};
pub use secret::{Secret, SecretRef};
pub use settings::{
    AdaptiveTtlSettings, BreakerSettings, BulkheadSettings, CompressionSettings, EntryDefaults,
    FailoverStrategy, HedgeSettings, Life, RetrySettings, Settings, TimeoutSettings,
};
pub use value::OptionValue;
