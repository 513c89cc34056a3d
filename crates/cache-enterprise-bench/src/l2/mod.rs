//! Tiers behind a network: reads through ours and through other clients, from servers started
//! here, at every value size and number of callers.
//!
//! All figures of this group are advantages: above 1 ours is better. What is compared is a rate,
//! and a median wait where there is one caller; where a bar is held, CPU time too.

mod limits;
mod load;
mod memcached;
mod redis;

use std::error::Error;

use tokio::runtime::Runtime;

use crate::report::{Line, Place, Report, progress};
use crate::rounds::{Case, Round, Series, interleave, whole};
use load::{Load, Sample};

/// The peer that batching must not lose to.
pub(crate) const MULTIPLEXED: &str = "redis, one multiplexed";
const POOLED: &str = "deadpool a call";
const BLOCKING: &str = "memcache, blocking";
const OURS: &str = "cache-enterprise";

const REDIS: &str = "redis";
const MEMCACHED: &str = "memcached";
const SERVERS: [&str; 2] = [REDIS, MEMCACHED];
const SIZES: [usize; 3] = [128, 1024, 64 * 1024];
const CALLERS: [usize; 4] = [1, 16, 64, 256];

/// What a case gives in a round.
type Measured = Round<Sample>;

/// What `only` of [`run`] chooses from.
pub(crate) fn names() -> Vec<String> {
    let of = |server| SIZES.into_iter().flat_map(move |bytes| Point::named(server, bytes, ""));
    SERVERS.into_iter().flat_map(of).map(|point| point.to_string()).collect()
}

/// Measures the points whose names hold `only`.
pub(crate) fn run(report: &mut Report, rounds: usize, only: &str) -> Result<(), Box<dyn Error>> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for bytes in SIZES {
        let points = Point::named(REDIS, bytes, only);
        if points.is_empty() {
            continue;
        }
        let server = redis::Server::start(&runtime, bytes)?;
        for point in points {
            let mut cases = server.cases(&runtime, point.load);
            cases.extend(server.limits(point.load));
            point.measure(report, rounds, cases)?;
        }
    }
    for bytes in SIZES {
        let points = Point::named(MEMCACHED, bytes, only);
        if points.is_empty() {
            continue;
        }
        let server = memcached::Server::start(&runtime, bytes)?;
        for point in points {
            point.measure(report, rounds, server.cases(&runtime, point.load))?;
        }
    }
    Ok(())
}

/// One size and one number of callers on one server.
struct Point {
    server: &'static str,
    load: Load,
}

impl Point {
    /// The points of one size whose names hold `only`.
    fn named(server: &'static str, bytes: usize, only: &str) -> Vec<Self> {
        let all = CALLERS.map(|callers| Self { server, load: Load::new(bytes, callers) });
        all.into_iter().filter(|point| point.to_string().contains(only)).collect()
    }

    fn measure(
        &self,
        report: &mut Report,
        rounds: usize,
        cases: Vec<Case<Measured>>,
    ) -> Result<(), Box<dyn Error>> {
        let peers: Vec<_> = cases.iter().map(|case| case.name).collect();
        let has_bar = peers.iter().any(|peer| self.bar(peer).is_some());
        progress(&format!("l2, {self}, {rounds} rounds"));
        let all = whole(interleave(cases, rounds))?;
        let Some((ours, peers)) = all.split_first() else { return Ok(()) };
        for theirs in peers {
            self.tell(report, ours, theirs, has_bar)?;
        }
        Ok(())
    }

    fn tell(
        &self,
        report: &mut Report,
        ours: &Series<Sample>,
        theirs: &Series<Sample>,
        has_bar: bool,
    ) -> Result<(), Box<dyn Error>> {
        let is_alone = self.load.callers == 1;
        let bar = self.bar(&theirs.name);
        let bench = self.to_string();
        let place = Place { bar: None, group: "l2", bench: &bench, unit: "kops/s" };
        let rate = Place { bar: bar.filter(|_| !is_alone), ..place };
        report.line(&Line::ratio(rate, &ours.map(Sample::kops), &theirs.map(Sample::kops)))?;
        if is_alone && theirs.costs.iter().all(|sample| sample.p50.is_some()) {
            let place = Place { bar, bench: &format!("{bench}, p50"), unit: "us", ..place };
            report.line(&Line::advantage(
                place,
                &ours.map(Sample::p50),
                &theirs.map(Sample::p50),
            ))?;
        }
        if has_bar && theirs.costs.iter().all(|sample| sample.cpu.is_some()) {
            let bench = format!("{bench}, client cpu");
            let place = Place { bench: &bench, unit: "us cpu/op", ..place };
            report.line(&Line::advantage(
                place,
                &ours.map(Sample::cpu),
                &theirs.map(Sample::cpu),
            ))?;
        }
        Ok(())
    }

    /// The bar that the comparison with this peer is held against.
    fn bar(&self, peer: &str) -> Option<u8> {
        match (self.server, peer, self.load.bytes, self.load.callers) {
            (REDIS, POOLED, 128, 64) => Some(8),
            (REDIS, MULTIPLEXED, 128, 1 | 16 | 64) => Some(9),
            (MEMCACHED, BLOCKING, 128, 64) => Some(10),
            _ => None,
        }
    }
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Load { bytes, callers, .. } = self.load;
        let size =
            if bytes < 1024 { format!("{bytes} B") } else { format!("{} KiB", bytes / 1024) };
        write!(f, "{} GET {size}, concurrency {callers}", self.server)
    }
}

/// A case that connects, warms, measures and hangs up once a round.
fn case<F>(
    name: &'static str,
    runtime: &Runtime,
    run: impl Fn() -> F + Send + 'static,
) -> Case<Measured>
where
    F: Future<Output = Measured> + 'static,
{
    let handle = runtime.handle().clone();
    Case::new(name, move || handle.block_on(run()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bar_is_held_at_its_points_and_nowhere_else() {
        let mut held = Vec::new();
        for server in SERVERS {
            for bytes in SIZES {
                for callers in CALLERS {
                    let point = Point { server, load: Load::new(bytes, callers) };
                    let peers = [POOLED, MULTIPLEXED, BLOCKING, "fred"];
                    held.extend(peers.iter().filter_map(|peer| {
                        point.bar(peer).map(|bar| format!("{bar} {peer} {point}"))
                    }));
                }
            }
        }
        assert_eq!(
            held,
            [
                "9 redis, one multiplexed redis GET 128 B, concurrency 1",
                "9 redis, one multiplexed redis GET 128 B, concurrency 16",
                "8 deadpool a call redis GET 128 B, concurrency 64",
                "9 redis, one multiplexed redis GET 128 B, concurrency 64",
                "10 memcache, blocking memcached GET 128 B, concurrency 64",
            ]
        );
    }
}
