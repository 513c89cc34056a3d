//! The backend.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::{
    Backend, BackendHealth, Capabilities, Clock, Error, ErrorKind, KeyPrefix, OpContext, Put,
    PutOutcome, Result, ScanPage, Sequence, StoredKey, Swapped, saturating_millis,
};
use parking_lot::Mutex;

use crate::epochs::EpochLog;
use crate::error;
use crate::marks::Marks;
use crate::record::{self, Head, KeyHash, Kind};
use crate::shelf::{Found, Page, Shelves, page};
use crate::upkeep::{Sizes, Upkeep};

pub(crate) const NAME: &str = "disk";
/// Keys that one step of a clear removes.
const CLEAR_KEYS: usize = 1_024;

/// Entries in a directory. Made by [`Disk::open`](crate::Disk::open).
///
/// Dropping it without `close` waits for the background step in progress, so that the directory
/// can be opened again afterwards.
pub struct DiskBackend {
    upkeep: Arc<Upkeep>,
    marks: Marks,
    corrupt: AtomicU64,
    pub(crate) epochs: Arc<EpochLog>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Held for as long as the directory is ours.
    lock: Mutex<Option<File>>,
}

/// Numbers of one backend.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> cache_enterprise_core::Result<()> {
/// # let folder = tempfile::tempdir()?;
/// let disk = cache_enterprise_disk::Disk::at(folder.path()).open().await?;
/// assert_eq!(disk.stats().corrupt, 0);
/// # disk.close().await
/// # }
/// # use cache_enterprise_core::Backend;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskStats {
    /// Bytes of journals and generations, by the backend's own count.
    pub bytes: u64,
    /// Generations held.
    pub generations: usize,
    /// Generations dropped for room since opening.
    pub dropped_generations: u64,
    /// Records that did not match their checksum since opening.
    pub corrupt: u64,
}

impl DiskBackend {
    pub(crate) fn open(
        directory: PathBuf,
        sizes: Sizes,
        cache_bytes: u64,
        sweep_every: Duration,
        clock: Clock,
    ) -> Result<Arc<Self>> {
        std::fs::create_dir_all(&directory)
            .map_err(|cause| error::from_io("open", &directory, cause))?;
        let lock = lock_directory(&directory)?;
        let shelves = Shelves::open(&directory, cache_bytes)
            .map_err(|cause| error::from_fjall("open", &directory, cause))?;
        clock.tick();
        let epochs = Arc::new(EpochLog::open(&directory, clock.clone())?);
        let upkeep = Arc::new(Upkeep::new(directory, clock, sizes, shelves));
        let thread = std::thread::Builder::new()
            .name("cache-disk".into())
            .spawn({
                let upkeep = Arc::clone(&upkeep);
                move || upkeep.run(sweep_every)
            })
            .map_err(|cause| error::from_io("open", &upkeep.directory, cause))?;
        Ok(Arc::new(Self {
            upkeep,
            marks: Marks::default(),
            corrupt: AtomicU64::new(0),
            epochs,
            thread: Mutex::new(Some(thread)),
            lock: Mutex::new(Some(lock)),
        }))
    }

    /// The directory the backend lives in.
    pub fn directory(&self) -> &Path {
        &self.upkeep.directory
    }

    /// The numbers now.
    pub fn stats(&self) -> DiskStats {
        let shelves = self.upkeep.shelves.read();
        let bytes = |shelves: &Shelves| shelves.generations_bytes() + shelves.fronts_bytes();
        DiskStats {
            bytes: shelves.as_ref().map_or(0, bytes),
            generations: shelves.as_ref().map_or(0, |shelves| shelves.generations.len()),
            dropped_generations: self.upkeep.dropped_generations.load(Ordering::Relaxed),
            corrupt: self.corrupt.load(Ordering::Relaxed),
        }
    }

    /// Runs one bounded round of the sweep now instead of waiting for its time. Returns the bytes
    /// it freed. Looks at up to 16 384 records of one generation; at the end of a generation that
    /// is mostly dead, rewrites it. Entries in the front are swept when it becomes a generation.
    ///
    /// # Errors
    /// When the directory cannot be read or written.
    pub async fn sweep(&self) -> Result<u64> {
        let upkeep = Arc::clone(&self.upkeep);
        let swept = blocking("sweep", move || Ok(upkeep.sweep())).await?;
        swept.map(|swept| swept.freed_bytes).map_err(|cause| self.fjall("sweep", cause))
    }

    fn fjall(&self, operation: &'static str, cause: fjall::Error) -> Error {
        let failure = error::from_fjall(operation, &self.upkeep.directory, cause);
        if failure.kind() == ErrorKind::Corrupt {
            self.corrupt.fetch_add(1, Ordering::Relaxed);
        }
        failure
    }

    /// The newest record under a key, checked. Damage is counted and an error.
    fn find(&self, operation: &'static str, key: &StoredKey) -> Result<Option<(Head, Bytes)>> {
        let found = {
            let shelves = self.upkeep.shelves.read();
            let shelves = shelves.as_ref().ok_or_else(|| error::closed(operation))?;
            shelves.find(key.as_str()).map_err(|cause| self.fjall(operation, cause))?
        };
        let opened = match found {
            None => return Ok(None),
            Some(Found::InFront(record)) => record::open_trusted(record),
            Some(Found::InGeneration(record)) => record::open(hash_of(key), record),
        };
        match opened {
            Some(record) => Ok(Some(record)),
            None => {
                self.corrupt.fetch_add(1, Ordering::Relaxed);
                Err(error::corrupt(operation, &self.upkeep.directory))
            }
        }
    }

    /// As `find` for one who is about to replace the record: damage is as good as nothing.
    fn find_replaced(
        &self,
        operation: &'static str,
        key: &StoredKey,
    ) -> Result<Option<(Head, Bytes)>> {
        match self.find(operation, key) {
            Err(damage) if damage.kind() == ErrorKind::Corrupt => Ok(None),
            found => found,
        }
    }

    fn insert(&self, operation: &'static str, key: &StoredKey, record: Bytes) -> Result<()> {
        let (inserted, is_full) = {
            let shelves = self.upkeep.shelves.read();
            let shelves = shelves.as_ref().ok_or_else(|| error::closed(operation))?;
            let inserted = shelves.front.insert(key.as_str(), record);
            (inserted, shelves.front.bytes() >= self.upkeep.sizes.front)
        };
        if is_full {
            self.upkeep.look();
        }
        inserted.map_err(|cause| {
            let failure = self.fjall(operation, cause);
            self.upkeep.front_failed(&failure);
            failure
        })
    }

    fn get_now(&self, key: &StoredKey) -> Result<Option<Bytes>> {
        let found = self.find("get", key)?;
        let live = found.filter(|(head, _)| head.is_live(|| self.upkeep.wall_ms()));
        Ok(live.map(|(_, value)| value))
    }

    fn put_now(&self, key: &StoredKey, value: &[u8], how: Put) -> Result<PutOutcome> {
        let hash = hash_of(key);
        let now = self.upkeep.clock.tick();
        let mut lock = self.marks.lock(key, hash);
        let stored = self.find_replaced("put", key)?.map(|(head, _)| head);
        let newest = stored.map_or(Sequence::ZERO, |head| head.version).max(lock.removed_at(now));
        if how.version < newest {
            return Ok(PutOutcome::Fenced);
        }
        if value.len() > self.upkeep.sizes.value {
            lock.remember(how.version, now);
            self.bury("put", key, stored, how.version)?;
            return Ok(PutOutcome::Refused);
        }
        self.insert("put", key, record::seal(hash, self.head_of(how), value))?;
        Ok(PutOutcome::Stored)
    }

    fn swap_now(
        &self,
        key: &StoredKey,
        value: &[u8],
        how: Put,
        expected: Sequence,
    ) -> Result<Swapped> {
        let hash = hash_of(key);
        let now = self.upkeep.clock.tick();
        let lock = self.marks.lock(key, hash);
        let stored = self.find_replaced("swap", key)?.map(|(head, _)| head);
        let live = stored.filter(|head| head.is_live(|| self.upkeep.wall_ms()));
        let standing = live.map_or(Sequence::ZERO, |head| head.version);
        if standing != expected {
            return Ok(Swapped::Changed(standing));
        }
        let newest = stored.map_or(Sequence::ZERO, |head| head.version).max(lock.removed_at(now));
        if how.version < newest {
            return Ok(Swapped::Fenced);
        }
        if value.len() > self.upkeep.sizes.value {
            return Ok(Swapped::Refused);
        }
        self.insert("swap", key, record::seal(hash, self.head_of(how), value))?;
        Ok(Swapped::Stored)
    }

    fn head_of(&self, how: Put) -> Head {
        let expires = how.ttl.map(|ttl| self.expiry(ttl));
        Head { kind: Kind::Value, version: how.version, expires }
    }

    fn remove_now(&self, key: &StoredKey, at: Sequence) -> Result<bool> {
        let hash = hash_of(key);
        let now = self.upkeep.clock.tick();
        let mut lock = self.marks.lock(key, hash);
        let stored = match self.find("remove", key) {
            // Damage is hidden like a value, though nobody could have read it.
            Err(damage) if damage.kind() == ErrorKind::Corrupt => {
                Some(Head { kind: Kind::Value, version: at, expires: Some(i64::MIN) })
            }
            found => found?.map(|(head, _)| head),
        };
        let version = stored.map_or(Sequence::ZERO, |head| head.version).max(at);
        lock.remember(version, now);
        self.bury("remove", key, stored, version)?;
        Ok(stored.is_some_and(|head| head.is_live(|| self.upkeep.wall_ms())))
    }

    /// Writes a removal where it hides a value, and where a store after a restart must be refused.
    fn bury(
        &self,
        operation: &'static str,
        key: &StoredKey,
        stored: Option<Head>,
        version: Sequence,
    ) -> Result<()> {
        let is_value = stored.is_some_and(|head| head.kind == Kind::Value);
        if is_value || version > stored.map_or(Sequence::ZERO, |head| head.version) {
            let removed = record::seal(hash_of(key), Head::removed(version), b"");
            self.insert(operation, key, removed)?;
        }
        Ok(())
    }

    fn touch_now(&self, key: &StoredKey, ttl: Duration) -> Result<bool> {
        let hash = hash_of(key);
        self.upkeep.clock.tick();
        let _lock = self.marks.lock(key, hash);
        let found = self.find("touch", key)?;
        let Some((head, value)) = found.filter(|(head, _)| head.is_live(|| self.upkeep.wall_ms()))
        else {
            return Ok(false);
        };
        let head = Head { expires: Some(self.expiry(ttl)), ..head };
        self.insert("touch", key, record::seal(hash, head, &value))?;
        Ok(true)
    }

    fn expiry(&self, ttl: Duration) -> i64 {
        let life = i64::try_from(saturating_millis(ttl)).unwrap_or(i64::MAX);
        self.upkeep.clock.wall_ms().saturating_add(life)
    }

    async fn page(
        &self,
        operation: &'static str,
        prefix: &KeyPrefix,
        from: Option<Bytes>,
        limit: usize,
    ) -> Result<Page> {
        let (upkeep, prefix) = (Arc::clone(&self.upkeep), prefix.clone());
        let found = blocking(operation, move || {
            let sources = {
                let shelves = upkeep.shelves.read();
                let shelves = shelves.as_ref().ok_or_else(|| error::closed(operation))?;
                shelves.handles()
            };
            Ok(page(&sources, prefix.as_str(), from.as_ref(), limit.max(1), upkeep.wall_ms()))
        });
        found.await?.map_err(|cause| self.fjall(operation, cause))
    }

    /// Ends the thread and lets go of the directory. Waits for a step in progress.
    fn shut(upkeep: &Upkeep, thread: Option<JoinHandle<()>>, lock: Option<File>) {
        upkeep.stop();
        if let Some(thread) = thread {
            // A panic in it was printed when it happened; there is nobody to tell.
            let _ = thread.join();
        }
        upkeep.close();
        drop(lock);
    }
}

#[async_trait]
impl Backend for DiskBackend {
    fn name(&self) -> &str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        capabilities(self.upkeep.sizes.value)
    }

    async fn get(&self, key: &StoredKey, _: &OpContext) -> Result<Option<Bytes>> {
        self.get_now(key)
    }

    async fn get_many(&self, keys: &[StoredKey], _: &OpContext) -> Result<Vec<Option<Bytes>>> {
        keys.iter().map(|key| self.get_now(key)).collect()
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        _: &OpContext,
    ) -> Result<PutOutcome> {
        self.upkeep.room("put").await?;
        self.put_now(key, &value, how)
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, _: &OpContext) -> Result<bool> {
        self.upkeep.room("remove").await?;
        self.remove_now(key, at)
    }

    async fn swap(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        expected: Sequence,
        _: &OpContext,
    ) -> Result<Swapped> {
        self.upkeep.room("swap").await?;
        self.swap_now(key, &value, how, expected)
    }

    async fn touch(&self, key: &StoredKey, ttl: Duration, _: &OpContext) -> Result<bool> {
        self.upkeep.room("touch").await?;
        self.touch_now(key, ttl)
    }

    async fn scan(
        &self,
        prefix: &KeyPrefix,
        from: Option<Bytes>,
        limit: usize,
    ) -> Result<ScanPage> {
        let page = self.page("scan", prefix, from, limit).await?;
        let keys = page.keys.iter().filter_map(|key| stored_key(key)).collect();
        Ok(ScanPage { keys, next: page.next })
    }

    async fn clear_prefix(&self, prefix: &KeyPrefix) -> Result<()> {
        let mut from = None;
        loop {
            let page = self.page("clear_prefix", prefix, from, CLEAR_KEYS).await?;
            self.upkeep.room("clear_prefix").await?;
            for key in page.keys.iter().filter_map(|key| stored_key(key)) {
                self.remove_now(&key, Sequence::ZERO)?;
            }
            let Some(next) = page.next else { return Ok(()) };
            from = Some(next);
        }
    }

    async fn health(&self) -> BackendHealth {
        if self.upkeep.shelves.read().is_none() {
            return BackendHealth::Down("the backend is closed".into());
        }
        match self.upkeep.fault() {
            None => BackendHealth::Up,
            Some(fault) => BackendHealth::Degraded(format!("reads go on, writes fail: {fault:?}")),
        }
    }

    async fn close(&self) -> Result<()> {
        let upkeep = Arc::clone(&self.upkeep);
        let (thread, lock) = (self.thread.lock().take(), self.lock.lock().take());
        blocking("close", move || {
            Self::shut(&upkeep, thread, lock);
            Ok(())
        })
        .await
    }
}

impl Drop for DiskBackend {
    fn drop(&mut self) {
        Self::shut(&self.upkeep, self.thread.lock().take(), self.lock.lock().take());
    }
}

impl fmt::Debug for DiskBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskBackend")
            .field("directory", &self.upkeep.directory)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// What every disk can do, with the largest value its budget allows.
pub(crate) fn capabilities(value_bytes_max: usize) -> Capabilities {
    Capabilities {
        expiry: true,
        fence: true,
        touch: true,
        swap: true,
        scan: true,
        clear_prefix: true,
        durable: true,
        shared: false,
        value_bytes_max: Some(value_bytes_max),
    }
}

/// Runs `work` on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|failed| {
        Error::new(ErrorKind::Unavailable, "the blocking thread did not finish")
            .operation(operation)
            .source_error(failed)
    })?
}

/// fjall locks each of its databases; this lock covers the directory, also while they are made.
fn lock_directory(directory: &Path) -> Result<File> {
    let path = directory.join("lock");
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(|cause| error::from_io("open", &path, cause))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(error::in_use(directory)),
        Err(std::fs::TryLockError::Error(cause)) => Err(error::from_io("open", &path, cause)),
    }
}

fn hash_of(key: &StoredKey) -> KeyHash {
    KeyHash::of(key.as_str().as_bytes())
}

fn stored_key(text: &[u8]) -> Option<StoredKey> {
    StoredKey::parse(std::str::from_utf8(text).ok()?)
}
