//! One process of a fleet: it does what its input says, a line at a time.
//!
//! ```text
//! in    number verb arguments
//! out   > number answer           as soon as it is known, in any order
//! out   > began key               a loader runs and waits for `go key`
//! out   > asks load key           a loader runs and waits for `give load value`
//! ```

use std::collections::HashMap;
use std::future::IntoFuture;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_enterprise::prelude::*;
use cache_enterprise::{Event, Hit, Leases, Observer, Source};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

/// Where a member finds the servers: a line of `key=value`, and the name of its manager.
pub(crate) const PLACE: &str = "CE_FLEET_PLACE";

/// How long a call to a server may take: five processes beside their servers keep a small machine
/// busy, which is no outage.
const PATIENCE: Duration = secs(20);

/// Longer than any process is stopped.
const LONGEST_LOAD: Duration = mins(5);

/// The tag of every value that `fill` loads.
pub(crate) const EVERY: &str = "every";

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(hours(1));

/// Where and as whom a member works.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seat {
    pub(crate) manager: String,
    pub(crate) kind: String,
    pub(crate) values: Vec<String>,
    pub(crate) bus: Vec<String>,
}

impl Seat {
    pub(crate) fn to_line(&self) -> String {
        [&self.manager, &self.kind, &self.values.join(","), &self.bus.join(",")]
            .map(|part| part.to_owned())
            .join(" ")
    }

    fn from_line(line: &str) -> Self {
        let parts: Vec<&str> = line.split(' ').collect();
        let list = |part: &str| part.split(',').map(str::to_owned).collect();
        Self {
            manager: parts[0].to_owned(),
            kind: parts[1].to_owned(),
            values: list(parts[2]),
            bus: list(parts[3]),
        }
    }
}

fn patient(redis: Redis) -> Redis {
    redis.connect_timeout(PATIENCE).read_timeout(PATIENCE).write_timeout(PATIENCE)
}

/// How a member loads.
#[derive(Clone, Copy)]
struct Loading {
    is_gated: bool,
    leases: Leases,
}

/// Calls to the tier that failed.
#[derive(Debug, Default)]
struct Failures {
    /// Those for the turn to load: the load ran without one.
    turns: AtomicU64,
    others: AtomicU64,
}

impl Observer for Failures {
    fn on_event(&self, event: &Event) {
        let count = match event {
            Event::TierFailed { operation: "lease", .. } => &self.turns,
            Event::TierFailed { .. } => &self.others,
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the commands of a member work on.
struct Member {
    manager: CacheManager<MessagePack>,
    numbers: Cache<u64, u64>,
    failures: Arc<Failures>,
    gates: Mutex<HashMap<u64, Arc<Semaphore>>>,
    asking: Mutex<HashMap<u64, oneshot::Sender<u64>>>,
    loads: AtomicU64,
}

impl Member {
    async fn open(seat: &Seat) -> Self {
        let values = match seat.kind.as_str() {
            "redis" => Tier::new(patient(Redis::url(&seat.values[0]).unwrap())),
            "cluster" => Tier::new(patient(Redis::cluster(&seat.values).unwrap())),
            _ => {
                let servers = Memcached::servers(&seat.values).unwrap().connect_timeout(PATIENCE);
                Tier::new(servers.read_timeout(PATIENCE).write_timeout(PATIENCE))
            }
        };
        let bus = match seat.kind.as_str() {
            "cluster" => RedisBus::with(Redis::cluster(&seat.bus).unwrap()),
            _ => RedisBus::url(&seat.bus[0]).unwrap(),
        };
        let values = values.timeout(PATIENCE);
        let failures = Arc::new(Failures::default());
        let builder = CacheManager::builder(&seat.manager).l2(values).codec(MessagePack).bus(bus);
        let manager = builder.observer(Arc::clone(&failures)).build().await.unwrap();
        let numbers = manager.open(&SPEC).unwrap();
        let (gates, asking) = (Mutex::default(), Mutex::default());
        Self { manager, numbers, failures, gates, asking, loads: AtomicU64::new(0) }
    }

    fn gate(&self, key: u64) -> Arc<Semaphore> {
        Arc::clone(self.gates.lock().entry(key).or_insert_with(|| Arc::new(Semaphore::new(0))))
    }

    /// Loads `value` once somebody opens the gate of `key`.
    async fn load(&self, key: u64, value: u64, tag: Option<&str>, how: Loading) -> String {
        let loader = || async {
            self.loads.fetch_add(1, Ordering::Relaxed);
            if how.is_gated {
                say(&format!("began {key}"));
                self.gate(key).acquire().await.unwrap().forget();
            }
            Ok::<u64, String>(value)
        };
        let fetch = self.numbers.fetch(&key).tags(tag.map(str::to_owned));
        let fetch = fetch.leases(how.leases).hard_timeout(LONGEST_LOAD);
        shown(fetch.with(loader).await.ok().as_deref().copied())
    }

    /// Loads what the other end of the input gives.
    async fn fill(&self, key: u64, leases: Leases) -> String {
        let loader = || async {
            let load = self.loads.fetch_add(1, Ordering::Relaxed);
            let (sender, value) = oneshot::channel();
            self.asking.lock().insert(load, sender);
            say(&format!("asks {load} {key}"));
            value.await.map_err(|_| "nobody gave it".to_owned())
        };
        let fetch = self.numbers.fetch(&key).tags([EVERY]).leases(leases);
        placed(fetch.hard_timeout(LONGEST_LOAD).with_entry(loader).await.ok())
    }

    /// Whether `call` ended and nothing failed meanwhile.
    async fn is_calm<T>(&self, call: impl Future<Output = T>) -> bool {
        let before = self.failures.others.load(Ordering::Relaxed);
        call.await;
        before == self.failures.others.load(Ordering::Relaxed)
    }

    async fn obey(&self, command: &[&str]) -> String {
        let number = |place: usize| command[place].parse::<u64>().unwrap();
        let text = |place: usize| command.get(place).copied();
        let cache = &self.numbers;
        match command[0] {
            "get" => shown(cache.get(&number(1)).await.unwrap().map(|value| *value)),
            "peek" => shown(cache.peek(&number(1)).map(|value| *value)),
            "set" => {
                let set = cache.set(&number(1), number(2)).tags(text(3).map(str::to_owned));
                done(set.strict().into_future().await.is_ok())
            }
            "read" => placed(cache.get_entry(&number(1)).await.unwrap()),
            verb @ ("gated" | "load" | "held" | "turn") => {
                let leases = match verb {
                    "held" | "turn" => Leases::Loads,
                    _ => Leases::Never,
                };
                let how = Loading { is_gated: matches!(verb, "gated" | "held"), leases };
                self.load(number(1), number(2), text(3), how).await
            }
            "fill" => {
                let leases = if text(2).is_some() { Leases::Loads } else { Leases::Never };
                self.fill(number(1), leases).await
            }
            "give" => {
                let asking = self.asking.lock().remove(&number(1));
                done(asking.is_some_and(|asking| asking.send(number(2)).is_ok()))
            }
            "go" => {
                self.gate(number(1)).add_permits(1);
                done(true)
            }
            "remove" => {
                cache.remove(&number(1)).await;
                done(true)
            }
            "end" => done(self.is_calm(cache.remove(&number(1))).await),
            "invalidate" => done(self.manager.invalidate(command[1]).await.strict().is_ok()),
            "clear" => done(self.manager.clear().await.strict().is_ok()),
            "forget" => {
                cache.drop_level1();
                done(true)
            }
            "loads" => self.loads.load(Ordering::Relaxed).to_string(),
            "unturned" => self.failures.turns.load(Ordering::Relaxed).to_string(),
            "misses" => self.manager.tier_stats()[0].misses.to_string(),
            "doubts" => done(self.manager.bus_stats().unwrap().is_in_doubt),
            "lost" => self.manager.bus_stats().unwrap().lost.to_string(),
            verb => panic!("no command is called {verb}"),
        }
    }
}

fn shown(value: Option<u64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A value and whether it came from the process itself.
fn placed(hit: Option<Hit<u64>>) -> String {
    let Some(hit) = hit else { return "-".to_owned() };
    let is_near = hit.joined || hit.source == Source::Memory;
    format!("{} {}", *hit.value, if is_near { "near" } else { "asked" })
}

fn done(is_done: bool) -> String {
    if is_done { "yes" } else { "no" }.to_owned()
}

/// Past the harness, which keeps what a test prints until the test ends.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "> {line}").and_then(|()| out.flush()).unwrap();
}

/// A member that has a place serves it until its input ends. One that has none reads its commands
/// as others write them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_obeys_its_input() {
    let seat = Seat {
        manager: "shop".to_owned(),
        kind: "redis".to_owned(),
        values: vec!["redis://127.0.0.1:1".to_owned()],
        bus: vec!["redis://127.0.0.1:2".to_owned(), "redis://127.0.0.1:3".to_owned()],
    };
    assert_eq!(Seat::from_line(&seat.to_line()), seat);
    let Ok(line) = std::env::var(PLACE) else { return };
    let member = Arc::new(Member::open(&Seat::from_line(&line)).await);
    say("0 ready");
    let (lines, mut commands) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    while let Some(line) = commands.recv().await {
        let member = Arc::clone(&member);
        tokio::spawn(async move {
            let words: Vec<&str> = line.split_whitespace().collect();
            let answer = member.obey(&words[1..]).await;
            say(&format!("{} {answer}", words[0]));
        });
    }
}
