//! What other processes ended, for those who listen to the events of this one.

use std::sync::Arc;

use cache_enterprise_core::coherence::{Change, EpochTarget, Notice};
use cache_enterprise_core::{StoredKey, unescaped};

use crate::events::Happening;
use crate::invalidate::Reach;
use crate::shared::Shared;
use crate::told::target_text;

impl Shared {
    /// Tells listeners what notices ended, once it holds in level 1. Neighbours that one call may
    /// have ended are one happening, as they are where they were ended.
    pub(super) fn retell(&self, notices: &[Notice]) {
        if !self.hub.has_listeners() {
            return;
        }
        for run in notices.chunk_by(belong_together) {
            if let Some(happening) = happening_of(run) {
                self.hub.tell(|| happening);
            }
        }
    }
}

fn belong_together(one: &Notice, next: &Notice) -> bool {
    one.tenant == next.tenant
        && match (&one.change, &next.change) {
            (Change::Key { key, .. }, Change::Key { key: other, .. })
            | (Change::Expired { key }, Change::Expired { key: other }) => {
                key.cache() == other.cache()
            }
            (Change::Raised(_), Change::Raised(_)) => one.at == next.at,
            _ => false,
        }
}

/// What a run of notices tells; nothing where nothing ended.
fn happening_of(run: &[Notice]) -> Option<Happening> {
    let first = run.first()?;
    let tenant = Arc::clone(&first.tenant);
    let keys = || run.iter().filter_map(key_of).map(|key| key.key().to_owned()).collect();
    let cache = |key: &StoredKey| unescaped(key.cache());
    Some(match &first.change {
        Change::Key { key, .. } => Happening::Changed { tenant, cache: cache(key), keys: keys() },
        Change::Expired { key } => {
            Happening::Expired { tenant, cache: cache(key), keys: keys(), is_heard: true }
        }
        Change::Raised(_) => Happening::Ended {
            tenant,
            targets: run.iter().filter_map(target_of).map(target_text).collect(),
            sequence: first.at,
            reach: Reach::Published,
            is_heard: true,
        },
        _ => return None,
    })
}

fn key_of(notice: &Notice) -> Option<&StoredKey> {
    match &notice.change {
        Change::Key { key, .. } | Change::Expired { key } => Some(key),
        _ => None,
    }
}

fn target_of(notice: &Notice) -> Option<&EpochTarget> {
    match &notice.change {
        Change::Raised(target) => Some(target),
        _ => None,
    }
}
