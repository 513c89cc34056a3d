//! The scenarios, and what a library is said to have done.

mod batches;
mod joiner;
mod outage;
mod race;
mod stampede;

use std::io;
use std::time::Duration;

use cache_enterprise_testkit::Seed;
use serde::{Serialize, Serializer};

use crate::library::{Answer, Library, Refusal};
use crate::origin::end_hush;
use race::Target;
use stampede::End;

/// Longest time for one scenario and library: a caller nobody wakes would wait for ever.
const WAIT_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passes,
    Fails,
    NotOffered,
}

impl Outcome {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Passes => "passes",
            Self::Fails => "fails",
            Self::NotOffered => "not offered",
        }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What was observed, and whether that passes.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) seen: String,
}

impl Verdict {
    fn new(passes: bool, seen: String) -> Self {
        Self { outcome: if passes { Outcome::Passes } else { Outcome::Fails }, seen }
    }
}

impl From<Refusal> for Verdict {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotOffered(what) => {
                Self { outcome: Outcome::NotOffered, seen: what.to_owned() }
            }
            Refusal::Failed(error) => Self::new(false, format!("error: {error}")),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    Stampede(End),
    InvalidationRace(Target),
    LateJoiner,
    Outage,
    OverlappingBatches,
}

impl Scenario {
    /// The one that asks for tags but for nothing below memory.
    #[cfg(test)]
    pub(crate) const RACE_OF_A_TAG: Self = Self::InvalidationRace(Target::Tag);

    pub(crate) const ALL: [Self; 8] = [
        Self::Stampede(End::Well),
        Self::Stampede(End::LeaderDropped),
        Self::Stampede(End::LeaderPanics),
        Self::InvalidationRace(Target::Key),
        Self::InvalidationRace(Target::Tag),
        Self::LateJoiner,
        Self::Outage,
        Self::OverlappingBatches,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stampede(End::Well) => "stampede",
            Self::Stampede(End::LeaderDropped) => "stampede, leader dropped",
            Self::Stampede(End::LeaderPanics) => "stampede, leader panics",
            Self::InvalidationRace(Target::Key) => "invalidation race, key",
            Self::InvalidationRace(Target::Tag) => "invalidation race, tag",
            Self::LateJoiner => "late joiner",
            Self::Outage => "outage",
            Self::OverlappingBatches => "overlapping batches",
        }
    }

    /// Plays this once, on a runtime of its own: what a library leaves running ends with it.
    ///
    /// # Errors
    /// When the system gives no runtime.
    pub(crate) fn play(self, library: &dyn Library, seed: Seed) -> io::Result<Verdict> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let played = runtime.block_on(async {
            tokio::time::timeout(WAIT_MAX, self.play_with(library, seed)).await
        });
        runtime.shutdown_background();
        end_hush();
        Ok(match played {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(refusal)) => refusal.into(),
            Err(_) => Verdict::new(false, format!("callers still waited after {WAIT_MAX:?}")),
        })
    }

    async fn play_with(self, library: &dyn Library, seed: Seed) -> Answer<Verdict> {
        match self {
            Self::Stampede(end) => stampede::play(library, end).await,
            Self::InvalidationRace(target) => race::play(library, target).await,
            Self::LateJoiner => joiner::play(library).await,
            Self::Outage => outage::play(library).await,
            Self::OverlappingBatches => batches::play(library, seed).await,
        }
    }
}

/// Answers of many callers.
#[derive(Default)]
struct Tally {
    values: usize,
    errors: usize,
    panics: usize,
}

impl Tally {
    fn add(&mut self, joined: Result<Answer<u64>, tokio::task::JoinError>) {
        match joined {
            Ok(Ok(_)) => self.values += 1,
            Ok(Err(_)) => self.errors += 1,
            Err(_) => self.panics += 1,
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { values, errors, panics } = self;
        write!(f, "values: {values}, errors: {errors}, panics: {panics}")
    }
}
