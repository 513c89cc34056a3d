//! What is known of each kind of data that is written: samples, and the dictionary that packs it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::{Millis, NEVER, StoredKey, dictionary_id, saturating_millis};
use hashbrown::{Equivalent, HashMap};

use super::samples::Samples;
use super::{DictionaryLimits, Trained, Written};

/// A kind that nobody wrote for so long makes room for another.
const IDLE_AFTER: Duration = Duration::from_secs(600);

/// A dictionary in use is stored again as often, which also puts it back where it was lost.
const RENEWED_AFTER: Duration = Duration::from_secs(60);

/// After a tier did not take one.
const RETRIED_AFTER: Duration = Duration::from_secs(10);

/// A dictionary is stored for so much longer than the longest life of its values: within that time
/// it packs without being stored again.
const AHEAD: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(super) struct Kinds(HashMap<KindKey, Kind>);

/// Whose values: those that one packer packs, of one cache of one tenant, of one name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct KindKey {
    pub(super) packing: usize,
    space: Box<str>,
    class: Box<str>,
}

#[derive(Hash)]
struct KindRef<'a> {
    packing: usize,
    space: &'a str,
    class: &'a str,
}

impl Equivalent<KindKey> for KindRef<'_> {
    fn equivalent(&self, key: &KindKey) -> bool {
        self.packing == key.packing && *self.space == *key.space && *self.class == *key.class
    }
}

#[derive(Debug)]
struct Kind {
    /// Where it is stored which dictionary processes may take over.
    pointer: StoredKey,
    samples: Samples,
    packs: Option<Packing>,
    /// The longest that a value of it was to live.
    life: Millis,
    /// Samples are taken, and learned from, from here on.
    rests_until: Millis,
    /// How long it rests after the next lesson.
    rest: Millis,
    /// A lesson that could not be stored is not repeated before.
    retried_at: Millis,
    written_at: Millis,
}

/// A dictionary that packs.
#[derive(Debug)]
struct Packing {
    trained: Arc<Trained>,
    /// It is stored until then.
    covered_until: Millis,
    /// Whether a value wanted it since it was stored last.
    is_used: bool,
    renewed_at: Millis,
}

/// Samples to learn from.
#[derive(Debug)]
pub(super) struct Lesson {
    pub(super) kind: KindKey,
    pub(super) pointer: StoredKey,
    pub(super) learned: Vec<Bytes>,
    pub(super) tried: Vec<Bytes>,
    pub(super) current: Option<Arc<Trained>>,
    /// What is to be stored is to stay until then.
    pub(super) until: Millis,
}

/// A dictionary to store again.
#[derive(Debug)]
pub(super) struct Renewal {
    pub(super) kind: KindKey,
    pub(super) pointer: StoredKey,
    pub(super) trained: Arc<Trained>,
    pub(super) until: Millis,
}

impl Kinds {
    pub(super) fn for_write(
        &mut self,
        packing: usize,
        limits: &DictionaryLimits,
        written: &Written<'_>,
        plain: &[u8],
        now: Millis,
    ) -> Option<Arc<Trained>> {
        let kind = self.kind(packing, limits, written, now)?;
        kind.written_at = now;
        let life = match written.expires {
            NEVER => NEVER,
            expires => expires.saturating_sub(now),
        };
        kind.life = kind.life.max(life);
        if now >= kind.rests_until {
            kind.samples.offer(plain, limits);
        }
        let packs = kind.packs.as_mut()?;
        packs.is_used = true;
        (written.expires <= packs.covered_until).then(|| Arc::clone(&packs.trained))
    }

    fn kind(
        &mut self,
        packing: usize,
        limits: &DictionaryLimits,
        written: &Written<'_>,
        now: Millis,
    ) -> Option<&mut Kind> {
        let wanted = KindRef { packing, space: written.key.space(), class: written.class };
        if !self.0.contains_key(&wanted) {
            if self.0.len() >= limits.kinds_max && !self.make_room(now) {
                return None;
            }
            let key = KindKey { packing, space: wanted.space.into(), class: wanted.class.into() };
            let name = format!("dictionary-of-{:08x}", dictionary_id(written.class.as_bytes()));
            let kind = Kind {
                pointer: written.key.reserved(&name),
                samples: Samples::default(),
                packs: None,
                life: 0,
                rests_until: 0,
                rest: saturating_millis(limits.retrain_after),
                retried_at: 0,
                written_at: now,
            };
            self.0.insert(key, kind);
        }
        self.0.get_mut(&wanted)
    }

    /// Lets go of a kind that is written no more. What it packed stays readable as long as it lives.
    fn make_room(&mut self, now: Millis) -> bool {
        let oldest = self.0.values().map(|kind| kind.written_at).min();
        let Some(oldest) = oldest.filter(|at| after(*at, IDLE_AFTER) <= now) else { return false };
        self.0.retain(|_, kind| kind.written_at > oldest);
        true
    }

    /// Whether a dictionary that packs in this space is stored until then.
    pub(super) fn covers(&self, space: &str, id: u32, until: Millis) -> bool {
        let of_space = self.0.iter().filter(|(key, _)| *key.space == *space);
        let mut packing = of_space.filter_map(|(_, kind)| kind.packs.as_ref());
        packing.any(|packs| packs.trained.id == id && until <= packs.covered_until)
    }

    /// The kinds that have samples enough.
    pub(super) fn lessons(&self, now: Millis) -> Vec<Lesson> {
        let is_due = |kind: &Kind| kind.samples.is_full() && now >= kind.retried_at;
        let due = self.0.iter().filter(|(_, kind)| is_due(kind));
        due.map(|(key, kind)| {
            let (learned, tried) = kind.samples.split();
            Lesson {
                kind: key.clone(),
                pointer: kind.pointer.clone(),
                learned,
                tried,
                current: kind.packs.as_ref().map(|packs| Arc::clone(&packs.trained)),
                until: kind.until(now),
            }
        })
        .collect()
    }

    /// The dictionaries that are to be stored again.
    pub(super) fn renewals(&self, now: Millis) -> Vec<Renewal> {
        let due = self.0.iter().filter_map(|(key, kind)| {
            let packs = kind.packs.as_ref().filter(|packs| packs.is_used)?;
            let is_short = packs.covered_until < now.saturating_add(kind.life);
            let is_due = after(packs.renewed_at, RENEWED_AFTER) <= now || is_short;
            (is_due && now >= kind.retried_at).then(|| Renewal {
                kind: key.clone(),
                pointer: kind.pointer.clone(),
                trained: Arc::clone(&packs.trained),
                until: kind.until(now),
            })
        });
        due.collect()
    }

    /// From here on values of a kind may be packed with a dictionary that is stored until then.
    pub(super) fn adopt(
        &mut self,
        key: &KindKey,
        trained: Arc<Trained>,
        until: Millis,
        now: Millis,
    ) {
        let Some(kind) = self.0.get_mut(key) else { return };
        let packs = Packing { trained, covered_until: until, is_used: false, renewed_at: now };
        kind.packs = Some(packs);
    }

    /// A lesson is over, whatever came of it.
    pub(super) fn rest(&mut self, key: &KindKey, now: Millis) {
        let Some(kind) = self.0.get_mut(key) else { return };
        kind.samples = Samples::default();
        kind.rests_until = now.saturating_add(kind.rest);
        kind.rest = kind.rest.saturating_mul(2);
    }

    /// A tier did not take what it was to store.
    pub(super) fn retry(&mut self, key: &KindKey, now: Millis) {
        let Some(kind) = self.0.get_mut(key) else { return };
        kind.retried_at = after(now, RETRIED_AFTER);
    }

    /// How many have a dictionary, and the bytes of all samples.
    pub(super) fn size(&self) -> (usize, usize) {
        let packing = self.0.values().filter(|kind| kind.packs.is_some()).count();
        (packing, self.0.values().map(|kind| kind.samples.bytes()).sum())
    }
}

impl Kind {
    /// How long a dictionary that is stored now is to stay.
    fn until(&self, now: Millis) -> Millis {
        match self.life {
            NEVER => NEVER,
            life => after(now.saturating_add(life), AHEAD),
        }
    }
}

fn after(at: Millis, by: Duration) -> Millis {
    at.saturating_add(saturating_millis(by))
}
