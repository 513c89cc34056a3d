//! What coherence costs.
//!
//! ```text
//! within     in one process             bars 15 to 17
//! heard      processes on one Redis     bar 19
//! cut        one of them is cut off     bar 20
//! removals   a million of keys          bar 21
//! batches    processes that load        bars 22 and 23
//! metadata   by the binary `counted`    bar 18
//! ```
//!
//! Other processes are this program again, as a `member` that does what its input says. `fleet` is
//! the side that tells them.

mod batches;
mod between;
mod fleet;
mod lossy;
mod member;
mod within;

use std::error::Error;

use rustix::time::{ClockId, clock_gettime};

pub(crate) use member::{MEMBER, obey};

use crate::counting;
use crate::report::{Line, Place, Report};
use crate::rounds::Series;

const GROUP: &str = "coherence";

type Part = fn(&mut Report, usize) -> Result<(), Box<dyn Error>>;

const PARTS: [(&str, Part); 6] = [
    ("within", within::run),
    ("heard", |report, _| between::heard(report)),
    ("cut", |report, _| between::cut(report)),
    ("removals", |report, _| between::removals(report)),
    ("batches", batches::run),
    ("metadata", |report, _| counting::run(report, GROUP)),
];

/// What `only` of [`run`] chooses from.
pub(crate) fn names() -> Vec<String> {
    PARTS.map(|(name, _)| name.to_owned()).to_vec()
}

/// Measures the parts whose names hold `only`.
pub(crate) fn run(report: &mut Report, rounds: usize, only: &str) -> Result<(), Box<dyn Error>> {
    for (name, measure) in PARTS {
        if name.contains(only) {
            measure(report, rounds)?;
        }
    }
    Ok(())
}

/// The first series is held against the second.
fn print(
    report: &mut Report,
    bar: Option<u8>,
    bench: &str,
    unit: &str,
    series: &[Series],
) -> Result<(), Box<dyn Error>> {
    let [with, without] = series else { return Err("two cases are compared".into()) };
    let place = Place { bar, group: GROUP, bench, unit };
    Ok(report.line(&Line::ratio(place, with, without))?)
}

/// A figure of each round; the largest is held against the bar.
fn print_most(
    report: &mut Report,
    bar: Option<u8>,
    bench: &str,
    unit: &str,
    figures: Vec<f64>,
) -> Result<(), Box<dyn Error>> {
    let place = Place { bar, group: GROUP, bench, unit };
    Ok(report.line(&Line::count(place, figures))?)
}

/// Nanoseconds since the machine started: a clock that all its processes share.
fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
