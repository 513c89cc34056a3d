//! A world in which a cache of several processes is tried: a seed decides everything, and a
//! reference model judges every read.
//!
//! ```text
//! plan      what a seed decides: processes, tiers, calls, faults        fault, request
//! world     clocks, servers, bus; who is alive                          network, remote
//! run       plays a plan, ends the faults, sees whether all agree       story
//! history   what was called and answered, and when
//! judge     which values a read may give
//! ```
//!
//! Time is tokio's paused time on one thread; each process has a clock of its own that follows it,
//! with a wall time that may be wrong. A process that stands still hears no answer and its clock
//! stands; one that dies leaves what it sent on the wire.
//!
//! [`Recorder`] and [`Judge`] need nothing of the rest: a test on real servers records its calls
//! and has them judged in the same way.
//!
//! To try a cache of your own, implement [`Process`] and [`Subject`] for it and call [`play`] with
//! the plans of many seeds, each on a fresh runtime with paused time.

mod fault;
mod history;
mod judge;
mod network;
mod plan;
mod remote;
mod request;
mod run;
mod story;
mod world;

pub use fault::Fault;
pub use history::{
    Acknowledged, Action, History, Load, Maker, Moment, Ongoing, Outcome, Place, ProcessId, Record,
    Recorder, Seen, Stamp, Strength,
};
pub use judge::{Judge, Violation};
pub use network::{Line, Network, Numbering, ServiceId, Weather};
pub use plan::{Plan, Shape, Step, TierShape, What, tag_of};
pub use remote::{RemoteEpochs, RemoteTier, TierServer};
pub use request::{
    Answer, Form, LoadPlan, Loader, OriginFailed, Parts, Process, Request, Subject, TierParts,
};
pub use run::{Report, play};
pub use story::Story;
