//! Where sequence and epochs outlive a process.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::Sequence;
use crate::{KeyWriter, Pattern, Result, Tag, unescaped, unsupported};

/// What an invalidation of a group names. Keys are not here: they are removed physically.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EpochTarget {
    /// Every tenant of the manager.
    Everything,
    /// The whole tenant.
    Tenant,
    /// One cache of the tenant.
    Cache(Tag),
    /// One tag of the tenant.
    Tag(Tag),
    /// The keys of one cache that a pattern matches, compared when they are read.
    Pattern(Tag, Arc<Pattern>),
    /// The target within, softly: what is older is past its life, and may still answer as a
    /// fallback. Never holds another soft target.
    Soft(Box<EpochTarget>),
}

impl EpochTarget {
    /// The soft form of a target.
    #[must_use]
    pub fn soft(self) -> Self {
        match self {
            Self::Soft(_) => self,
            hard => Self::Soft(Box::new(hard)),
        }
    }

    /// The name under which stores keep the target's epoch: `*` for everything, `.` for the
    /// tenant, `c` or `t` and the text of a cache or tag, `g` and the escaped name of a cache, `:`
    /// and a pattern, `~` before those of soft targets.
    ///
    /// ```
    /// use cache_enterprise_core::coherence::EpochTarget;
    /// use cache_enterprise_core::tag;
    ///
    /// let target = EpochTarget::Tag(tag!("org:7")).soft();
    /// assert_eq!(target.field(), "~torg:7");
    /// assert_eq!(EpochTarget::from_field("~torg:7"), Some(target));
    /// ```
    pub fn field(&self) -> String {
        match self {
            Self::Everything => "*".to_owned(),
            Self::Tenant => ".".to_owned(),
            Self::Cache(name) => format!("c{name}"),
            Self::Tag(name) => format!("t{name}"),
            Self::Pattern(cache, pattern) => {
                let mut field = "g".to_owned();
                KeyWriter::new(&mut field).part(cache.as_str());
                format!("{field}:{}", pattern.as_str())
            }
            Self::Soft(hard) => format!("~{}", hard.field()),
        }
    }

    /// The target of a field; `None` when it is not one that this version knows. A reader then
    /// takes it for the whole [`Tenant`](Self::Tenant) in whose record or notice it stands.
    pub fn from_field(field: &str) -> Option<Self> {
        match field.split_at_checked(1)? {
            ("*", "") => Some(Self::Everything),
            (".", "") => Some(Self::Tenant),
            ("c", name) => Some(Self::Cache(Tag::from(name))),
            ("t", name) => Some(Self::Tag(Tag::from(name))),
            ("g", name) => {
                let (cache, pattern) = name.split_once(':')?;
                let pattern = Pattern::new(pattern).ok()?;
                Some(Self::Pattern(Tag::from(unescaped(cache)), Arc::new(pattern)))
            }
            ("~", hard) if !hard.starts_with('~') => Some(Self::from_field(hard)?.soft()),
            _ => None,
        }
    }
}

/// A tenant's stored state, as [`EpochStore::load`] gives it.
///
/// ```
/// use cache_enterprise_core::coherence::{EpochRecord, EpochTarget, Sequence};
/// use cache_enterprise_core::tag;
///
/// let epochs = vec![(EpochTarget::Tag(tag!("org:7")), Sequence(9))];
/// let record = EpochRecord { sequence: Sequence(10), floor: Sequence(3), epochs, ..EpochRecord::default() };
/// assert!(record.floor < record.sequence);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochRecord {
    /// A number above every number given before. The counter goes on from here.
    pub sequence: Sequence,
    /// Entries older than this are invalid, whatever their targets.
    pub floor: Sequence,
    /// Epochs of targets that were invalidated.
    pub epochs: Vec<(EpochTarget, Sequence)>,
    /// The state of the record that was read.
    pub mark: EpochMark,
}

/// Tells two states of a stored record apart. Equal marks mean: no group was invalidated between
/// the two looks, and the record was not lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EpochMark(pub [u64; 3]);

/// Issues and keeps a tenant's sequence and epochs. One tier of a manager provides it; without
/// one they live in the process alone.
///
/// Contract:
/// * `load` gives a number above every number that `raise`, `next` or `reserve` ever gave for the
///   tenant, also after a crash between two calls. A lost record gives a floor above everything.
/// * `raise` has stored the epochs durably when it returns; then and only then may the
///   invalidation be acknowledged. Its number is above `above`.
/// * `raise` of [`EpochTarget::Everything`] applies to tenants that `load` has yet to see.
/// * Calls for one tenant may come from several tasks at once, and from several processes where
///   the store [is shared](Self::is_shared).
///
/// A shared store offers `next`, `mark` and `since` besides:
/// * Every number of `next` and `raise` is above all that were given to anybody before the call,
///   and not below the store's own time in microseconds, so that numbers of two tenants compare.
/// * A `mark` that was asked for after a `raise` of the tenant, or of everything, was acknowledged
///   differs from every mark before it. So does one after the record was lost.
///
/// ```
/// use cache_enterprise_core::Result;
/// use cache_enterprise_core::coherence::{EpochStore, EpochTarget, Sequence};
///
/// /// What a manager does around an invalidation.
/// async fn invalidate(store: &dyn EpochStore, seen: Sequence) -> Result<Sequence> {
///     let record = store.load("shop", "acme", seen).await?;
///     let newest = record.sequence.max(seen);
///     store.raise("shop", "acme", &[EpochTarget::Tenant], newest).await
/// }
/// ```
#[async_trait]
pub trait EpochStore: fmt::Debug + Send + Sync + 'static {
    /// The tenant's record; made anew when there is none. Empty text is the root tenant.
    /// `newest` is a number above every one the caller has seen.
    async fn load(&self, manager: &str, tenant: &str, newest: Sequence) -> Result<EpochRecord>;

    /// Takes a number above `above` and stores it as the epoch of `targets`.
    async fn raise(
        &self,
        manager: &str,
        tenant: &str,
        targets: &[EpochTarget],
        above: Sequence,
    ) -> Result<Sequence>;

    /// Promises never to give a number up to `upto` again, so that the caller may use the
    /// numbers below it by itself. Not asked of a shared store, whose callers take every number
    /// by [`next`](Self::next).
    async fn reserve(&self, manager: &str, tenant: &str, upto: Sequence) -> Result<()>;

    /// Whether other processes take numbers and raise epochs here too.
    fn is_shared(&self) -> bool {
        false
    }

    /// Takes a number above `above` for the removal or replacement of a key. Costs a round trip.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) by a store that is not shared.
    async fn next(&self, manager: &str, tenant: &str, above: Sequence) -> Result<Sequence> {
        let _ = (manager, tenant, above);
        Err(unsupported("epochs", "next"))
    }

    /// The state of the tenant's record now. Costs a round trip; asked beside every read of a
    /// shared tier.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) by a store that is not shared.
    async fn mark(&self, manager: &str, tenant: &str) -> Result<EpochMark> {
        let _ = (manager, tenant);
        Err(unsupported("epochs", "mark"))
    }

    /// What changed since the record had this mark: the epochs raised since, and those alone. The
    /// whole record where that cannot be told, which is what this default gives.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    async fn since(
        &self,
        manager: &str,
        tenant: &str,
        mark: EpochMark,
        newest: Sequence,
    ) -> Result<EpochRecord> {
        let _ = mark;
        self.load(manager, tenant, newest).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tag;

    fn pattern(cache: &str, pattern: &str) -> EpochTarget {
        EpochTarget::Pattern(cache.into(), Arc::new(Pattern::new(pattern).expect("a pattern")))
    }

    #[test]
    fn every_target_comes_back_from_its_field() {
        let hard = [
            EpochTarget::Everything,
            EpochTarget::Tenant,
            EpochTarget::Cache("users".into()),
            EpochTarget::Tag(tag!("~t*.c")),
            EpochTarget::Tag(tag!("ü")),
            pattern("users", "user:*:temp_[0-9]"),
            pattern("a:b~%", "*"),
        ];
        for target in hard {
            assert_eq!(EpochTarget::from_field(&target.field()), Some(target.clone()));
            let soft = target.soft();
            assert_eq!(EpochTarget::from_field(&soft.field()), Some(soft.clone()));
            assert_eq!(soft.clone().soft(), soft);
        }
    }

    #[test]
    fn what_is_no_field_is_refused() {
        for field in ["", "x", "**", ".a", "~", "~~torg", "ü", "gusers", "gusers:[a", "g"] {
            assert_eq!(EpochTarget::from_field(field), None, "{field}");
        }
    }
}
