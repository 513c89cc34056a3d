//! Between processes on one Redis: how soon the others know, what it takes to tell them, and how
//! soon one that was cut off agrees.

use std::error::Error;
use std::time::{Duration, Instant};

use cache_enterprise_core::secs;
use cache_enterprise_testkit::proxy::{Fault, TcpProxy};
use cache_enterprise_testkit::servers::RedisServer;

use super::fleet::Member;
use super::lossy::LossyProxy;
use super::member::PUSHING;
use super::{now_ns, print_most};
use crate::report::{Report, progress};

/// Replacements whose way to the other process is timed.
const SETS: u64 = 5_000;

/// Keys that change while a process is cut off, and how often it is.
const KEYS: u64 = 1_000;
const CUTS: u64 = 5;
const CUT: Duration = secs(5);

const REMOVALS: u64 = 1_000_000;
const BATCH: u64 = 1_000;

pub(super) fn cut(report: &mut Report) -> Result<(), Box<dyn Error>> {
    after_a_cut(report, "swallowed", Fault::BlackHole)?;
    after_a_cut(report, "held up", Fault::Stall)
}

pub(super) fn removals(report: &mut Report) -> Result<(), Box<dyn Error>> {
    remove(report, 1)?;
    remove(report, 8)
}

/// A key is told of once in 5 ms: what is replaced again and again waits for that.
pub(super) fn heard(report: &mut Report) -> Result<(), Box<dyn Error>> {
    known_elsewhere(report, "many keys", 100, Then::LetsGo)?;
    known_elsewhere(report, "one key again and again", 1, Then::LetsGo)?;
    known_elsewhere(report, "many keys, pushed", 100, Then::HasTheNew)?;
    known_elsewhere(report, "one key again and again, pushed", 1, Then::HasTheNew)
}

/// What level 1 of another process does when it hears of a replacement.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    LetsGo,
    /// It has the new value without a read, because that was pushed.
    HasTheNew,
}

/// From the call of `set` in one process until level 1 of another has let go of the old value.
fn known_elsewhere(
    report: &mut Report,
    name: &str,
    keys: u64,
    then: Then,
) -> Result<(), Box<dyn Error>> {
    progress(&format!("SET until another process has let go of the old value, {name}"));
    let server = RedisServer::start();
    let (verb, servers) = match then {
        Then::LetsGo => ("let_go", vec![server.url()]),
        Then::HasTheNew => ("take_up", vec![PUSHING.to_owned(), server.url()]),
    };
    let (mut one, mut other) = (Member::start(&servers)?, Member::start(&servers)?);
    one.ask(&format!("set 0 {keys} 0"))?;
    let mut waits = Vec::new();
    for turn in 0..SETS {
        let (key, old) = (turn % keys, turn / keys);
        let end = key + 1;
        other.ask(&format!("read {key} {end} {old}"))?;
        other.begin(&format!("{verb} {key} {old}"))?;
        one.begin(&format!("set {key} {end} {}", old + 1))?;
        let (begun, gone) = (one.number()?, other.number()?);
        waits.push(gone.saturating_sub(begun) as f64 / 1e6);
    }
    waits.sort_by(f64::total_cmp);
    for (share, of, bar) in [(0.5, "p50", None), (0.99, "p99", Some(19))] {
        let bench = format!("SET until another process lets go of the old value, {name}, {of}");
        let at = (waits.len() as f64 * share) as usize;
        print_most(report, bar, &bench, "ms", vec![waits[at]])?;
    }
    Ok(())
}

/// From the end of a cut, on a bus that loses a third of its pushes, until every key that changed
/// meanwhile is read as it is.
fn after_a_cut(report: &mut Report, name: &str, fault: Fault) -> Result<(), Box<dyn Error>> {
    progress(&format!("after cuts of five seconds, all bytes {name}"));
    let server = RedisServer::start();
    let lossy = LossyProxy::to(server.address())?;
    let cut = TcpProxy::to(lossy.address());
    let mut one = Member::start(&[server.url()])?;
    let mut other = Member::start(&[server.url_at(&cut.address())])?;
    let mut waits = Vec::new();
    for round in 0..CUTS {
        one.ask(&format!("set 0 {KEYS} {round}"))?;
        other.ask(&format!("agree 0 {KEYS} {round}"))?;
        cut.set(fault);
        let begun = Instant::now();
        one.ask(&format!("set 0 {KEYS} {}", round + 1))?;
        other.begin(&format!("agree 0 {KEYS} {}", round + 1))?;
        std::thread::sleep(CUT.saturating_sub(begun.elapsed()));
        let healed = now_ns();
        cut.heal();
        waits.push(other.number()?.saturating_sub(healed) as f64 / 1e6);
    }
    // The label says what share was lost.
    lossy.check_loss()?;
    let bench = format!("return after a cut of 5 s ({name}), 30 % loss, until all is read new");
    print_most(report, Some(20), &bench, "ms", waits)
}

/// A million keys removed in batches, as fast as it goes.
fn remove(report: &mut Report, callers: u64) -> Result<(), Box<dyn Error>> {
    progress(&format!("a million removals in batches of a thousand, {callers} callers"));
    let server = RedisServer::start();
    let (mut one, mut other) = (Member::start(&[server.url()])?, Member::start(&[server.url()])?);
    one.ask(&format!("fill {REMOVALS} {BATCH}"))?;
    let settled = resident(&mut other)?;
    let published = || entries_added(&server);
    let before = published()?;
    one.begin(&format!("remove {REMOVALS} {BATCH} {callers}"))?;
    let [_, settling, after, seconds] = one.numbers::<f64>()?[..] else {
        return Err("a removal has four figures".into());
    };
    let bench = format!("10^6 keys by remove_many, 1000 each, {callers} callers");
    let frames = (published()? - before) as f64;
    print_most(report, Some(21), &format!("{bench}: frames in the log"), "frames", vec![frames])?;
    let figure = format!("{bench}: most memory after the first tenth");
    print_most(report, Some(21), &figure, "of before", vec![after / settling])?;
    let heard = resident(&mut other)? / settled;
    let figure = format!("{bench}: memory of the other process");
    print_most(report, Some(21), &figure, "of before", vec![heard])?;
    print_most(report, None, &format!("{bench}: time"), "s", vec![seconds])
}

fn resident(member: &mut Member) -> Result<f64, Box<dyn Error>> {
    member.begin("resident")?;
    Ok(member.number()? as f64)
}

/// Frames that the log of the bus was ever given.
fn entries_added(server: &RedisServer) -> Result<u64, Box<dyn Error>> {
    let text = server.cli(&["XINFO", "STREAM", "{bench:}log"]);
    let mut lines = text.lines().skip_while(|line| *line != "entries-added");
    Ok(lines.nth(1).ok_or("the log does not count its entries")?.trim().parse()?)
}
