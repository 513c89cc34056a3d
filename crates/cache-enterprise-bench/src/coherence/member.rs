//! One process of a fleet: it does what its input says, a line at a time, and answers a line each.

use std::error::Error;
use std::future::IntoFuture;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{Capacity, hours, ms};
use cache_enterprise_engine::{BusStats, Cache, CacheManager, CacheSpec, Leases, Missing};
use cache_enterprise_redis::{Redis, RedisBus};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::Seed;
use rand::seq::index;

use super::now_ns;
use crate::report::progress;

/// The first word of the arguments that make this program a member; servers follow.
pub(crate) const MEMBER: &str = "member";

/// Before the servers: the member pushes small values.
pub(crate) const PUSHING: &str = "pushing";

/// The largest value that such a member pushes.
const PUSH_MAX: usize = 2_048;

/// Entries that level 1 of a member holds.
const LEVEL1: u64 = 10_000;

/// How long a member waits for what another does.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a batch takes to load.
const LOAD: Duration = ms(20);

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(hours(1)).leases(Leases::Loads);

type Answer = Result<String, Box<dyn Error>>;

/// Serves the input until it ends, over the one Redis or the cluster that `servers` are.
pub(crate) fn obey(servers: &[String]) -> Result<(), Box<dyn Error>> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let member = runtime.block_on(Member::open(servers))?;
    say("ready")?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let (verb, numbers) = words.split_first().ok_or("a command has a verb")?;
        let numbers: Result<Vec<u64>, _> = numbers.iter().map(|word| word.parse()).collect();
        let answer = runtime.block_on(member.obey(verb, &numbers?));
        match answer {
            Ok(answer) => say(&answer)?,
            Err(error) => {
                progress(&format!("a member failed in `{line}`"));
                return Err(error);
            }
        }
    }
    Ok(())
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

struct Member {
    manager: CacheManager<MessagePack>,
    cache: Cache<u64, u64>,
}

impl Member {
    async fn open(arguments: &[String]) -> Result<Self, Box<dyn Error>> {
        let (push_max, servers) = match arguments {
            [first, servers @ ..] if first == PUSHING => (PUSH_MAX, servers),
            servers => (0, servers),
        };
        let redis = || match servers {
            [url] => Redis::url(url),
            addresses => Redis::cluster(addresses),
        };
        let builder = CacheManager::builder("bench").l1(Capacity::entries(LEVEL1));
        let builder = builder.l2(redis()?).codec(MessagePack).bus(RedisBus::with(redis()?));
        let builder = builder.push_max(push_max);
        let manager = builder.build().await?;
        let cache = manager.open(&SPEC)?;
        Ok(Self { manager, cache })
    }

    /// Verbs with a range take its first key and its end.
    async fn obey(&self, verb: &str, numbers: &[u64]) -> Answer {
        match (verb, numbers) {
            ("set", &[first, end, value]) => self.set(first, end, value).await,
            ("read", &[first, end, value]) => self.read(first, end, value).await,
            ("let_go", &[key, old]) => {
                self.settles(key, |held| held.is_none_or(|value| value != old)).await
            }
            ("take_up", &[key, old]) => {
                self.settles(key, |held| held.is_some_and(|value| value != old)).await
            }
            ("agree", &[first, end, value]) => self.agree(first, end, value).await,
            ("fill", &[keys, batch]) => self.fill(keys, batch).await,
            ("remove", &[keys, batch, callers]) => self.remove(keys, batch, callers).await,
            ("bus", &[]) => {
                self.bus().map(|bus| format!("{} {} {}", bus.heard, bus.lost, bus.frames))
            }
            ("resident", &[]) => Ok(resident_bytes()?.to_string()),
            ("load", &[first, keys, size, batches, seed]) => {
                Ok(self.load(first, keys, size, batches, seed).await)
            }
            ("read_many", &[keys, size, batches, seed]) => {
                self.read_many(keys, size, batches, seed).await
            }
            _ => Err(format!("no command is `{verb}` with {} numbers", numbers.len()).into()),
        }
    }

    fn bus(&self) -> Result<BusStats, Box<dyn Error>> {
        Ok(self.manager.bus_stats().ok_or("the manager has no bus")?)
    }

    /// Answers when the first call began.
    async fn set(&self, first: u64, end: u64, value: u64) -> Answer {
        let begun = now_ns();
        for key in first..end {
            self.cache.set(&key, value).strict().into_future().await?;
        }
        Ok(begun.to_string())
    }

    async fn read(&self, first: u64, end: u64, value: u64) -> Answer {
        for key in first..end {
            let read = self.cache.get(&key).await?.map(|value| *value);
            if read != Some(value) {
                return Err(format!("{read:?} is read instead of {value}").into());
            }
        }
        Ok("read".to_owned())
    }

    /// Answers when level 1 held what it should of a key.
    async fn settles(&self, key: u64, is_settled: impl Fn(Option<u64>) -> bool) -> Answer {
        let begun = Instant::now();
        while !is_settled(self.cache.peek(&key).map(|value| *value)) {
            if begun.elapsed() > PATIENCE {
                return Err("level 1 did not hear of a new value in time".into());
            }
            // This thread drives nothing: the runtime's own threads hear the bus.
            std::thread::sleep(Duration::from_micros(50));
        }
        Ok(now_ns().to_string())
    }

    /// Answers when all keys were read with their value, level 1 believed again.
    async fn agree(&self, first: u64, end: u64, value: u64) -> Answer {
        let (begun, keys) = (Instant::now(), (first..end).collect::<Vec<_>>());
        loop {
            // What cannot be reached yet is asked again.
            let read = self.cache.get_many(&keys).await.unwrap_or_default();
            let is_new = |read: &Option<_>| read.as_deref() == Some(&value);
            if !read.is_empty() && read.iter().all(is_new) && !self.bus()?.is_in_doubt {
                return Ok(now_ns().to_string());
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("not every key is read as {value}").into());
            }
            tokio::time::sleep(ms(1)).await;
        }
    }

    async fn fill(&self, keys: u64, batch: u64) -> Answer {
        for first in (0..keys).step_by(batch as usize) {
            self.cache.set_many((first..first + batch).map(|key| (key, key))).await;
        }
        Ok(resident_bytes()?.to_string())
    }

    /// Removes keys in batches as fast as so many callers can; answers the frames it took, the
    /// most memory of this process in the first tenth and after it, and the seconds.
    async fn remove(&self, keys: u64, batch: u64, callers: u64) -> Answer {
        let (before, begun) = (self.bus()?.frames, Instant::now());
        let (most, settled) = (Arc::new(Mutex::new([0_u64; 2])), keys / 10);
        let calls = (0..callers).map(|caller| {
            let (cache, most) = (self.cache.clone(), Arc::clone(&most));
            tokio::spawn(async move {
                let firsts = (caller * batch..keys).step_by((callers * batch) as usize);
                for (turn, first) in firsts.enumerate() {
                    let keys: Vec<u64> = (first..(first + batch).min(keys)).collect();
                    cache.remove_many(&keys).await;
                    if turn % 10 == 0 {
                        let resident = resident_bytes().map_err(|error| error.to_string())?;
                        let part = &mut most.lock()[usize::from(first >= settled)];
                        *part = resident.max(*part);
                    }
                }
                Ok::<(), String>(())
            })
        });
        let calls: Vec<_> = calls.collect();
        for call in calls {
            call.await??;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let frames = self.bus()?.frames - before;
        let [settling, after] = *most.lock();
        Ok(format!("{frames} {settling} {after} {seconds}"))
    }

    /// Loads random batches at once; answers how many keys had a value, and the keys that the
    /// loader was called for.
    async fn load(&self, first: u64, keys: u64, size: u64, batches: u64, seed: u64) -> String {
        let loaded = Arc::new(Mutex::new(Vec::new()));
        let calls = (0..batches).map(|number| {
            let batch = Batch { first, keys, size }.drawn(Seed(seed).part(&number.to_string()));
            let (cache, loaded) = (self.cache.clone(), Arc::clone(&loaded));
            tokio::spawn(async move {
                let load = |missing: Missing<u64>| {
                    let keys = missing.into_keys();
                    loaded.lock().extend(keys.iter().copied());
                    async move {
                        tokio::time::sleep(LOAD).await;
                        keys.into_iter().map(|key| (key, key)).collect::<Vec<_>>()
                    }
                };
                let values = cache.get_many_with(batch, load).await.into_values();
                values.map(|values| values.into_iter().flatten().count())
            })
        });
        let calls: Vec<_> = calls.collect();
        let mut answered = 0;
        for call in calls {
            answered += call.await.ok().and_then(Result::ok).unwrap_or_default() as u64;
        }
        let loaded: Vec<_> = loaded.lock().iter().map(u64::to_string).collect();
        format!("{answered} {}", loaded.join(" "))
    }

    /// Reads random batches one after the other, past level 1.
    async fn read_many(&self, keys: u64, size: u64, batches: u64, seed: u64) -> Answer {
        for number in 0..batches {
            self.cache.drop_level1();
            let batch = Batch { first: 0, keys, size }.drawn(Seed(seed).part(&number.to_string()));
            let found = self.cache.get_many(&batch).await?;
            if found.iter().any(Option::is_none) {
                return Err("a key of a batch is missing".into());
            }
        }
        Ok("read".to_owned())
    }
}

/// A random choice of `size` keys out of `keys` from `first` on.
struct Batch {
    first: u64,
    keys: u64,
    size: u64,
}

impl Batch {
    fn drawn(&self, seed: Seed) -> Vec<u64> {
        let drawn = index::sample(&mut seed.rng(), self.keys as usize, self.size as usize);
        drawn.into_iter().map(|key| self.first + key as u64).collect()
    }
}

/// Memory of this process in the machine.
fn resident_bytes() -> Result<u64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages = text.split_whitespace().nth(1).ok_or("no second figure in statm")?;
    Ok(pages.parse::<u64>()? * rustix::param::page_size() as u64)
}
