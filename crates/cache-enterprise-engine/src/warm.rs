//! Loading keys before anybody asks for them.
//!
//! Keys go the way of any load: what a level holds is not loaded again, somebody else's load of a
//! key is shared, and where loads are limited a warm-up waits for its place like everybody else.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::BufRead;
use std::path::Path;
use std::pin::{Pin, pin};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use cache_enterprise_core::{CacheKey, Error, ErrorKind, Millis, Result};

use crate::error::LoadError;
use crate::loader::{Loader, Loading};
use crate::read::Source;
use crate::timer::Deadline;

/// Most loads that a warm-up may have under way.
const CONCURRENCY_MAX: usize = 1_024;

/// How a warm-up goes about it.
///
/// ```
/// use cache_enterprise_engine::{Warm, WarmProgress};
///
/// let progress = WarmProgress::default();
/// let how = Warm::new().concurrency(16).per_second(500).progress(&progress);
/// # drop(how);
/// assert_eq!(progress.report().loaded, 0);
/// ```
#[derive(Clone, Debug)]
pub struct Warm {
    concurrency: usize,
    per_second: Option<u32>,
    /// Who is told besides the caller.
    progress: Option<WarmProgress>,
}

impl Warm {
    /// Eight loads at once, as fast as they come.
    pub fn new() -> Self {
        Self { concurrency: 8, per_second: None, progress: None }
    }

    /// Loads under way at most, from 1 to 1 024; others count as the nearest. Default: 8.
    #[must_use]
    pub fn concurrency(mut self, loads: usize) -> Self {
        self.concurrency = loads.clamp(1, CONCURRENCY_MAX);
        self
    }

    /// Loads that begin in a second at most; 0 counts as 1. Keys that level 1 holds are passed over
    /// at once. Default: no limit.
    #[must_use]
    pub fn per_second(mut self, loads: u32) -> Self {
        self.per_second = Some(loads.max(1));
        self
    }

    /// Counts here too what becomes of the keys, for others to read meanwhile; several warm-ups may
    /// count in one place. Default: nowhere but in the report of each.
    #[must_use]
    pub fn progress(mut self, progress: &WarmProgress) -> Self {
        self.progress = Some(progress.clone());
        self
    }
}

impl Default for Warm {
    fn default() -> Self {
        Self::new()
    }
}

/// What has become so far of the keys of the warm-ups that count here. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct WarmProgress(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    held: AtomicU64,
    climbed: AtomicU64,
    loaded: AtomicU64,
    absent: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl WarmProgress {
    /// The counts as they stand.
    pub fn report(&self) -> WarmReport {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &*self.0;
        WarmReport {
            held: read(&counts.held),
            climbed: read(&counts.climbed),
            loaded: read(&counts.loaded),
            absent: read(&counts.absent),
            refused: read(&counts.refused),
            failed: read(&counts.failed),
        }
    }

    fn note(&self, ended: Ended) {
        let counts = &*self.0;
        let count = match ended {
            Ended::Held => &counts.held,
            Ended::Climbed => &counts.climbed,
            Ended::Loaded => &counts.loaded,
            Ended::Absent => &counts.absent,
            Ended::Refused => &counts.refused,
            Ended::Failed => &counts.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// What became of the keys of a warm-up.
///
/// ```
/// use cache_enterprise_engine::WarmReport;
///
/// let mut report = WarmReport::default();
/// (report.loaded, report.held) = (7, 3);
/// assert_eq!(report.keys(), 10);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WarmReport {
    /// Keys that level 1 held already.
    pub held: u64,
    /// Keys that a level below held: they climbed.
    pub climbed: u64,
    /// Keys that were loaded, here or by somebody else meanwhile.
    pub loaded: u64,
    /// Keys without a value.
    pub absent: u64,
    /// Loads that found no place in time, or took too long.
    pub refused: u64,
    /// Loads that failed.
    pub failed: u64,
}

impl WarmReport {
    /// All keys that were dealt with.
    pub fn keys(&self) -> u64 {
        self.held + self.climbed + self.loaded + self.absent + self.refused + self.failed
    }
}

impl fmt::Display for WarmReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { held, climbed, loaded, absent, refused, failed } = self;
        write!(
            f,
            "{} keys: {loaded} loaded, {climbed} from below, {held} held, {absent} absent, \
             {refused} refused, {failed} failed",
            self.keys()
        )
    }
}

/// What became of one key.
#[derive(Clone, Copy)]
enum Ended {
    Held,
    Climbed,
    Loaded,
    Absent,
    Refused,
    Failed,
}

type Running<'a> = Pin<Box<dyn Future<Output = Ended> + Send + 'a>>;

/// One warm-up: the loads under way, and what became of those before.
struct Run<'a> {
    running: Vec<Running<'a>>,
    own: WarmProgress,
    told: Option<WarmProgress>,
}

impl Run<'_> {
    fn note(&self, ended: Ended) {
        self.own.note(ended);
        if let Some(told) = &self.told {
            told.note(ended);
        }
    }

    /// Polls every load under way and counts those that ended.
    fn drive(&mut self, cx: &mut Context<'_>) {
        let mut running = std::mem::take(&mut self.running);
        running.retain_mut(|load| match load.as_mut().poll(cx) {
            Poll::Ready(ended) => {
                self.note(ended);
                false
            }
            Poll::Pending => true,
        });
        self.running = running;
    }
}

impl<K: CacheKey, V: Send + Sync + 'static, L: Loader<K, V>> Loading<K, V, L> {
    /// Loads these keys ahead, several at once. A failed load is counted and keeps nobody.
    ///
    /// ```
    /// use cache_enterprise_core::{Capacity, mins};
    /// use cache_enterprise_engine::{
    ///     CacheManager, CacheSpec, Fetched, LoadContext, Loader, Warm, block_on,
    /// };
    ///
    /// static NAMES: CacheSpec<u64, String> = CacheSpec::new("names").ttl(mins(5));
    ///
    /// struct Names;
    ///
    /// impl Loader<u64, String> for Names {
    ///     type Error = std::io::Error;
    ///
    ///     async fn load(&self, id: &u64, _: LoadContext<String>) -> std::io::Result<Fetched<String>> {
    ///         Ok(format!("name {id}").into())
    ///     }
    /// }
    ///
    /// let names = CacheManager::in_memory(Capacity::entries(1_000))?.open(&NAMES)?;
    /// let names = names.with_loader(Names);
    /// let report = block_on(names.warm(0..100_u64, Warm::new().concurrency(16)));
    /// assert_eq!((report.loaded, names.len()), (100, 100));
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    pub async fn warm<I>(&self, keys: I, how: Warm) -> WarmReport
    where
        I: IntoIterator,
        I::Item: Into<K>,
    {
        let mut keys = keys.into_iter();
        self.warm_from(async || keys.next().map(Into::into), how).await
    }

    /// As [`warm`](Self::warm), from a stream or a channel: `next` is awaited for each key, beside
    /// the loads under way, until it gives none.
    pub async fn warm_from(
        &self,
        mut next: impl AsyncFnMut() -> Option<K>,
        how: Warm,
    ) -> WarmReport {
        let mut run =
            Run { running: Vec::new(), own: WarmProgress::default(), told: how.progress.clone() };
        let begun = self.view.clock.now();
        let mut started = 0;
        loop {
            let key = {
                let mut asked = pin!(next());
                poll_fn(|cx| {
                    run.drive(cx);
                    asked.as_mut().poll(cx)
                })
                .await
            };
            let Some(key) = key else { break };
            if self.contains(&key) {
                run.note(Ended::Held);
                continue;
            }
            let due = how.per_second.map(|rate| begun + started * 1_000 / Millis::from(rate));
            self.make_room(&mut run, how.concurrency, due).await;
            started += 1;
            run.running.push(Box::pin(self.warm_one(key)));
        }
        poll_fn(|cx| {
            run.drive(cx);
            if run.running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        run.own.report()
    }

    /// As [`warm`](Self::warm), with the keys of a file: one a line; empty lines and those that
    /// begin with `#` say nothing. The file is read line by line, on the task of the caller.
    ///
    /// # Errors
    /// When the file cannot be read, or a line is no key; what was loaded until then stays. The
    /// error names the line.
    pub async fn warm_file(&self, path: impl AsRef<Path>, how: Warm) -> Result<WarmReport>
    where
        K: FromStr,
    {
        let path = path.as_ref();
        let unread = |error: std::io::Error| {
            Error::new(ErrorKind::Io, "cannot read the file of keys")
                .with("file", path.display())
                .source_error(error)
        };
        let file = std::fs::File::open(path).map_err(unread)?;
        let mut lines = std::io::BufReader::new(file).lines().zip(1_u64..);
        let mut fault = None;
        let mut key = || loop {
            let (line, number) = lines.next()?;
            let line = match line {
                Ok(line) => line,
                Err(error) => {
                    fault = Some(unread(error));
                    return None;
                }
            };
            let text = line.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            match text.parse() {
                Ok(key) => return Some(key),
                Err(_) => {
                    let text = "a line of the file is no key of the cache; correct it";
                    let error = Error::invalid(text).with("file", path.display());
                    fault = Some(error.with("line", number));
                    return None;
                }
            }
        };
        let report = self.warm_from(async || key(), how).await;
        fault.map_or(Ok(report), Err)
    }

    async fn warm_one(&self, key: K) -> Ended {
        match self.load_entry(&key).await {
            Ok(hit) => match hit.source {
                Source::Loader => Ended::Loaded,
                _ => Ended::Climbed,
            },
            Err(LoadError::Absent) => Ended::Absent,
            Err(LoadError::Overloaded | LoadError::Timeout) => Ended::Refused,
            Err(_) => Ended::Failed,
        }
    }

    /// Waits until another load may begin: there is room for it, and it is time.
    async fn make_room(&self, run: &mut Run<'_>, loads_max: usize, due: Option<Millis>) {
        let is_early = due.filter(|due| *due > self.view.clock.now());
        let mut alarm: Option<Deadline> = is_early.map(|due| self.view.shared.timer.deadline(due));
        poll_fn(|cx| {
            run.drive(cx);
            if let Some(deadline) = &mut alarm {
                if Pin::new(deadline).poll(cx).is_pending() {
                    return Poll::Pending;
                }
                alarm = None;
            }
            if run.running.len() < loads_max { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}
