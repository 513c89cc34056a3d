//! Which compressor packs for which level.

use std::sync::Arc;

use cache_enterprise_core::{Compressor, Result};
use cache_enterprise_engine::{AdaptiveCompression, DictionaryLimits, Packer, Tier};
use cache_enterprise_serializers::{CompressionAlgorithm, compression_arms, dictionary_arm};
use cache_enterprise_settings::{LevelSettings, Origin, Problem, Settings};
use cache_enterprise_strategies::compression::CompressionLimits;

const KEY: &str = "compression.algorithm";
const DICTIONARIES: &str = "compression.dictionaries";

/// The name of the choice for each kind of data, beside those of compressors.
const ADAPTIVE: &str = "adaptive";

/// What to do about a name that is none.
const FIX: &str = "write one that is built in, `adaptive`, or `none`";

/// What each kind of backend gets where nobody chose; other kinds get the manager's.
const BY_KIND: [(&str, CompressionAlgorithm); 2] =
    [("redis", CompressionAlgorithm::Lz4), ("memcached", CompressionAlgorithm::Gzip)];

/// The compressors of one manager. Levels with one algorithm share one compressor, and its work.
#[derive(Debug)]
pub(super) struct Packers {
    /// That of levels that have none of their own.
    pub(super) managers: Option<Packer>,
    limits: CompressionLimits,
    has_dictionaries: bool,
    /// By name.
    made: Vec<(&'static str, Packer)>,
}

/// What a level does to values.
pub(super) enum Packing {
    Inherited,
    Off,
    Own(Packer),
}

impl Packing {
    pub(super) fn apply(self, tier: Tier) -> Tier {
        match self {
            Self::Inherited => tier,
            Self::Off => tier.without_compression(),
            Self::Own(packer) => tier.compression(packer),
        }
    }
}

impl Packers {
    /// The manager's own compressor. One that nobody chose and that is not built in is left out;
    /// the description of the manager says so.
    pub(super) fn of(settings: &Settings, problems: &mut Vec<Problem>) -> Self {
        let limits = CompressionLimits {
            bytes_min: usize::try_from(settings.compression_threshold()).unwrap_or(usize::MAX),
            bytes_per_cpu_second: settings.compression_bytes_per_cpu_second() as f64,
            ..CompressionLimits::default()
        };
        let has_dictionaries = settings.has_compression_dictionaries();
        if has_dictionaries && dictionary_arm().is_none() {
            let what = "dictionaries are trained by Zstandard, which is not built in";
            problems.push(settings.problem(DICTIONARIES, what, "enable the feature `zstd`"));
        }
        let mut packers = Self { managers: None, limits, has_dictionaries, made: Vec::new() };
        let Some(wanted) = settings.compression() else { return packers };
        match packers.named(&wanted.algorithm) {
            Ok(packer) => packers.managers = packer,
            Err(_) if settings.origin(KEY) == Origin::Default => {}
            Err(error) => problems.push(settings.problem(KEY, error.to_string(), FIX)),
        }
        packers
    }

    /// The compressor of a level: what it says, else what somebody chose for all, else what suits
    /// its kind.
    pub(super) fn pack(
        &mut self,
        settings: &Settings,
        level: &LevelSettings,
        problems: &mut Vec<Problem>,
    ) -> Packing {
        if let Some(name) = &level.compression {
            return match self.named(name) {
                Ok(packer) => packer.map_or(Packing::Off, Packing::Own),
                Err(error) => {
                    let key = level.key("compression");
                    problems.push(settings.problem(&key, error.to_string(), FIX));
                    Packing::Inherited
                }
            };
        }
        if settings.compression().is_none() || settings.origin(KEY) != Origin::Default {
            return Packing::Inherited;
        }
        let config = level.backend();
        let usual = BY_KIND.iter().find(|(kind, _)| *kind == config.kind());
        // What is not built in was chosen by nobody, and is left out.
        let made = usual.and_then(|(_, algorithm)| self.make(*algorithm).ok().flatten());
        made.map_or(Packing::Inherited, Packing::Own)
    }

    /// What has this name; nothing for `none`.
    fn named(&mut self, name: &str) -> Result<Option<Packer>> {
        if name != ADAPTIVE {
            return self.make(name.parse()?);
        }
        let limits = self.limits;
        let trained = dictionary_arm().filter(|_| self.has_dictionaries);
        self.once(ADAPTIVE, || {
            let adaptive = AdaptiveCompression::new(compression_arms(), limits)?;
            let adaptive = match trained {
                Some(arm) => adaptive.dictionaries(arm, DictionaryLimits::default())?,
                None => adaptive,
            };
            Ok(Some(Packer::from(adaptive)))
        })
    }

    fn make(&mut self, algorithm: CompressionAlgorithm) -> Result<Option<Packer>> {
        let threshold = self.limits.bytes_min;
        self.once(algorithm.name(), || Ok(algorithm.compressor(threshold)?.map(Packer::from)))
    }

    fn once(
        &mut self,
        name: &'static str,
        make: impl FnOnce() -> Result<Option<Packer>>,
    ) -> Result<Option<Packer>> {
        if let Some((_, made)) = self.made.iter().find(|(known, _)| *known == name) {
            return Ok(Some(made.clone()));
        }
        let made = make()?;
        self.made.extend(made.iter().map(|made| (name, made.clone())));
        Ok(made)
    }
}

/// Every compressor that is built in: what an earlier choice wrote stays readable.
pub(super) fn readers() -> Vec<Arc<dyn Compressor>> {
    // A reader's threshold is never asked.
    let built_in = CompressionAlgorithm::ALL.iter().map(|algorithm| algorithm.compressor(0));
    built_in.flatten().flatten().collect()
}
