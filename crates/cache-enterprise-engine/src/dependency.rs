//! What was derived from what: the end of a parent ends its children, and theirs.
//!
//! Nothing is walked when a parent ends. A child carries a tag for each entry it was derived from,
//! `\u{2}` before the parent's name, and with it all that the parent itself carries: its own
//! parents, its tags, its paths. So the end of a grandparent is the end of a tag that the
//! grandchild carries too, and a circle of dependencies is a set of tags like any other.
//!
//! Removing, expiring or replacing an entry raises its tag only where it has dependents: where the
//! spec of its cache says so, or where somebody in this process depended on the key. That is one
//! epoch more, in O(1).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cache_enterprise_core::coherence::EpochTarget;
use cache_enterprise_core::sync::Mutex;
use cache_enterprise_core::{
    CacheKey, Error, ErrorKind, LocalStore, Lookup, Merit, Result, SetOutcome, TAG_BYTES_MAX, Tag,
    mutant,
};
use hashbrown::{HashMap, HashSet};

use crate::cache::Cache;
use crate::invalidate::{Receipt, raise};
use crate::options::Options;
use crate::set::SetNow;
use crate::write::Labels;

/// First character of the tags that stand for parents.
const PARENT: char = '\u{2}';

/// Parents and registered children that a tenant remembers, each; past them every key of a cache
/// counts as a parent, and registering fails.
const KNOWN_MAX: usize = 100_000;

/// Ancestors one registered child may have.
const ANCESTORS_MAX: usize = 256;

/// The dependencies of one tenant that this process was told of.
#[derive(Debug, Default)]
pub(crate) struct Lineage {
    /// Whether anything is known, read without the lock: usually not.
    is_used: AtomicBool,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Names of keys that something depends on.
    parents: HashSet<Arc<str>>,
    /// There were too many parents to remember.
    is_full: bool,
    /// What was registered: the names a child depends on, and the tags that stand for each.
    of_child: HashMap<Arc<str>, Vec<Link>>,
}

#[derive(Clone, Debug)]
struct Link {
    parent: Arc<str>,
    tags: Vec<Tag>,
}

impl Lineage {
    pub(crate) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Acquire)
    }

    /// Notes that something depends on `name`.
    fn note_parent(&self, name: &str) {
        let mut known = self.known.lock();
        if !known.parents.contains(name) {
            if known.parents.len() < KNOWN_MAX {
                known.parents.insert(name.into());
            } else {
                known.is_full = true;
            }
        }
        self.is_used.store(true, Ordering::Release);
    }

    /// Whether anything in this process depends on `name`.
    fn is_parent(&self, name: &str) -> bool {
        let known = self.known.lock();
        known.is_full || known.parents.contains(name)
    }

    /// Notes that `child` depends on `parent`.
    fn link(&self, child: &str, parent: &str, tags: &[Tag]) -> Result<()> {
        let mut known = self.known.lock();
        if known.of_child.len() >= KNOWN_MAX && !known.of_child.contains_key(child) {
            let text = "too many dependencies are registered; name them where values are set";
            return Err(Error::new(ErrorKind::TooLarge, text).with("limit", KNOWN_MAX));
        }
        let mut links = known.of_child.get(child).cloned().unwrap_or_default();
        if links.iter().any(|link| &*link.parent == parent) {
            return Ok(());
        }
        links.push(Link { parent: parent.into(), tags: tags.to_vec() });
        if known.ancestors(child, &links).len() > ANCESTORS_MAX {
            let text = "an entry would depend on too many others; tag it instead";
            return Err(Error::new(ErrorKind::TooLarge, text).with("limit", ANCESTORS_MAX));
        }
        known.of_child.insert(child.into(), links);
        drop(known);
        self.is_used.store(true, Ordering::Release);
        Ok(())
    }

    /// The tags of everything that `name` was registered to depend on, however far up. A circle
    /// ends where it began, and nothing depends on itself.
    pub(crate) fn tags_of(&self, name: &str) -> Vec<Tag> {
        let known = self.known.lock();
        known.of_child.get(name).map_or_else(Vec::new, |links| {
            let ancestors = known.ancestors(name, links);
            ancestors.into_iter().flat_map(|link| link.tags.iter().cloned()).collect()
        })
    }
}

impl Known {
    fn ancestors<'a>(&'a self, name: &str, links: &'a [Link]) -> Vec<&'a Link> {
        let mut seen: Vec<&Link> = Vec::new();
        let mut open: Vec<&Link> = links.iter().collect();
        while let Some(link) = open.pop() {
            let is_new = seen.iter().all(|known| known.parent != link.parent);
            if !is_new || &*link.parent == name || seen.len() > ANCESTORS_MAX {
                continue;
            }
            seen.push(link);
            open.extend(self.of_child.get(&link.parent).into_iter().flatten());
        }
        seen
    }
}

/// The tag that the change of one key raises; that of its whole cache for a name too long.
fn parent_tag(name: &str) -> Tag {
    let is_short = name.len() < TAG_BYTES_MAX;
    let cache = name.find(':').map_or(name.len(), |at| at + 1);
    Tag::new(format!("{PARENT}{}", if is_short { name } else { &name[..cache] }))
}

/// What a reserved tag stands for, for people.
pub(crate) fn told(tag: &Tag) -> Option<String> {
    tag.as_str().strip_prefix(PARENT).map(|parent| format!("derived from {parent}"))
}

impl<K: CacheKey, V: Send + Sync + 'static> Cache<K, V> {
    /// The tag that the end of the whole cache raises.
    pub(crate) fn whole_parent_tag(&self) -> Tag {
        Tag::new(format!("{PARENT}{}", self.name_prefix()))
    }

    /// The tags of an entry: its call's, those of its path, and of what it is known to depend on.
    pub(crate) fn labelled<Q: Lookup<K> + ?Sized>(&self, key: &Q, mut tags: Vec<Tag>) -> Vec<Tag> {
        let is_derived = self.view.tenant.lineage.is_used() || tags.iter().any(Tag::is_reserved);
        if is_derived || self.view.core.paths.is_some() {
            self.label(&self.name_within(key), &mut tags);
        }
        tags
    }

    /// Adds the tags that `name` alone tells, where they are missing. An entry never depends on
    /// itself: in a circle each write of it would be its end.
    pub(crate) fn label(&self, name: &str, tags: &mut Vec<Tag>) {
        let mut add = |tag: Tag| {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        };
        if let Some(paths) = self.view.core.paths {
            paths.tags_of(name).for_each(&mut add);
        }
        let lineage = &self.view.tenant.lineage;
        if lineage.is_used() {
            lineage.tags_of(name).into_iter().for_each(add);
        }
        let own = parent_tag(name);
        tags.retain(|tag| *tag != own);
    }

    /// The tags of whatever is derived from `key`: its own, its cache's, its paths', and all that
    /// its entry in level 1 carries.
    fn tags_for_children<Q: Lookup<K> + ?Sized>(&self, key: &Q, name: &str) -> Vec<Tag> {
        let mut tags = Vec::new();
        self.label(name, &mut tags);
        tags.extend([parent_tag(name), self.whole_parent_tag()]);
        if let Some(entry) = self.store.peek(&self.scoped(key)) {
            tags.extend(entry.tags().iter().map(|cell| cell.name().clone()));
        }
        tags.sort();
        tags.dedup();
        tags
    }

    /// What a child of `key` is to carry. From here on changes of `key` are told to children.
    pub(crate) fn adopted_by<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> Vec<Tag> {
        let name = self.name_within(key);
        if !self.view.core.has_dependents {
            self.view.tenant.lineage.note_parent(&name);
        }
        self.tags_for_children(key, &name)
    }

    /// What the change of `key` ends besides.
    pub(crate) fn dependents<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> Option<EpochTarget> {
        self.may_have_dependents().then(|| self.dependents_of(&self.name_within(key)))?
    }

    fn dependents_of(&self, name: &str) -> Option<EpochTarget> {
        if mutant::breaks("the end of a parent ends what was derived from it") {
            return None;
        }
        let lineage = &self.view.tenant.lineage;
        let has_dependents = self.view.core.has_dependents || lineage.is_parent(name);
        has_dependents.then(|| EpochTarget::Tag(parent_tag(name)))
    }

    /// Whether the knowledge that a key is absent may end by its labels.
    pub(crate) fn may_end_absence(&self) -> bool {
        self.view.core.paths.is_some() || self.view.tenant.lineage.is_used()
    }

    /// Whether a change of some key may have to be told to children.
    pub(crate) fn may_have_dependents(&self) -> bool {
        self.view.core.has_dependents || self.view.tenant.lineage.is_used()
    }

    /// Ends what was derived from `keys`, in one step; nothing where nothing was.
    pub(crate) async fn end_dependents<'a, Q>(
        &self,
        keys: impl IntoIterator<Item = &'a Q>,
        is_soft: bool,
    ) -> Option<Receipt>
    where
        Q: Lookup<K> + ?Sized + 'a,
    {
        if !self.may_have_dependents() {
            return None;
        }
        let names: Vec<String> = keys.into_iter().map(|key| self.name_within(key)).collect();
        Box::pin(self.end_dependents_of(&names, is_soft)).await
    }

    /// As [`end_dependents`](Self::end_dependents), for keys by their names within the tenant.
    pub(crate) async fn end_dependents_of(
        &self,
        names: &[String],
        is_soft: bool,
    ) -> Option<Receipt> {
        if !self.may_have_dependents() {
            return None;
        }
        let targets = names.iter().filter_map(|name| self.dependents_of(name));
        let targets: Vec<_> =
            targets.map(|target| if is_soft { target.soft() } else { target }).collect();
        if targets.is_empty() {
            return None;
        }
        Some(raise(&self.view.shared, &self.view.tenant, targets).await)
    }

    /// A set of a key that something may depend on.
    pub(crate) async fn set_parent(
        &self,
        key: K,
        value: V,
        labels: Labels,
        options: &Options,
        merit: Merit,
    ) -> Result<SetOutcome> {
        let outcome = match self.set_now(key.clone(), value, labels, options, merit) {
            SetNow::Done(outcome) => Ok(outcome),
            SetNow::Below(below) => below.await,
        };
        let told = self.end_dependents([&key], false).await;
        match told.and_then(|receipt| receipt.failure) {
            Some(failure) => outcome.and(Err(failure)),
            None => outcome,
        }
    }

    /// Lets `children` of another cache of this tenant depend on `key`: they end when it is
    /// removed, expired or replaced, and so does what depends on them. What the caches hold of the
    /// children ends now, so that it is made anew with its parent known.
    ///
    /// The process remembers it, at most 100 000 children a tenant: each process that writes a
    /// child or changes a parent registers the same. Where values are set with
    /// [`depends_on`](crate::Set::depends_on), and the parent's spec
    /// [`has_dependents`](crate::CacheSpec::has_dependents), nothing needs to be registered.
    ///
    /// ```
    /// use cache_enterprise_core::{Capacity, mins};
    /// use cache_enterprise_engine::{CacheManager, CacheSpec, block_on};
    ///
    /// static LISTS: CacheSpec<u64, u64> = CacheSpec::new("playlists").ttl(mins(5));
    /// static FEEDS: CacheSpec<u64, u64> = CacheSpec::new("feeds").ttl(mins(5));
    /// let manager = CacheManager::in_memory(Capacity::entries(100))?;
    /// let (lists, feeds) = (manager.open(&LISTS)?, manager.open(&FEEDS)?);
    /// block_on(async {
    ///     lists.register_dependency(&456, &feeds, &[123]).await?;
    ///     feeds.set(&123, 1_u64).await;
    ///     lists.remove(&456).await;
    ///     assert!(!feeds.contains(&123));
    ///     Ok::<(), cache_enterprise_core::Error>(())
    /// })?;
    /// # Ok::<(), cache_enterprise_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the caches belong to different tenants or managers, or over a limit: 100 000 children
    /// a tenant, 256 ancestors a child.
    pub async fn register_dependency<Q, K2, V2, Q2>(
        &self,
        key: &Q,
        cache: &Cache<K2, V2>,
        children: &[Q2],
    ) -> Result<()>
    where
        Q: Lookup<K> + ?Sized,
        K2: CacheKey,
        V2: Send + Sync + 'static,
        Q2: Lookup<K2>,
    {
        if !self.is_beside(cache) {
            let text = "an entry depends only on those of its own tenant and manager";
            return Err(Error::invalid(text).operation("register_dependency"));
        }
        let name = self.name_within(key);
        let tags = self.tags_for_children(key, &name);
        let lineage = &self.view.tenant.lineage;
        for child in children {
            lineage.link(&cache.name_within(child), &name, &tags)?;
        }
        lineage.note_parent(&name);
        cache.remove_many(children).await;
        Ok(())
    }

    /// Whether tags of one cache mean the same in the other.
    pub(crate) fn is_beside<K2, V2>(&self, other: &Cache<K2, V2>) -> bool
    where
        K2: CacheKey,
        V2: Send + Sync + 'static,
    {
        Arc::ptr_eq(&self.view.tenant, &other.view.tenant)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn link(lineage: &Lineage, child: &str, parent: &str) {
        lineage.link(child, parent, &[parent_tag(parent)]).unwrap();
    }

    fn ancestors(lineage: &Lineage, name: &str) -> Vec<String> {
        let mut names: Vec<_> =
            lineage.tags_of(name).iter().map(|tag| tag.as_str()[1..].to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn ancestors_are_found_however_far_up_and_in_whatever_order_they_were_told() {
        let lineage = Lineage::default();
        link(&lineage, "c:3", "c:2");
        link(&lineage, "c:2", "c:1");
        link(&lineage, "c:3", "c:9");
        assert_eq!(ancestors(&lineage, "c:3"), ["c:1", "c:2", "c:9"]);
        assert_eq!(ancestors(&lineage, "c:1"), [""; 0]);
    }

    #[test]
    fn a_circle_ends_where_it_began() {
        let lineage = Lineage::default();
        for (child, parent) in [("a:1", "b:1"), ("b:1", "c:1"), ("c:1", "a:1"), ("a:1", "a:1")] {
            link(&lineage, child, parent);
        }
        assert_eq!(ancestors(&lineage, "a:1"), ["b:1", "c:1"]);
        assert_eq!(ancestors(&lineage, "c:1"), ["a:1", "b:1"]);
    }

    #[test]
    fn more_ancestors_than_an_envelope_should_carry_are_refused() {
        let lineage = Lineage::default();
        for number in 0..ANCESTORS_MAX {
            link(&lineage, "c:1", &format!("p:{number}"));
        }
        let error = lineage.link("c:1", "p:last", &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert_eq!(ancestors(&lineage, "c:1").len(), ANCESTORS_MAX);
    }

    #[test]
    fn a_name_too_long_for_a_tag_shares_that_of_its_cache() {
        let long = format!("users:{}", "x".repeat(TAG_BYTES_MAX));
        assert_eq!(parent_tag(&long).as_str(), "\u{2}users:");
        assert_eq!(parent_tag("users:7").as_str(), "\u{2}users:7");
    }
}
