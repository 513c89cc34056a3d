//! Several keys in one call, with a report that says of each what became of it.

use std::fmt;
use std::time::Duration;

use cache_enterprise_core::{CacheKey, CacheLevel, Cached, Error, ErrorKind, Result, SetOutcome};

use crate::cache::Cache;
use crate::filling::Said;
use crate::options::{Life, Options};

/// What became of each key of a bulk call, in the order of the call.
///
/// ```
/// use cache_enterprise_core::{Capacity, mins};
/// use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};
///
/// static USERS: CacheSpec<u64, String> = CacheSpec::new("users").ttl(mins(5));
/// let users = CacheManager::in_memory(Capacity::entries(100))?.open(&USERS)?;
/// block_on(async {
///     let report = users.bulk_set([(1_u64, "Ada"), (2, "Bob")], Some(mins(1))).await;
///     assert!(report.is_complete());
///     let found = users.bulk_get(&[1, 3]).await;
///     assert_eq!(found.iter().filter(|(_, found)| matches!(found, Ok(Some(_)))).count(), 1);
///     assert_eq!(users.bulk_delete(&[1, 2]).await.succeeded(), 2);
/// });
/// # Ok::<(), cache_enterprise_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BulkReport<K, T> {
    results: Vec<(K, Result<T>)>,
}

impl<K, T> BulkReport<K, T> {
    /// Each key and what became of it.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Result<T>)> {
        self.results.iter().map(|(key, result)| (key, result))
    }

    /// The keys that failed, and why.
    pub fn failed(&self) -> impl Iterator<Item = (&K, &Error)> {
        self.iter().filter_map(|(key, result)| Some((key, result.as_ref().err()?)))
    }

    /// How many did not fail.
    pub fn succeeded(&self) -> usize {
        self.results.iter().filter(|(_, result)| result.is_ok()).count()
    }

    /// How many keys there were.
    pub fn len(&self) -> usize {
        self.results.len()
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    /// Whether nothing failed.
    pub fn is_complete(&self) -> bool {
        self.succeeded() == self.len()
    }
}

impl<K, T> FromIterator<(K, Result<T>)> for BulkReport<K, T> {
    fn from_iter<I: IntoIterator<Item = (K, Result<T>)>>(results: I) -> Self {
        Self { results: results.into_iter().collect() }
    }
}

impl<K, T> IntoIterator for BulkReport<K, T> {
    type Item = (K, Result<T>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.results.into_iter()
    }
}

impl<K, T> fmt::Display for BulkReport<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} keys succeeded", self.succeeded(), self.len())
    }
}

/// What a bulk removal found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removal {
    /// Whether level 1 held the key; a tier may have all the same.
    pub was_in_memory: bool,
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// Puts several values, as [`set_many`](Self::set_many) does, with a life for all of them or
    /// the spec's. Of a key that stands twice the later value stays.
    ///
    /// A key fails where not every level took its value, or level 1 had no room for it; one that is
    /// over its length limit is in level 1 alone.
    pub async fn bulk_set<I, Q, T>(
        &self,
        items: I,
        ttl: Option<Duration>,
    ) -> BulkReport<K, SetOutcome>
    where
        I: IntoIterator<Item = (Q, T)>,
        Q: Into<K>,
        T: Into<V>,
    {
        let items = items.into_iter().map(|(key, value)| (key.into(), value.into()));
        self.bulk_set_as(items.collect(), ttl.map(Life::For), None).await
    }

    /// As [`bulk_set`](Self::bulk_set), with what the writer said of all the values.
    pub(crate) async fn bulk_set_as(
        &self,
        items: Vec<(K, V)>,
        life: Option<Life>,
        said: Option<&Said>,
    ) -> BulkReport<K, SetOutcome> {
        let own = self.view.core.options;
        let options = Options { ttl: life.or(own.ttl), ..own };
        let keys: Vec<K> = items.iter().map(|(key, _)| key.clone()).collect();
        let outcomes = self.set_many_as(items.into_iter(), &options, said).await;
        let result = |(key, outcome)| {
            let why = |error| self.too_long(&key).map_or(error, |long| long.operation("bulk_set"));
            let result = result_of(outcome).map_err(why);
            (key, result)
        };
        keys.into_iter().zip(outcomes).map(result).collect()
    }

    /// Why no tier has this key, if there are tiers.
    fn too_long(&self, key: &K) -> Option<Error> {
        self.view.space.key(key).err().filter(|_| self.view.has_tiers())
    }

    /// The value of each key, `None` where no level holds one.
    ///
    /// A key fails where it is too long to be asked of the tiers, or where a level failed in a
    /// manager that [fails fast](crate::Failover::FailFast).
    pub async fn bulk_get(&self, keys: &[K]) -> BulkReport<K, Option<Cached<V>>> {
        let mut results: Vec<_> = keys.iter().map(|key| (key.clone(), Ok(None))).collect();
        let mut asked = Vec::with_capacity(keys.len());
        for (at, key) in keys.iter().enumerate() {
            match self.too_long(key) {
                Some(error) => results[at].1 = Err(error),
                None => asked.push(at),
            }
        }
        let wanted: Vec<K> = asked.iter().map(|&at| keys[at].clone()).collect();
        match self.get_many(&wanted).await {
            Ok(found) => {
                for (at, found) in asked.into_iter().zip(found) {
                    results[at].1 = Ok(found);
                }
            }
            Err(error) => {
                // The batch ended with the failing level: what level 1 holds is still an answer.
                for at in asked {
                    results[at].1 = match self.peek(&keys[at]) {
                        Some(held) => Ok(Some(held)),
                        None => Err(error.clone()),
                    };
                }
            }
        }
        BulkReport { results }
    }

    /// Removes several keys, as [`remove_many`](Self::remove_many) does. A key fails where a tier
    /// was not told: what it holds is a miss until it is.
    pub async fn bulk_delete(&self, keys: &[K]) -> BulkReport<K, Removal> {
        let held: Vec<bool> = keys.iter().map(|key| self.contains(key)).collect();
        let told = self.try_remove_many(keys).await;
        self.end_dependents(keys, false).await;
        let result = |key: &K, was_in_memory: bool| match &told {
            Ok(_) => Ok(Removal { was_in_memory }),
            Err(error) => match self.owing_levels(key) {
                owing if owing.is_empty() => Ok(Removal { was_in_memory }),
                owing => Err(error.clone().with("not told", names(&owing))),
            },
        };
        let results = keys.iter().zip(held).map(|(key, held)| (key.clone(), result(key, held)));
        BulkReport { results: results.collect() }
    }
}

fn names(levels: &[CacheLevel]) -> String {
    levels.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn result_of(outcome: SetOutcome) -> Result<SetOutcome> {
    match outcome {
        SetOutcome::Stored | SetOutcome::Fenced | SetOutcome::Declined => Ok(outcome),
        SetOutcome::Refused => {
            Err(Error::new(ErrorKind::TooLarge, "level 1 did not take the value"))
        }
        _ => Err(Error::new(ErrorKind::Unavailable, "not every level took the value")),
    }
    .map_err(|error| error.operation("bulk_set"))
}
