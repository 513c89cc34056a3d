//! What goes wrong.

use cache_enterprise_core::Millis;

use super::network::Weather;
use crate::coherence::{Disturbance, Link};

/// One fault. Those with a duration end by themselves.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// A tier's server, or its way to everybody; a private tier of process 0 where it is private.
    Tier {
        /// Place of the tier, from the top.
        tier: usize,
        /// What befalls its calls.
        weather: Weather,
        /// How long.
        for_ms: Millis,
    },
    /// A tier keeps some values and others not.
    Refusal {
        /// Place of the tier, from the top.
        tier: usize,
        /// How many of a thousand it refuses.
        of_1000: u64,
        /// How long.
        for_ms: Millis,
    },
    /// The epoch store.
    Epochs {
        /// What befalls its calls.
        weather: Weather,
        /// How long.
        for_ms: Millis,
    },
    /// A process's way to everything.
    Process {
        /// Whose.
        process: usize,
        /// What befalls its calls.
        weather: Weather,
        /// How long.
        for_ms: Millis,
    },
    /// Somebody deletes the record of epochs.
    LostEpochs,
    /// The counter of the epoch store is set back to its server's time, as where a replica that was
    /// behind takes over.
    SetBack,
    /// The server with the deepest shared tier, the epochs and the log of the bus restarts empty.
    Restart,
    /// A process's wall clock jumps.
    ClockJump {
        /// Whose.
        process: usize,
        /// How far; negative goes back.
        by_ms: i64,
    },
    /// A process stands still.
    Pause {
        /// Which.
        process: usize,
        /// How long.
        for_ms: Millis,
    },
    /// A process dies, and is started again.
    Kill {
        /// Which.
        process: usize,
        /// How long it is away.
        away_ms: Millis,
    },
    /// Frames on the bus.
    Bus {
        /// What happens to them.
        disturbance: Disturbance,
        /// How long.
        for_ms: Millis,
    },
    /// A process's connection to the bus.
    Ear {
        /// Whose.
        process: usize,
        /// How it is connected.
        link: Link,
        /// How long.
        for_ms: Millis,
    },
    /// The log of the bus loses its older frames.
    Trim {
        /// How many are kept.
        frames: usize,
    },
}
