//! Batches of five processes that overlap, and what a batch asks of each node.

use std::collections::HashMap;
use std::error::Error;
use std::time::{Duration, Instant};

use cache_enterprise_core::ms;
use cache_enterprise_testkit::proxy::{Fault, TcpProxy};
use cache_enterprise_testkit::servers::{RedisCluster, RedisServer};

use super::fleet::Member;
use super::print_most;
use crate::report::{Report, progress};

const PROCESSES: u64 = 5;
const BATCHES_EACH: u64 = 10;
const SIZE: u64 = 100;
/// Keys that the batches are drawn from.
const KEYS: u64 = 1_000;

/// Batches read one after the other: what the processes say besides is little beside them.
const READS: u64 = 2_000;

/// How late every reply is where waits are counted, and the batches that wait.
const DELAY: Duration = ms(50);
const DELAYED: u64 = 40;

pub(crate) fn run(report: &mut Report, rounds: usize) -> Result<(), Box<dyn Error>> {
    loads(report, rounds)?;
    waits(report)?;
    reads_of_nodes(report)
}

/// The most often that a key was loaded, each round with keys of its own.
fn loads(report: &mut Report, rounds: usize) -> Result<(), Box<dyn Error>> {
    progress("50 overlapping batches in five processes");
    let server = RedisServer::start();
    let members: Result<Vec<_>, _> =
        (0..PROCESSES).map(|_| Member::start(&[server.url()])).collect();
    let mut members = members?;
    let (mut most, mut extra) = (Vec::new(), Vec::new());
    for round in 0..rounds as u64 {
        let first = round * KEYS;
        for (member, number) in members.iter_mut().zip(0..) {
            let seed = round * PROCESSES + number;
            member.begin(&format!("load {first} {KEYS} {SIZE} {BATCHES_EACH} {seed}"))?;
        }
        let mut loads: HashMap<u64, u64> = HashMap::new();
        for member in &mut members {
            let answer: Vec<u64> = member.numbers()?;
            let Some((&answered, loaded)) = answer.split_first() else {
                return Err("a member answers how many values it had".into());
            };
            if answered != BATCHES_EACH * SIZE {
                return Err(format!("{answered} values were answered").into());
            }
            loaded.iter().for_each(|key| *loads.entry(*key).or_default() += 1);
        }
        most.push(loads.values().copied().max().unwrap_or_default() as f64);
        extra.push(loads.values().map(|times| times - 1).sum::<u64>() as f64);
    }
    let bench = "50 batches of 100 of 1000 keys in 5 processes";
    print_most(report, Some(22), &format!("{bench}: most loads of a key"), "loads", most)?;
    print_most(report, None, &format!("{bench}: loads too many"), "loads", extra)
}

/// What a batch that level 1 does not hold waits for, where each reply takes a while.
fn waits(report: &mut Report) -> Result<(), Box<dyn Error>> {
    progress("batches behind replies that take long");
    let server = RedisServer::start();
    let proxy = TcpProxy::to(&server.address());
    let mut member = Member::start(&[server.url_at(&proxy.address())])?;
    member.ask(&format!("fill {KEYS} {SIZE}"))?;
    proxy.set(Fault::Latency(DELAY));
    let mut ask = |command: String| -> Result<f64, Box<dyn Error>> {
        let begun = Instant::now();
        member.ask(&command)?;
        Ok(begun.elapsed().as_secs_f64() / DELAY.as_secs_f64())
    };
    let read = ask(format!("read_many {KEYS} {SIZE} {DELAYED} 7"))? / DELAYED as f64;
    let bench = format!("get_many of {SIZE} keys, one server: time, in round trips of {DELAY:?}");
    print_most(report, Some(23), &bench, "trips", vec![read])?;
    let loaded = ask(format!("load {KEYS} {KEYS} {SIZE} 1 7"))?;
    let bench = bench.replace("get_many", "get_many_with");
    print_most(report, None, &bench, "trips", vec![loaded])
}

/// How often each node of a cluster read from its sockets for a batch that level 1 does not hold:
/// once, and that one which has the epochs once more, for the mark that is asked for beside.
fn reads_of_nodes(report: &mut Report) -> Result<(), Box<dyn Error>> {
    progress("reads of a batch in a cluster");
    let cluster = RedisCluster::start(3, 0);
    let mut member = Member::start(&cluster.addresses())?;
    member.ask(&format!("fill {KEYS} {SIZE}"))?;
    let count = || cluster.nodes().iter().map(reads_processed).collect::<Result<Vec<_>, _>>();
    let before = count()?;
    member.ask(&format!("read_many {KEYS} {SIZE} {READS} 7"))?;
    let read = count()?.into_iter().zip(before).map(|(after, before)| after - before);
    let mut each: Vec<f64> = read.map(|read| read as f64 / READS as f64).collect();
    each.sort_by(f64::total_cmp);
    let bench = format!("get_many of {SIZE} keys, cluster of three: reads of a node's sockets");
    let epochs = each.pop().into_iter().collect();
    print_most(report, Some(23), &bench, "reads", each)?;
    print_most(report, None, &format!("{bench}, that of the epochs"), "reads", epochs)
}

/// How often the server has read from a socket.
fn reads_processed(server: &RedisServer) -> Result<u64, Box<dyn Error>> {
    let text = server.cli(&["INFO", "stats"]);
    let line = text.lines().find_map(|line| line.strip_prefix("total_reads_processed:"));
    Ok(line.ok_or("the server does not count its reads")?.trim().parse()?)
}
