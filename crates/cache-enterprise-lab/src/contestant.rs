//! Who takes part: policies by name, perfect foresight, and what serves by default.

use std::sync::Arc;

use cache_enterprise_core::{Capacity, PolicyFactory};
use cache_enterprise_memory::{DEFAULT_STRATEGY, Level1Store, QUICK, StoreConfig};
use cache_enterprise_strategies::eviction;
use cache_enterprise_workload::simulate::{Replay, Run, Simulator, Unit, opt, through_store};

use crate::Outcome;

/// Threads that share a store.
const THREADS: usize = 2;

/// [`DEFAULT_STRATEGY`], on a line of its own.
const DEFAULT: &str = "default";

/// Perfect foresight, which no store can have.
const OPT: &str = "opt";

/// One line of the results.
#[derive(Clone, Debug)]
pub(crate) struct Contestant {
    /// As the policy calls itself, however it was asked for; bars and drawings know it by that.
    pub(crate) name: String,
    means: Means,
}

#[derive(Clone, Debug)]
enum Means {
    /// Perfect foresight.
    Opt,
    /// The store on quick_cache, which has a policy of its own.
    Quick,
    /// A policy.
    Policy(Arc<dyn PolicyFactory>),
}

impl Contestant {
    /// Everybody: perfect foresight, every policy, `quick` and `default`.
    pub(crate) fn all() -> Outcome<Vec<Self>> {
        let mut names = vec![OPT.to_owned()];
        names.extend(eviction::all().iter().map(|policy| policy.name().to_owned()));
        names.extend([QUICK.to_owned(), DEFAULT.to_owned()]);
        Self::named(&names)
    }

    /// Those with these names, each once: other spellings of a name are the same contestant.
    ///
    /// # Errors
    /// A sentence that lists the known names when one is unknown.
    pub(crate) fn named(names: &[String]) -> Outcome<Vec<Self>> {
        let mut contestants: Vec<Self> = Vec::new();
        for name in names {
            let contestant = Self::of(name)?;
            if contestants.iter().all(|other| other.name != contestant.name) {
                contestants.push(contestant);
            }
        }
        Ok(contestants)
    }

    fn of(name: &str) -> Outcome<Self> {
        let contestant = |name: &str, means| Self { name: name.to_owned(), means };
        match name.trim().to_ascii_lowercase().as_str() {
            OPT => Ok(contestant(OPT, Means::Opt)),
            QUICK => Ok(contestant(QUICK, Means::Quick)),
            DEFAULT => Ok(Self { name: DEFAULT.to_owned(), ..Self::of(DEFAULT_STRATEGY)? }),
            _ => {
                let policy = eviction::resolve(name).map_err(|error| {
                    format!("`{name}`: {error}; besides there are {OPT}, {QUICK} and {DEFAULT}")
                })?;
                Ok(contestant(policy.name(), Means::Policy(Arc::clone(&policy))))
            }
        }
    }

    /// Replays the requests through a cache of `capacity` objects: a bare policy, or the store that
    /// serves.
    ///
    /// # Errors
    /// When the policy breaks its contract.
    pub(crate) fn run(&self, replay: &Replay, capacity: usize, is_store: bool) -> Outcome<Run> {
        let capacity = capacity as u64;
        let store = |strategy, threads| {
            let config = StoreConfig::new(Capacity::entries(capacity));
            let store = Level1Store::<u64, ()>::new(config, strategy);
            through_store(&store, replay, Unit::Objects, threads)
        };
        match &self.means {
            Means::Opt => Ok(opt(replay, capacity as usize)),
            Means::Quick => Ok(store(None, if is_store { THREADS } else { 1 })),
            Means::Policy(policy) if is_store => Ok(store(Some(policy.as_ref()), THREADS)),
            Means::Policy(policy) => Simulator::new(policy.as_ref(), Capacity::entries(capacity))
                .run(replay)
                .map_err(|fault| format!("{} on {}: {fault}", self.name, replay.name()).into()),
        }
    }
}
