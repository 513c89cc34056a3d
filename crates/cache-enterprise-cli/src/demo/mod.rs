//! `cachectl demo`: a cache under load, over a disk in a directory that is removed, or over servers
//! that are named.
//!
//! ```text
//! requests   what is asked: the catalogue, or a recorded file (recording: as one that can be read again)
//! levels     what lies below memory: a disk, or Redis and memcached
//! world      the cache over these levels, and the origin
//! load       the callers; their answers are checked and timed (item, latency)
//! stampede   one cold key, ten thousand callers
//! outage     a level fails, then hangs, while the load goes on (spoiler: by what means)
//! restart    the same levels again, warm
//! report     what a person or a program reads
//! signals    what ends a demo before its time
//! ```

mod item;
mod latency;
mod levels;
mod load;
mod origin;
mod outage;
mod progress;
mod recording;
mod report;
mod requests;
mod restart;
mod signals;
mod spoiler;
mod stampede;
mod world;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::args::DemoArgs;
use crate::failure::Failure;
use crate::say;
use levels::Levels;
use recording::Recording;
use report::Report;
use requests::Plan;
use signals::Signals;
use world::World;

/// Name of level 1 in the report.
const LEVEL_1: &str = "L1 memory";

/// Runs the demo. The temporary directory goes whatever happens, a signal included.
pub(crate) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::broken(format!("cannot start a runtime: {error}")))?;
    let signals = runtime.block_on(async { Signals::listen() });
    let mut signals =
        signals.map_err(|error| Failure::broken(format!("cannot listen for signals: {error}")))?;
    let directory = tempfile::Builder::new()
        .prefix("cachectl-demo-")
        .tempdir()
        .map_err(|error| Failure::broken(format!("cannot make a temporary directory: {error}")))?;
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = play(args, directory.path()) => ended,
            signal = signals.next() => Err(signal),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    conclude(ended, directory.close(), |report| {
        say(report.text(args).as_bytes())?;
        if args.json {
            say(format!("{}\n", report.json()).as_bytes())?;
        }
        report.verdict()
    })
}

/// Tells what came of a demo. A directory that stays is worth a warning after the report, which
/// it says nothing about.
fn conclude<R>(
    ended: Result<R, Failure>,
    removed: io::Result<()>,
    tell: impl FnOnce(R) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let told = ended.and_then(tell);
    if let Err(error) = removed {
        // Nobody is left to warn when stderr is closed.
        let _ = writeln!(
            io::stderr(),
            "cachectl: warning: cannot remove the temporary directory: {error}"
        );
    }
    told
}

/// Reads a recorded file once before anything runs, so that damage shows at once.
///
/// A thread of its own does that, and nobody waits for it after a signal: it may be waiting for
/// whoever writes into a pipe.
async fn plan(args: &DemoArgs, folder: &Path) -> Result<Plan, Failure> {
    let seed = args.seed;
    let Some(path) = args.trace.clone() else {
        return Plan::catalogue(seed).map_err(|error| Failure::input(error.to_string()));
    };
    let copy = recording::Copy::of(&path, folder)?;
    let (done, read) = oneshot::channel();
    std::thread::spawn(move || done.send(Recording::read(&path, copy)));
    let recording = read.await.map_err(|_| Failure::broken("the reader of the file ended"))??;
    Plan::recorded(seed, recording).map_err(|error| Failure::input(error.to_string()))
}

async fn play(args: &DemoArgs, folder: &Path) -> Result<Report, Failure> {
    let plan = plan(args, folder).await?;
    let origin_latency = Duration::from_millis(args.origin_ms());
    let levels = Arc::new(Levels::reach(args, folder.join("cache")).await?);
    let world = World::open(args, plan, origin_latency, &levels).await?;
    let recorded = world.plan.recorded.as_ref().map(|recording| recording.report.clone());
    let stampede = stampede::run(&world).await?;
    let (load, outage) = load::run(&world, args).await?;
    let restart = restart::run(world, args, load.recent.clone()).await?;
    Ok(Report { levels, recorded, load, stampede, outage, restart })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_directory_that_stays_withholds_neither_report_nor_verdict() {
        let stays = || Err(io::Error::other("somebody is in it"));
        let told = Cell::new(0);
        let tell = |verdict: Result<(), Failure>| {
            told.set(told.get() + 1);
            verdict
        };
        assert!(conclude(Ok(Ok(())), stays(), tell).is_ok());
        let wrong = conclude(Ok(Err(Failure::broken("2 answers were wrong"))), stays(), tell);
        assert_eq!(
            wrong.map_err(|failure| failure.to_string()),
            Err("2 answers were wrong".into())
        );
        assert_eq!(told.get(), 2);
        let ended = conclude(Err(Failure::ended("interrupted", 2)), stays(), tell);
        assert_eq!(ended.map_err(|failure| failure.to_string()), Err("interrupted".into()));
    }
}
