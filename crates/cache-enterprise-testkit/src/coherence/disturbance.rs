//! What can go wrong on a bus.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

/// How one process is connected to the bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// It publishes and hears.
    #[default]
    Whole,
    /// It hears nothing, and what it publishes is heard.
    Deaf,
    /// What it publishes fails, and it hears.
    Mute,
    /// It hears nothing, and what it publishes fails.
    Cut,
    /// It hears nothing, and what it publishes hangs until the link changes.
    Hung,
}

impl Link {
    pub(crate) fn hears(self) -> bool {
        matches!(self, Self::Whole | Self::Mute)
    }
}

/// What happens to frames on their way to a listener. A log behind an
/// [`InProcessBus`](super::InProcessBus) gives again what was lost, so that a listener hears it
/// late and never not at all; a [`ChaosBus`](crate::chaos::ChaosBus) says that something was lost.
///
/// ```
/// use cache_enterprise_core::ms;
/// use cache_enterprise_testkit::coherence::{Disturbance, InProcessBus};
/// use cache_enterprise_testkit::Seed;
///
/// let bus = InProcessBus::seeded(Seed(7));
/// bus.disturb(Disturbance { lost: 0.3, delay_max: ms(20), ..Disturbance::default() });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Disturbance {
    /// Share of pushed frames that do not arrive, from 0 to 1, drawn for each listener.
    pub lost: f64,
    /// Share of pushed frames that arrive twice.
    pub doubled: f64,
    /// Longest time on the way, by tokio's clock. Every push and every answer of the log draws its
    /// own, so that they overtake each other.
    pub delay_max: Duration,
    /// Share of calls to `publish` that answer with an error although the frame is heard.
    pub unanswered: f64,
}

impl Disturbance {
    /// How many copies of a frame arrive at one listener.
    pub(crate) fn copies(&self, rng: &mut StdRng) -> u8 {
        if hits(rng, self.lost) { 0 } else { 1 + u8::from(hits(rng, self.doubled)) }
    }

    /// How long one copy is on its way.
    pub(crate) fn delay(&self, rng: &mut StdRng) -> Duration {
        let most = self.delay_max;
        if most.is_zero() { most } else { rng.random_range(Duration::ZERO..=most) }
    }

    /// Whether a call to `publish` answers with an error although the frame is heard.
    pub(crate) fn is_unanswered(&self, rng: &mut StdRng) -> bool {
        hits(rng, self.unanswered)
    }
}

fn hits(rng: &mut StdRng, share: f64) -> bool {
    share > 0.0 && rng.random_bool(share.min(1.0))
}
