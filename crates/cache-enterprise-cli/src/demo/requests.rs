//! What is asked of the cache: generated, or recorded in a file.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cache_enterprise_workload::{
    Catalogue, CatalogueConfig, Operation, OperationKind, Operations, ParameterError, Request,
    RequestKey, Requests, TraceError,
};

use super::item::{Item, ItemKey};
use super::recording::Recording;

/// Largest value of a replay. What was recorded larger is asked for with this size: values stay
/// within what a level takes, and a log of downloads does not become one of compressing.
pub(crate) const BODY_BYTES_MAX: usize = 256 * 1024;

/// One question to the cache.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// Name of the tenant, when the request has one.
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) key: ItemKey,
    /// Tenant and key as one number.
    pub(crate) object: u64,
    /// Bytes of the value, when they were recorded.
    pub(crate) bytes: Option<usize>,
    pub(crate) is_write: bool,
    /// Whether it belongs to the load, or only keeps an outage busy after a file's end.
    pub(crate) is_counted: bool,
}

/// Where requests come from and what values look like.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    catalogue: Catalogue,
    pub(crate) recorded: Option<Recording>,
}

impl Plan {
    pub(crate) fn catalogue(seed: u64) -> Result<Self, ParameterError> {
        let catalogue = Catalogue::new(CatalogueConfig::seeded(seed))?;
        Ok(Self { catalogue, recorded: None })
    }

    /// Replays `recording`. Values have the recorded sizes up to [`BODY_BYTES_MAX`];
    /// where none was recorded, 64 to 1024 bytes by the catalogue's law.
    pub(crate) fn recorded(seed: u64, recording: Recording) -> Result<Self, ParameterError> {
        let config = CatalogueConfig { sizes: 64..=1024, ..CatalogueConfig::seeded(seed) };
        Ok(Self { catalogue: Catalogue::new(config)?, recorded: Some(recording) })
    }

    /// Requests of the load; `None` has no end.
    pub(crate) fn total(&self) -> Option<u64> {
        self.recorded.as_ref().map(|recording| recording.report.read)
    }

    /// The text that the origin gives for an item.
    pub(crate) fn body(&self, ask: &Ask) -> String {
        let law = || self.catalogue.value_size(self.tenant_index(ask), ask.object) as usize;
        self.text(ask, ask.bytes.unwrap_or_else(law))
    }

    /// The text that `item` must have as an answer to `ask`. A recording may give one object
    /// several sizes, and the origin is asked with one of them: there the size is the item's.
    pub(crate) fn expected(&self, ask: &Ask, item: &Item) -> String {
        match self.recorded {
            Some(_) => self.text(ask, item.body.len()),
            None => self.body(ask),
        }
    }

    fn text(&self, ask: &Ask, bytes: usize) -> String {
        let text = self.catalogue.payload_of(self.tenant_index(ask), ask.object, bytes);
        String::from_utf8(text).expect("payloads are made of words")
    }

    pub(crate) fn tenant_name<'a>(&self, ask: &'a Ask) -> &'a str {
        ask.tenant.as_deref().unwrap_or("")
    }

    /// Tenants of a file that the catalogue does not know share the texts of its first one.
    fn tenant_index(&self, ask: &Ask) -> usize {
        let name = self.tenant_name(ask);
        self.catalogue.tenants().iter().position(|tenant| *tenant.name == *name).unwrap_or(0)
    }

    /// The streams of `callers` callers.
    pub(crate) fn streams(&self, callers: u64) -> Result<Vec<Stream>, TraceError> {
        let Some(recording) = &self.recorded else {
            let stream = |number| Stream::Catalogue(Box::new(self.catalogue.operations(number)));
            return Ok((0..callers).map(stream).collect());
        };
        let feed = Arc::new(Feed::open(recording.clone())?);
        Ok((0..callers).map(|_| Stream::Recorded(Arc::clone(&feed))).collect())
    }

    /// An ask of the catalogue's operations.
    fn ask_of(&self, operation: Operation) -> Ask {
        let tenant = Arc::clone(&self.catalogue.tenants()[operation.tenant].name);
        let request = Request { tenant: Some(tenant), ..Request::new(operation.key.into()) };
        Ask { is_write: operation.kind == OperationKind::Write, ..Ask::of(request, true) }
    }

    /// A key that no request asks for.
    pub(crate) fn cold_ask(&self) -> Ask {
        let key = RequestKey::Text("a key nobody asked for before".into());
        Ask::of(Request::new(key), true)
    }
}

impl Ask {
    pub(crate) fn of(request: Request, is_counted: bool) -> Self {
        let object = request.object_id();
        // A reader says 1 where its source says nothing.
        let bytes = (request.size > 1).then(|| BODY_BYTES_MAX.min(request.size as usize));
        let (tenant, key) = (request.tenant, ItemKey(request.key));
        Self { tenant, key, object, bytes, is_write: false, is_counted }
    }
}

/// The requests of one caller.
#[derive(Debug)]
pub(crate) enum Stream {
    Catalogue(Box<Operations>),
    /// Callers share one file, so that requests start in its order.
    Recorded(Arc<Feed>),
}

impl Stream {
    /// The next request. A file starts anew after its end while `goes_on` asks for it.
    pub(crate) fn next(
        &mut self,
        plan: &Plan,
        goes_on: &AtomicBool,
    ) -> Result<Option<Ask>, TraceError> {
        match self {
            Self::Catalogue(operations) => Ok(operations.next().map(|next| plan.ask_of(next))),
            Self::Recorded(feed) => feed.next(goes_on),
        }
    }
}

/// A file that all callers read from. A request is decoded under the lock: that takes less than
/// handing it from a reader's thread to a caller's would.
#[derive(Debug)]
pub(crate) struct Feed {
    recording: Recording,
    state: Mutex<FeedState>,
}

#[derive(Debug)]
struct FeedState {
    requests: Requests,
    is_over: bool,
}

impl Feed {
    fn open(recording: Recording) -> Result<Self, TraceError> {
        let requests = recording.open()?;
        Ok(Self { recording, state: Mutex::new(FeedState { requests, is_over: false }) })
    }

    fn next(&self, goes_on: &AtomicBool) -> Result<Option<Ask>, TraceError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_over && !goes_on.load(Ordering::Acquire) {
            return Ok(None);
        }
        if let Some(request) = state.requests.next() {
            return Ok(Some(Ask::of(request?, !state.is_over)));
        }
        state.is_over = true;
        if !goes_on.load(Ordering::Acquire) {
            return Ok(None);
        }
        state.requests = self.recording.open()?;
        state.requests.next().map(|request| Ok(Ask::of(request?, false))).transpose()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn recorded(csv: &str) -> (Plan, Vec<Ask>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests.csv");
        std::fs::write(&path, csv).unwrap();
        let plan = Plan::recorded(42, Recording::read(&path, None).unwrap()).unwrap();
        let mut stream = plan.streams(1).unwrap().remove(0);
        let once = AtomicBool::new(false);
        let asks = std::iter::from_fn(|| stream.next(&plan, &once).unwrap()).collect();
        (plan, asks)
    }

    fn item(plan: &Plan, ask: &Ask) -> Item {
        let (tenant, key) = (plan.tenant_name(ask).to_owned(), ask.key.0.to_string());
        Item { tenant, key, revision: 0, body: plan.body(ask) }
    }

    #[test]
    fn sizes_and_tenants_of_a_csv_are_those_of_the_values() {
        let (plan, asks) =
            recorded("key,time,size,tenant\n/a,0,5000,acme\n/a,1,,\n/b,2,4000000000,bolt\n");
        let tenants: Vec<_> = asks.iter().map(|ask| plan.tenant_name(ask)).collect();
        assert_eq!(tenants, ["acme", "", "bolt"]);
        let sizes: Vec<_> = asks.iter().map(|ask| plan.body(ask).len()).collect();
        assert_eq!((sizes[0], sizes[2]), (5_000, BODY_BYTES_MAX));
        assert!((64..=1_024).contains(&sizes[1]), "{}", sizes[1]);
        assert_ne!(asks[0].object, asks[1].object, "one key of two tenants is two objects");
    }

    #[test]
    fn an_object_of_two_sizes_is_right_with_either_and_wrong_when_cut() {
        let (plan, asks) = recorded("key,size\n/a,5000\n/a,300\n");
        let mut item = item(&plan, &asks[0]);
        assert_eq!(plan.expected(&asks[1], &item), item.body);
        item.body.truncate(300);
        assert_ne!(plan.expected(&asks[1], &item), item.body);
    }

    #[test]
    fn what_no_cache_stores_is_skipped_at_every_reading() {
        // Colons are escaped, so that the key is three times as long where it is stored.
        let (colons, name) = (":".repeat(3_000), "t".repeat(129));
        let good = "/b,acme\n/c,\n".repeat(10);
        let (plan, asks) = recorded(&format!("key,tenant\n{colons},\n/a,{name}\n{good}"));
        let scanned = plan.recorded.unwrap().report;
        assert_eq!((scanned.read, scanned.skipped), (20, 2));
        let first = scanned.first_skipped.unwrap();
        assert_eq!((first.line, first.reason), (2, "the key is over 8 KiB as a cache stores it"));
        let keys: Vec<_> = asks.iter().map(|ask| ask.key.0.to_string()).collect();
        assert_eq!(keys, ["/b", "/c"].repeat(10));
    }

    #[test]
    fn a_file_that_starts_anew_stops_when_nobody_needs_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests.csv");
        std::fs::write(&path, "key\n1\n2\n3\n").unwrap();
        let feed = Feed::open(Recording::read(&path, None).unwrap()).unwrap();
        let goes_on = AtomicBool::new(true);
        let is_counted = |feed: &Feed| feed.next(&goes_on).unwrap().map(|ask| ask.is_counted);
        let first: Vec<_> = (0..4).map(|_| is_counted(&feed)).collect();
        assert_eq!(first, [Some(true), Some(true), Some(true), Some(false)]);
        goes_on.store(false, Ordering::Release);
        assert_eq!(is_counted(&feed), None, "in the middle of its second reading");
    }
}
