//! How a disk backend is asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cache_enterprise_core::{Clock, Error, GIB, MIB, Result};

use crate::DiskBackend;
use crate::upkeep::Sizes;

/// Smallest budget: below it the fixed files of the store would outweigh the entries.
const BUDGET_BYTES_MIN: u64 = 16 * MIB;
const CACHE_BYTES_MAX: u64 = 64 * MIB;

/// Options of a [`DiskBackend`].
///
/// ```
/// use cache_enterprise_core::{GIB, mins};
/// use cache_enterprise_disk::Disk;
///
/// let disk = Disk::at("var/cache").budget(4 * GIB).sweep_every(mins(5));
/// assert_eq!(disk.directory().to_str(), Some("var/cache"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing happens until it is opened"]
pub struct Disk {
    directory: PathBuf,
    budget: u64,
    block_cache: Option<u64>,
    sweep_every: Duration,
    clock: Option<Clock>,
}

impl Disk {
    /// A backend in `directory`, which is made when it is not there. It belongs to one backend
    /// of one process at a time.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            budget: GIB,
            block_cache: None,
            sweep_every: Duration::from_secs(60),
            clock: None,
        }
    }

    /// Bytes the directory is held to. Entries leave oldest first; a quarter is headroom for
    /// copying, so that at least half of the budget, the newest, is readable. At least 16 MiB.
    /// Default: 1 GiB.
    pub fn budget(mut self, bytes: u64) -> Self {
        self.budget = bytes;
        self
    }

    /// Bytes of memory for blocks that were read. Default: an eighth of the budget, at most
    /// 64 MiB.
    pub fn block_cache(mut self, bytes: u64) -> Self {
        self.block_cache = Some(bytes);
        self
    }

    /// How often a bounded round looks for expired entries to free their space. They are misses
    /// from their millisecond on, swept or not. Default: 60 s.
    pub fn sweep_every(mut self, every: Duration) -> Self {
        self.sweep_every = every;
        self
    }

    /// The clock that dates entries. Default: a clock of its own that follows the machine.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The directory it will live in.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The bytes the directory is held to.
    pub fn budget_bytes(&self) -> u64 {
        self.budget
    }

    /// Whether it could be opened as far as its options tell; nothing is touched.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) when the budget is below 16 MiB.
    pub fn check(&self) -> Result<()> {
        if self.budget >= BUDGET_BYTES_MIN {
            return Ok(());
        }
        Err(Error::config("the budget of the disk is too small; give it 16 MiB or more")
            .with("directory", self.directory.display())
            .with("bytes", self.budget))
    }

    /// Largest value that is kept.
    pub(crate) fn value_bytes_max(&self) -> usize {
        Sizes::of(self.budget).value
    }

    /// Opens the directory, or makes it, on a blocking thread. Needs a tokio runtime.
    ///
    /// Cost: the journal of the front is replayed, and that of one being copied when the process
    /// was killed (each a sixteenth of the budget, at most 64 MiB, double after a burst);
    /// generations are opened by their index. Fronts are in memory as long as they are open.
    ///
    /// # Errors
    /// [`Config`](cache_enterprise_core::ErrorKind::Config) when the budget is below 16 MiB,
    /// [`Conflict`](cache_enterprise_core::ErrorKind::Conflict) when the directory is in use,
    /// [`Corrupt`](cache_enterprise_core::ErrorKind::Corrupt) when the store is damaged,
    /// [`Io`](cache_enterprise_core::ErrorKind::Io) when it cannot be read or written.
    pub async fn open(self) -> Result<Arc<DiskBackend>> {
        self.check()?;
        let sizes = Sizes::of(self.budget);
        let cache = self.block_cache.unwrap_or((self.budget / 8).min(CACHE_BYTES_MAX));
        let clock = self.clock.unwrap_or_default();
        let (directory, sweep_every) = (self.directory, self.sweep_every);
        let opening = tokio::task::spawn_blocking(move || {
            DiskBackend::open(directory, sizes, cache, sweep_every, clock)
        });
        opening.await.map_err(|failed| {
            Error::new(cache_enterprise_core::ErrorKind::Unavailable, "opening did not finish")
                .operation("open")
                .source_error(failed)
        })?
    }
}
