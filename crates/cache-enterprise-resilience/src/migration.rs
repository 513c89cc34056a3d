//! Moving what one backend holds to another: copied, compared, then removed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::envelope::Header;
use cache_enterprise_core::{
    Backend, Clock, Error, ErrorKind, KeyPrefix, OpContext, Put, PutOutcome, Result, Sequence,
    StoredKey, Swapped,
};
use tokio::time::Instant;

/// Keys asked for at a time.
const PAGE: usize = 256;

/// How often an entry is exchanged for what is found in its place, before it is left where it is.
const SWAPS_MAX: usize = 8;

/// What an entry is called, and what it is, in the backend it moves to.
type Renamed = (StoredKey, Bytes);
type Rewrite = Box<dyn Fn(&StoredKey, &Bytes) -> Result<Renamed> + Send + Sync>;
type Only = Box<dyn Fn(&StoredKey) -> bool + Send + Sync>;

/// A move of entries from one backend to another, key by key: read, put, read back and compared,
/// then removed. Life, version and tags travel in the bytes, which are not opened.
///
/// Not atomic: it walks what the source lists while others write. With a
/// [`MigratingTier`](crate::MigratingTier) over both, nothing that is written, replaced or removed
/// meanwhile is lost or comes back, provided that the target remembers removals
/// ([`Capabilities::fence`](cache_enterprise_core::Capabilities::fence)); a target that does not is
/// refused unless nobody uses it yet, see [`offline`](Self::offline). Of two values of one version
/// the target keeps its own where it can [swap](cache_enterprise_core::Capabilities::swap); else the
/// source's is put over it. Of what is kept beside the entries, such as dictionaries, all versions
/// are one, and the copy that lives longer stays.
///
/// It is paused by a budget and goes on from the cursor of its report; a key that was moved
/// twice is moved once. Costs three calls a key besides the listing.
///
/// ```
/// use cache_enterprise_core::{Backend, Clock, KeyPrefix, Result};
/// use cache_enterprise_resilience::Migration;
/// use std::sync::Arc;
///
/// async fn move_all(old: Arc<dyn Backend>, new: Arc<dyn Backend>) -> Result<()> {
///     let mut from = None;
///     loop {
///         let all = KeyPrefix::manager("shop");
///         let migration = Migration::new(old.clone(), new.clone(), all, Clock::system());
///         let report = migration.resume(from).keys_max(10_000).rate(2_000).run().await?;
///         println!("{report}");
///         from = report.next;
///         if from.is_none() {
///             return Ok(());
///         }
///     }
/// }
/// ```
pub struct Migration {
    from: Arc<dyn Backend>,
    to: Arc<dyn Backend>,
    prefix: KeyPrefix,
    clock: Clock,
    only: Option<Only>,
    rewrite: Option<Rewrite>,
    cursor: Option<Bytes>,
    keys_max: usize,
    rate: Option<u32>,
    is_dry: bool,
    keeps_source: bool,
    keeps: Option<Only>,
    is_offline: bool,
}

/// What a [`Migration`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MigrationReport {
    /// Keys that the source listed and the filter let pass.
    pub seen: u64,
    /// Entries that stand in the target as they stood in the source; in a dry run those that
    /// would.
    pub moved: u64,
    /// Entries that something newer stands for in the target, a value or a removal.
    pub overtaken: u64,
    /// Entries whose life was over, or that were gone when they were read.
    pub ended: u64,
    /// Keys whose bytes are no entry, or cannot be written anew; they stay where they are.
    pub unreadable: u64,
    /// Entries that the target did not keep; they stay where they are.
    pub refused: u64,
    /// Bytes of the entries that were moved.
    pub bytes: u64,
    /// Where to go on; `None` when everything was seen.
    pub next: Option<Bytes>,
    /// Whether nothing was written.
    pub is_dry: bool,
}

impl fmt::Display for MigrationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seen, moved, overtaken, ended, unreadable, refused, bytes, next, is_dry } = self;
        let verb = if *is_dry { "would move" } else { "moved" };
        write!(f, "{verb} {moved} of {seen} entries, {bytes} bytes; overtaken {overtaken}, ")?;
        write!(f, "ended {ended}, unreadable {unreadable}, refused {refused}; ")?;
        f.write_str(if next.is_some() { "not at the end yet" } else { "everything seen" })
    }
}

/// What became of one key.
enum Moved {
    Whole(usize),
    Overtaken,
    Ended,
    Unreadable,
    Refused,
}

impl Migration {
    /// Everything under `prefix`. `clock` says how long entries have left.
    pub fn new(
        from: Arc<dyn Backend>,
        to: Arc<dyn Backend>,
        prefix: KeyPrefix,
        clock: Clock,
    ) -> Self {
        Self {
            from,
            to,
            prefix,
            clock,
            only: None,
            rewrite: None,
            cursor: None,
            keys_max: usize::MAX,
            rate: None,
            is_dry: false,
            keeps_source: false,
            keeps: None,
            is_offline: false,
        }
    }

    /// Moves only keys that `only` says yes to. Default: all.
    #[must_use]
    pub fn only(mut self, only: impl Fn(&StoredKey) -> bool + Send + Sync + 'static) -> Self {
        self.only = Some(Box::new(only));
        self
    }

    /// Puts under another key, with bytes that belong to it: an entry is sealed to its key.
    /// Default: as they are.
    #[must_use]
    pub fn rewriting(
        mut self,
        rewrite: impl Fn(&StoredKey, &Bytes) -> Result<(StoredKey, Bytes)> + Send + Sync + 'static,
    ) -> Self {
        self.rewrite = Some(Box::new(rewrite));
        self
    }

    /// Goes on where a report ended. Default: at the beginning.
    #[must_use]
    pub fn resume(mut self, cursor: Option<Bytes>) -> Self {
        self.cursor = cursor;
        self
    }

    /// Stops after so many keys, at the end of a page of 256 at most. Default: at the end.
    #[must_use]
    pub fn keys_max(mut self, keys: usize) -> Self {
        self.keys_max = keys.max(1);
        self
    }

    /// Looks at this many keys a second at most, over the runs of one cursor: one that a budget ends
    /// answers when the next may begin. Default: as many as it can.
    #[must_use]
    pub fn rate(mut self, keys_per_second: u32) -> Self {
        self.rate = Some(keys_per_second.max(1));
        self
    }

    /// Writes and removes nothing, and tells what it would do. Default: it does it.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.is_dry = true;
        self
    }

    /// Copies, and leaves the source as it is. Default: what stands in the target is removed.
    #[must_use]
    pub fn keep_source(mut self) -> Self {
        self.keeps_source = true;
        self
    }

    /// Copies those keys that `keeps` says yes to, and leaves them in the source: what entries need
    /// that are not moved. Default: none.
    #[must_use]
    pub fn keep_source_of(
        mut self,
        keeps: impl Fn(&StoredKey) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.keeps = Some(Box::new(keeps));
        self
    }

    /// Nobody writes or removes while it runs, so that the target need not remember removals.
    #[must_use]
    pub fn offline(mut self) -> Self {
        self.is_offline = true;
        self
    }

    /// Moves until the end, the budget or the first failure of a backend.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the source cannot list its keys;
    /// [`ErrorKind::Config`] where the target forgets removals and others may write; else what a
    /// backend answered. What was moved before stays moved: running again from the last cursor, or
    /// from the beginning, moves the rest.
    pub async fn run(self) -> Result<MigrationReport> {
        if !self.to.capabilities().fence && !self.is_offline && !self.is_dry {
            let text = "the target forgets removals, so that a value removed meanwhile would come \
                        back; stop the writers and say `.offline()`";
            return Err(Error::config(text).operation("migrate").with("to", self.to.name()));
        }
        let mut report = MigrationReport { is_dry: self.is_dry, ..MigrationReport::default() };
        let mut from = self.cursor.clone();
        let mut left = self.keys_max;
        loop {
            let begun = Instant::now();
            let page = self.from.scan(&self.prefix, from, left.min(PAGE)).await?;
            let listed = page.keys.len();
            for key in page.keys {
                if self.only.as_ref().is_none_or(|only| only(&key)) {
                    self.note(&mut report, self.move_one(&key).await?);
                }
            }
            left = left.saturating_sub(listed);
            from = page.next;
            if from.is_none() {
                return Ok(report);
            }
            // Also before a budget ends the run, since the next one goes on at once.
            if let Some(rate) = self.rate {
                let due = Duration::from_secs_f64(listed as f64 / f64::from(rate));
                tokio::time::sleep_until(begun + due).await;
            }
            if left == 0 {
                report.next = from;
                return Ok(report);
            }
        }
    }

    fn note(&self, report: &mut MigrationReport, moved: Moved) {
        report.seen += 1;
        match moved {
            Moved::Whole(bytes) => {
                report.moved += 1;
                report.bytes += bytes as u64;
            }
            Moved::Overtaken => report.overtaken += 1,
            Moved::Ended => report.ended += 1,
            Moved::Unreadable => report.unreadable += 1,
            Moved::Refused => report.refused += 1,
        }
    }

    async fn move_one(&self, key: &StoredKey) -> Result<Moved> {
        let ctx = OpContext::default();
        let Some(bytes) = self.from.get(key, &ctx).await? else { return Ok(Moved::Ended) };
        let Ok(header) = Header::read(&bytes) else { return Ok(Moved::Unreadable) };
        let rest = header.expires_wall_ms.map(|at| at.saturating_sub(self.clock.wall_ms()));
        if rest.is_some_and(|rest| rest <= 0) {
            return Ok(Moved::Ended);
        }
        let renamed = match &self.rewrite {
            None => Ok((key.clone(), bytes.clone())),
            Some(rewrite) => rewrite(key, &bytes),
        };
        let Ok((to, sealed)) = renamed else { return Ok(Moved::Unreadable) };
        if self.is_dry {
            return Ok(Moved::Whole(sealed.len()));
        }
        let ttl = rest.map(|rest| Duration::from_millis(rest.unsigned_abs()));
        let how = Put { ttl, version: header.sequence };
        let moved = self.place(&to, &sealed, how).await?;
        let is_gone = matches!(moved, Moved::Whole(_) | Moved::Overtaken);
        let is_kept = self.keeps_source || self.keeps.as_ref().is_some_and(|keeps| keeps(key));
        if is_gone && !is_kept {
            self.from.remove(key, header.sequence, &ctx).await?;
        }
        Ok(moved)
    }

    /// Puts an entry where nothing newer stands.
    async fn place(&self, to: &StoredKey, sealed: &Bytes, how: Put) -> Result<Moved> {
        let placed = match self.to.capabilities().swap {
            true => self.exchange(to, sealed, how).await,
            false => self.put(to, sealed, how).await,
        };
        match placed {
            Err(error) if error.kind() == ErrorKind::TooLarge => Ok(Moved::Refused),
            placed => placed,
        }
    }

    async fn put(&self, to: &StoredKey, sealed: &Bytes, how: Put) -> Result<Moved> {
        match self.to.put(to, sealed.clone(), how, &OpContext::default()).await? {
            PutOutcome::Stored => self.compare(to, sealed, how.version).await,
            PutOutcome::Fenced => Ok(Moved::Overtaken),
            PutOutcome::Refused => Ok(Moved::Refused),
        }
    }

    /// Takes the place of nothing, or of what is older. A put would also take that of another value
    /// of the same version, which may be younger: loads that no invalidation lies between share
    /// one.
    async fn exchange(&self, to: &StoredKey, sealed: &Bytes, how: Put) -> Result<Moved> {
        let (mut expected, ctx) = (Sequence::ZERO, OpContext::default());
        for _ in 0..SWAPS_MAX {
            expected = match self.to.swap(to, sealed.clone(), how, expected, &ctx).await? {
                Swapped::Stored => return self.compare(to, sealed, how.version).await,
                Swapped::Fenced => return Ok(Moved::Overtaken),
                Swapped::Refused => return Ok(Moved::Refused),
                Swapped::Changed(version) if version > how.version => return Ok(Moved::Overtaken),
                Swapped::Changed(version) if version == how.version => {
                    match self.to.get(to, &ctx).await? {
                        None => Sequence::ZERO,
                        Some(read) if read == sealed => return Ok(Moved::Whole(sealed.len())),
                        Some(read) => match Header::read(&read) {
                            // What moves may need it longer than what is there.
                            Ok(stands) if to.is_reserved() && ends_before(&stands, sealed) => {
                                version
                            }
                            // An older header is no damage: what an `expire` ended stands under
                            // the number of the end.
                            Ok(_) => return Ok(Moved::Overtaken),
                            Err(_) => return Err(self.damaged()),
                        },
                    }
                }
                Swapped::Changed(version) => version,
            };
        }
        Ok(Moved::Refused)
    }

    /// Whether what was put is what is read.
    async fn compare(&self, key: &StoredKey, put: &Bytes, version: Sequence) -> Result<Moved> {
        let Some(read) = self.to.get(key, &OpContext::default()).await? else {
            return Ok(Moved::Refused);
        };
        if read == put {
            return Ok(Moved::Whole(put.len()));
        }
        match Header::read(&read) {
            Ok(header) if header.sequence >= version => Ok(Moved::Overtaken),
            _ => Err(self.damaged()),
        }
    }

    fn damaged(&self) -> Error {
        let text = "the target gives other bytes than it was given";
        Error::new(ErrorKind::Corrupt, text).with("to", self.to.name())
    }
}

/// Whether what `stands` is over before what would take its place.
fn ends_before(stands: &Header, sealed: &Bytes) -> bool {
    let end = |header: &Header| header.expires_wall_ms.unwrap_or(i64::MAX);
    Header::read(sealed).is_ok_and(|sealed| end(stands) < end(&sealed))
}

impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migration")
            .field("from", &self.from.name())
            .field("to", &self.to.name())
            .field("prefix", &self.prefix)
            .field("is_dry", &self.is_dry)
            .finish_non_exhaustive()
    }
}
