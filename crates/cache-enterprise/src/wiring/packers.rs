//! Which compressor packs for which level.

use std::sync::Arc;

use cache_enterprise_core::{Compressor, Result};
use cache_enterprise_engine::Tier;
use cache_enterprise_serializers::CompressionAlgorithm;
use cache_enterprise_settings::{LevelSettings, Origin, Problem, Settings};

const KEY: &str = "compression.algorithm";

/// What each kind of backend gets where nobody chose; other kinds get the manager's.
const BY_KIND: [(&str, CompressionAlgorithm); 2] =
    [("redis", CompressionAlgorithm::Lz4), ("memcached", CompressionAlgorithm::Gzip)];

/// The compressors of one manager. Levels with one algorithm share one compressor, and its work.
#[derive(Debug)]
pub(super) struct Packers {
    /// That of levels that have none of their own.
    pub(super) managers: Option<Arc<dyn Compressor>>,
    threshold: usize,
    made: Vec<(CompressionAlgorithm, Arc<dyn Compressor>)>,
}

/// What a level does to values.
pub(super) enum Packing {
    Inherited,
    Off,
    Own(Arc<dyn Compressor>),
}

impl Packing {
    pub(super) fn apply(self, tier: Tier) -> Tier {
        match self {
            Self::Inherited => tier,
            Self::Off => tier.without_compression(),
            Self::Own(compressor) => tier.compression(compressor),
        }
    }
}

impl Packers {
    /// The manager's own compressor. One that nobody chose and that is not built in is left out;
    /// the description of the manager says so.
    pub(super) fn of(settings: &Settings, problems: &mut Vec<Problem>) -> Self {
        let threshold = usize::try_from(settings.compression_threshold()).unwrap_or(usize::MAX);
        let mut packers = Self { managers: None, threshold, made: Vec::new() };
        let Some(wanted) = settings.compression() else { return packers };
        let named = wanted.algorithm.parse::<CompressionAlgorithm>();
        match named.and_then(|algorithm| packers.make(algorithm)) {
            Ok(compressor) => packers.managers = compressor,
            Err(_) if settings.origin(KEY) == Origin::Default => {}
            Err(error) => {
                let fix = "write one that is built in, or `none`";
                problems.push(settings.problem(KEY, error.to_string(), fix));
            }
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
            return self.named(name).unwrap_or_else(|error| {
                let fix = "write one that is built in, or `none`";
                problems.push(settings.problem(&level.key("compression"), error.to_string(), fix));
                Packing::Inherited
            });
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

    fn named(&mut self, name: &str) -> Result<Packing> {
        let compressor = self.make(name.parse()?)?;
        Ok(compressor.map_or(Packing::Off, Packing::Own))
    }

    fn make(&mut self, algorithm: CompressionAlgorithm) -> Result<Option<Arc<dyn Compressor>>> {
        if let Some((_, made)) = self.made.iter().find(|(known, _)| *known == algorithm) {
            return Ok(Some(Arc::clone(made)));
        }
        let made = algorithm.compressor(self.threshold)?;
        self.made.extend(made.iter().map(|made| (algorithm, Arc::clone(made))));
        Ok(made)
    }
}

/// Every compressor that is built in: what an earlier choice wrote stays readable.
pub(super) fn readers() -> Vec<Arc<dyn Compressor>> {
    // A reader's threshold is never asked.
    let built_in = CompressionAlgorithm::ALL.iter().map(|algorithm| algorithm.compressor(0));
    built_in.flatten().flatten().collect()
}
