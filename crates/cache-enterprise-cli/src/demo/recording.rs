//! A file of recorded requests, as one that is read time and again.

use std::path::Path;

use cache_enterprise::core::{KEY_BYTES_MAX, KeySpace, check_name};
use cache_enterprise_workload::{
    self as workload, Report, Request, RequestKey, Requests, TraceError,
};

use super::item::ItemKey;
use super::levels::NAME_LONGEST;
use super::world::ITEMS;

/// A file that was read once, so that damage shows before anything runs.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    /// What that reading found.
    pub(crate) report: Report,
}

impl Recording {
    /// Reads the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, TraceError> {
        Ok(Self { report: open(path)?.scan()? })
    }

    /// The requests from the first on.
    pub(crate) fn open(&self) -> Result<Requests, TraceError> {
        open(&self.report.path)
    }
}

/// The requests of a file that a cache can be asked. Every reading skips the same lines.
fn open(path: &Path) -> Result<Requests, TraceError> {
    Ok(workload::open(path)?.only(storable))
}

/// Refuses keys and tenants that no cache stores: asking for one is an error of its caller.
fn storable(request: &Request) -> Result<(), &'static str> {
    let tenant = request.tenant.as_deref().unwrap_or_default();
    if !tenant.is_empty() && check_name("tenant", tenant).is_err() {
        return Err("the name of the tenant is over 128 bytes");
    }
    let RequestKey::Text(key) = &request.key else { return Ok(()) };
    // A byte becomes three at most. Nearly every key is told from its length.
    let names = NAME_LONGEST.len() + ITEMS.name().len() + 3;
    if 3 * (key.len() + tenant.len()) + names <= KEY_BYTES_MAX {
        return Ok(());
    }
    let space = KeySpace::new(NAME_LONGEST, tenant, ITEMS.name());
    let stored = space.and_then(|space| space.key(&ItemKey(request.key.clone())));
    stored.map(drop).map_err(|_| "the key is over 8 KiB as a cache stores it")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_longest_key_is_the_one_that_a_cache_still_stores() {
        for tenant in [None, Some("{acme}"), Some("é")] {
            let space = KeySpace::new(NAME_LONGEST, tenant.unwrap_or_default(), ITEMS.name());
            let room = KEY_BYTES_MAX - space.unwrap().key(&String::new()).unwrap().len();
            let of_length = |length: usize| {
                let key = RequestKey::Text("x".repeat(length).into());
                storable(&Request { tenant: tenant.map(Arc::from), ..Request::new(key) })
            };
            assert_eq!((of_length(room).is_ok(), of_length(room + 1).is_ok()), (true, false));
        }
    }
}
