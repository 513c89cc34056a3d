//! What is asked of the cache: generated, or recorded in a file.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cache_enterprise_workload::{
    self as workload, Catalogue, CatalogueConfig, OperationKind, Operations, ParameterError,
    Request, RequestKey, Requests, TraceError,
};

use super::item::ItemKey;

/// One question to the cache.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// Name of the tenant, when the request has one.
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) key: ItemKey,
    /// Tenant and key as one number.
    pub(crate) object: u64,
    pub(crate) is_write: bool,
    /// Whether it belongs to the load, or only keeps an outage busy after a file's end.
    pub(crate) is_counted: bool,
}

/// Where requests come from and what values look like.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    catalogue: Catalogue,
    pub(crate) recorded: Option<workload::Report>,
}

impl Plan {
    pub(crate) fn catalogue(seed: u64) -> Result<Self, ParameterError> {
        let catalogue = Catalogue::new(CatalogueConfig::seeded(seed))?;
        Ok(Self { catalogue, recorded: None })
    }

    /// Replays the file of `scanned`. Values get sizes from the catalogue's law: recorded sizes
    /// are missing as often as not, and are larger than a cache takes as often as not.
    pub(crate) fn recorded(seed: u64, scanned: workload::Report) -> Result<Self, ParameterError> {
        let config = CatalogueConfig { sizes: 64..=1024, ..CatalogueConfig::seeded(seed) };
        Ok(Self { catalogue: Catalogue::new(config)?, recorded: Some(scanned) })
    }

    /// Requests of the load; `None` has no end.
    pub(crate) fn total(&self) -> Option<u64> {
        self.recorded.as_ref().map(|scanned| scanned.read)
    }

    /// The text that belongs to an item: the same whenever it is asked for.
    pub(crate) fn body(&self, ask: &Ask) -> String {
        let index = ask.tenant.as_deref().map_or(0, |name| self.tenant_index(name));
        let text = self.catalogue.payload(index, ask.object);
        String::from_utf8(text).expect("payloads are made of words")
    }

    pub(crate) fn tenant_name<'a>(&self, ask: &'a Ask) -> &'a str {
        ask.tenant.as_deref().unwrap_or("")
    }

    /// Tenants of a file that the catalogue does not know share the texts of its first one.
    fn tenant_index(&self, name: &str) -> usize {
        self.catalogue.tenants().iter().position(|tenant| *tenant.name == *name).unwrap_or(0)
    }

    /// The streams of `callers` callers.
    pub(crate) fn streams(&self, callers: u64) -> Result<Vec<Stream>, TraceError> {
        let Some(scanned) = &self.recorded else {
            let stream = |number| Stream::Catalogue(Box::new(self.catalogue.operations(number)));
            return Ok((0..callers).map(stream).collect());
        };
        let feed = Arc::new(Feed::open(scanned.path.clone())?);
        Ok((0..callers).map(|_| Stream::Recorded(Arc::clone(&feed))).collect())
    }

    /// An ask of the catalogue's operations.
    fn ask_of(&self, operation: workload::Operation) -> Ask {
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
    fn of(request: Request, is_counted: bool) -> Self {
        let object = request.object_id();
        let (tenant, key) = (request.tenant, ItemKey(request.key));
        Self { tenant, key, object, is_write: false, is_counted }
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
    path: PathBuf,
    state: Mutex<FeedState>,
}

#[derive(Debug)]
struct FeedState {
    requests: Requests,
    is_over: bool,
}

impl Feed {
    fn open(path: PathBuf) -> Result<Self, TraceError> {
        let requests = workload::open(&path)?;
        Ok(Self { path, state: Mutex::new(FeedState { requests, is_over: false }) })
    }

    fn next(&self, goes_on: &AtomicBool) -> Result<Option<Ask>, TraceError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(request) = state.requests.next() {
            return Ok(Some(Ask::of(request?, !state.is_over)));
        }
        state.is_over = true;
        if !goes_on.load(Ordering::Acquire) {
            return Ok(None);
        }
        state.requests = workload::open(&self.path)?;
        state.requests.next().map(|request| Ok(Ask::of(request?, false))).transpose()
    }
}
