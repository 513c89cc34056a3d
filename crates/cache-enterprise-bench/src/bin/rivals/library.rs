//! What a scenario asks of a library: one small trait, and one adapter of it a library.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

pub(crate) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Loads one key. The value is the version of the origin at the time the load began.
pub(crate) type Load = Box<dyn FnOnce() -> Boxed<u64> + Send>;

/// Loads several keys; called again only for what other callers gave up.
pub(crate) type LoadMany = Box<dyn FnMut(Vec<String>) -> Boxed<Vec<(String, u64)>> + Send>;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The library has no such operation, and this is what it has instead.
    NotOffered(&'static str),
    /// The library answered with an error.
    Failed(String),
}

impl Refusal {
    pub(crate) fn failed(error: impl ToString) -> Self {
        Self::Failed(error.to_string())
    }
}

pub(crate) type Answer<T> = Result<T, Refusal>;

/// A library under its best documented settings for the scenarios.
#[async_trait]
pub(crate) trait Library: Sync {
    fn name(&self) -> &'static str;

    fn version(&self) -> String;

    /// An empty cache in memory.
    async fn alone(&self) -> Answer<Arc<dyn Instance>>;

    /// An empty tier that several instances share.
    async fn shared(&self) -> Answer<Box<dyn SharedTier>> {
        Err(Refusal::NotOffered("it has no tier that instances share"))
    }
}

/// A cache as one process has it.
#[async_trait]
pub(crate) trait Instance: Send + Sync {
    /// The value under `key`, loaded and labelled with `tag` where it is not there. A library
    /// without tags leaves the label out.
    async fn get_or_load(&self, key: &str, tag: Option<&str>, load: Load) -> Answer<u64>;

    /// Removes a key the way the library documents; done when this returns.
    async fn remove(&self, key: &str) -> Answer<()>;

    /// Invalidates all entries with this tag; done when this returns.
    async fn invalidate_tag(&self, tag: &str) -> Answer<()>;

    /// The values under `keys` in their order, missing ones loaded together.
    async fn get_many(&self, _keys: Vec<String>, _load: LoadMany) -> Answer<Vec<u64>> {
        Err(Refusal::NotOffered("it has no load of several keys"))
    }
}

/// A tier that outlives the instances over it.
#[async_trait]
pub(crate) trait SharedTier: Send + Sync {
    /// A new instance over the tier, with nothing in its own memory.
    async fn join(&self) -> Answer<Arc<dyn Instance>>;

    /// From now on the tier answers every call with an error, and so does what it keeps of
    /// invalidations.
    fn fail(&self);
}

/// The version of a package that this binary was built with.
pub(crate) fn locked(package: &str) -> String {
    let lock = include_str!("../../../../../Cargo.lock");
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = "));
    version.expect("the lock file holds every dependency").trim_matches('"').to_owned()
}
