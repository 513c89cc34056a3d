//! How a loaded value is kept: what its call wants, and what its loader told.

use std::ops::Deref;
use std::sync::Arc;

use cache_enterprise_core::{CacheKey, Tag};

use crate::cache::Cache;
use crate::filling::Said;
use crate::options::{Life, Options};
use crate::read::Call;

/// How a loaded value is kept: as the call wants, overridden by what the loader told.
pub(crate) struct Settled<'a> {
    pub(crate) options: Chosen<'a>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) etag: Option<Box<str>>,
    /// Whether it is kept at all.
    pub(crate) is_stored: bool,
    /// What the loader said of the value.
    pub(crate) said: Said,
}

/// The options of a call, or a copy in which its loader changed some: boxed, since few have one and
/// all are moved.
pub(crate) enum Chosen<'a> {
    Given(&'a Options),
    Changed(Box<Options>),
}

impl Chosen<'_> {
    pub(crate) fn to_mut(&mut self) -> &mut Options {
        if let Self::Given(options) = self {
            *self = Self::Changed(Box::new(**options));
        }
        match self {
            Self::Changed(options) => options,
            Self::Given(_) => unreachable!("it was changed above"),
        }
    }
}

impl Deref for Chosen<'_> {
    type Target = Options;

    fn deref(&self) -> &Options {
        match self {
            Self::Given(options) => options,
            Self::Changed(options) => options,
        }
    }
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// What holds for a value that was just loaded.
    pub(crate) fn settled<'a>(&'a self, call: &'a Call) -> Settled<'a> {
        let told = call.owned.as_ref().map(|owned| owned.told.lock().clone()).unwrap_or_default();
        let mut options = Chosen::Given(self.options(call));
        if let Some(ttl) = told.ttl {
            options.to_mut().ttl = Some(Life::For(ttl));
        }
        if told.stale_for.is_some() {
            options.to_mut().stale_for = told.stale_for;
        }
        let mut tags = call.tags.clone();
        tags.extend(told.tags);
        let has_invalid = tags.iter().any(Tag::is_invalid);
        tags.extend(call.parents.iter().cloned());
        for (tenant, parents) in told.parents {
            match Arc::ptr_eq(&tenant, &self.view.tenant) {
                true => tags.extend(parents),
                // A tag that no entry can carry keeps the value from being stored.
                false => tags.push(Tag::from("")),
            }
        }
        let is_kept = !told.is_skipped && !call.access.is_read_only();
        let is_stored = is_kept && !has_invalid && !tags.iter().any(Tag::is_unstorable);
        Settled { options, tags, etag: told.etag, is_stored, said: told.said }
    }
}
