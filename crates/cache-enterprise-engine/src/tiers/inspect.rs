//! Looking at what lies in the tiers, without a type and without serving it.

use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::coherence::EpochTarget;
use cache_enterprise_core::{
    CacheKey, KeySpace, Millis, NEVER, OpContext, Result, Sequence, StoredKey, Tag,
};

use super::Stack;
use crate::manager::CacheManager;
use crate::path::{name_of, text_of_name};
use crate::route::name_in;
use crate::shared::TenantState;

/// The copy of an entry in one tier.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoredEntry {
    /// Number of the level, from 2; 0 for a backend beside the levels.
    pub level: u8,
    /// Name of its backend.
    pub tier: String,
    /// Whether a read would serve it.
    pub state: StoredState,
    /// The tenant's sequence from before the value was made.
    pub version: Sequence,
    /// Time since the value was made.
    pub age: Duration,
    /// What is left of its fresh life; `None` for no end.
    pub fresh_for: Option<Duration>,
    /// What is left until it is gone; `None` for no end.
    pub kept_for: Option<Duration>,
    /// Its labels, the [reserved](Tag::is_reserved) ones included.
    pub tags: Vec<Tag>,
    /// Number of its layout.
    pub schema: u64,
    /// Number of its codec, see [`Format::id`](cache_enterprise_core::Format::id).
    pub codec: u8,
    /// Number of its compressor; zero for none.
    pub compressor: u8,
    /// Bytes that lie in the tier.
    pub stored_bytes: usize,
    /// The encoded value, inflated.
    pub payload: Bytes,
}

/// Whether a read would serve a stored copy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoredState {
    /// It is served.
    Fresh,
    /// It answers only where its load fails and the cache allows that.
    Stale,
    /// Its life ended.
    Expired,
    /// This target was invalidated after the value was made.
    Invalidated(EpochTarget),
    /// Its key was written or removed later; the tier was not told yet.
    Superseded,
}

impl StoredState {
    /// Whether a read may serve it, be it as a fallback.
    pub fn is_usable(&self) -> bool {
        matches!(self, Self::Fresh | Self::Stale)
    }
}

impl<C> CacheManager<C> {
    /// What the tiers hold under `key` of this tenant's cache `cache`, top first: dates, labels,
    /// formats, the encoded value, and whether a read would serve it. Levels without the key are
    /// left out; nothing climbs and nothing is counted. Reads every tier: for administration.
    ///
    /// # Errors
    /// When a name or the key cannot be stored, when a tier or the stored epochs cannot be read,
    /// or when the bytes under the key are not an entry of this manager.
    pub async fn inspect<K: CacheKey>(&self, cache: &str, key: &K) -> Result<Vec<StoredEntry>> {
        let Some(stack) = self.stack() else { return Ok(Vec::new()) };
        let cache = &name_in(self.route.as_ref(), cache);
        let key = KeySpace::new(&self.shared.name, &self.tenant.name, cache)?.key(key)?;
        stack.restore(&self.tenant).await?;
        let mut found = Vec::new();
        for index in 0..stack.levels.len() {
            found.extend(stack.inspect_level(index, &self.tenant, cache, &key, &[]).await?);
        }
        Ok(found)
    }
}

impl Stack {
    /// What the level at `index` holds; `labels` are tags that the key has besides those in the
    /// bytes.
    pub(super) async fn inspect_level(
        &self,
        index: usize,
        tenant: &TenantState,
        cache: &str,
        key: &StoredKey,
        labels: &[Tag],
    ) -> Result<Option<StoredEntry>> {
        let level = &self.levels[index];
        let in_tier = |error: cache_enterprise_core::Error| error.with("tier", &level.name);
        let read = level.backend.get(key, &OpContext::default()).await;
        let Some(bytes) = read.map_err(in_tier)? else { return Ok(None) };
        self.fetch_dictionary(index, key, &bytes).await;
        let envelope = self.pipeline.unpack(key, &bytes).map_err(in_tier)?;
        let (header, body) = (envelope.header, envelope.body);
        let date = |wall_ms: Option<i64>| wall_ms.map_or(NEVER, |at| self.clock.at_wall(at));
        let now = self.clock.now();
        let expires = date(header.expires_wall_ms);
        let fresh_until = date(body.fresh_until_wall_ms).min(expires);
        let version = header.sequence;
        let tags: Vec<Tag> = body.tags.iter().chain(labels).cloned().collect();
        let state = if !self.knows(index, key, version) {
            StoredState::Superseded
        } else if let Some(target) = invalidated(tenant, cache, key, &tags, version) {
            StoredState::Invalidated(target)
        } else if now >= expires {
            StoredState::Expired
        } else if now >= fresh_until || is_softly_ended(tenant, cache, key, &tags, version) {
            StoredState::Stale
        } else {
            StoredState::Fresh
        };
        Ok(Some(StoredEntry {
            level: level.number,
            tier: level.name.clone(),
            state,
            version,
            age: Duration::from_millis(
                now.saturating_sub(self.clock.at_wall(body.created_wall_ms)),
            ),
            fresh_for: left(now, fresh_until),
            kept_for: left(now, expires),
            tags: body.tags,
            schema: body.schema,
            codec: body.codec,
            compressor: body.compressor,
            stored_bytes: bytes.len(),
            payload: body.payload,
        }))
    }
}

/// What of an entry's targets was invalidated after its version, if anything: the nearest first.
fn invalidated(
    tenant: &TenantState,
    cache: &str,
    key: &StoredKey,
    tags: &[Tag],
    version: Sequence,
) -> Option<EpochTarget> {
    let epochs = &tenant.epochs;
    let cells = epochs.tag_cells(tags.iter().cloned());
    if let Some(cell) = cells.iter().find(|cell| cell.epoch() > version) {
        return Some(EpochTarget::Tag(cell.name().clone()));
    }
    let cell = epochs.cache_cell(cache);
    if cell.epoch() > version {
        return Some(EpochTarget::Cache(cell.name().clone()));
    }
    let text = text_of_name(name_of(key));
    if let Some(pattern) = epochs.ending_pattern(version, &cell, &text) {
        return Some(EpochTarget::Pattern(cell.name().clone(), pattern));
    }
    (!epochs.is_valid(version, &cell, &cells, || text)).then_some(EpochTarget::Tenant)
}

/// Whether a soft invalidation of one of its targets ended an entry's fresh life.
fn is_softly_ended(
    tenant: &TenantState,
    cache: &str,
    key: &StoredKey,
    tags: &[Tag],
    version: Sequence,
) -> bool {
    let epochs = &tenant.epochs;
    let cells = epochs.tag_cells(tags.iter().cloned());
    let text = || text_of_name(name_of(key));
    epochs.is_ended(version, &epochs.cache_cell(cache), &cells, text)
}

fn left(now: Millis, until: Millis) -> Option<Duration> {
    (until != NEVER).then(|| Duration::from_millis(until.saturating_sub(now)))
}
