//! Training dictionaries where they are due, and keeping those in the tiers that are in use.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_enterprise_core::{
    DictionaryCompressor, Error, ErrorKind, Millis, NEVER, OpContext, Put, PutOutcome, Result,
    StoredKey, dictionary_id,
};

use super::super::tier::WritePolicy;
use super::super::{Level, Stack};
use super::fetch::{VERSION, open, place_of, seal};
use super::kinds::{Lesson, Renewal};
use super::lessons::{Learned, learn};
use super::{Dictionaries, DictionaryLimits, Trained};

/// How often it is looked whether something is due.
const TEND_EVERY: Duration = Duration::from_secs(1);

/// Starts the tender of a stack; it ends when the stack is dropped.
pub(crate) fn watch(stack: &Arc<Stack>) {
    if stack.pipeline.dictionaries.is_none() || !stack.pipeline.learns() {
        return;
    }
    let weak = Arc::downgrade(stack);
    stack.runtime.spawn(async move {
        loop {
            tokio::time::sleep(TEND_EVERY).await;
            let Some(stack) = weak.upgrade() else { return };
            stack.tend_dictionaries().await;
        }
    });
}

impl Stack {
    /// Does everything that is due. Whoever comes while another tends waits for it, and then looks
    /// what is left.
    pub(crate) async fn tend_dictionaries(&self) {
        let Some(dictionaries) = &self.pipeline.dictionaries else { return };
        let _turn = dictionaries.tending.lock().await;
        let renewals = dictionaries.kinds.lock().renewals(self.clock.now());
        for renewal in renewals {
            self.renew_dictionary(dictionaries, renewal).await;
        }
        let lessons = dictionaries.kinds.lock().lessons(self.clock.now());
        for lesson in lessons {
            self.teach(dictionaries, lesson).await;
        }
    }

    async fn renew_dictionary(&self, dictionaries: &Dictionaries, renewal: Renewal) {
        let Renewal { kind, pointer, trained, until } = renewal;
        let stored = self.store_dictionary(kind.packing, &pointer, &trained, until).await;
        let (mut kinds, now) = (dictionaries.kinds.lock(), self.clock.now());
        match stored {
            Ok(()) => kinds.adopt(&kind, trained, until, now),
            Err(error) => {
                tracing::debug!(error = %error, "a dictionary was not stored again");
                kinds.retry(&kind, now);
            }
        }
    }

    /// Finds or trains a dictionary for a kind, stores it, and only then lets it pack.
    async fn teach(&self, dictionaries: &Dictionaries, lesson: Lesson) {
        let Some((trainer, limits)) = self.trainer(lesson.kind.packing) else { return };
        let found = self.find_dictionary(dictionaries, &lesson).await;
        let (kind, pointer, until) = (lesson.kind.clone(), lesson.pointer.clone(), lesson.until);
        let work = move || learn(&*trainer, &limits, &lesson, found);
        // A training that panicked, or that the end of the runtime cut short, found nothing.
        let learned = self.runtime.spawn_blocking(work).await.ok().flatten();
        let Some(learned) = learned else {
            dictionaries.counts.rejected.add(1);
            dictionaries.kinds.lock().rest(&kind, self.clock.now());
            return;
        };
        let (trained, count) = match learned {
            Learned::New(trained) => (trained, &dictionaries.counts.trained),
            Learned::Found(trained) => (trained, &dictionaries.counts.adopted),
        };
        let stored = match self.check_place(kind.packing, &pointer, &trained).await {
            Ok(()) => self.store_dictionary(kind.packing, &pointer, &trained, until).await,
            Err(error) => Err(error),
        };
        let (mut kinds, now) = (dictionaries.kinds.lock(), self.clock.now());
        match stored {
            Ok(()) => {
                count.add(1);
                dictionaries.shelf.lock().add(pointer.space(), Arc::clone(&trained));
                kinds.adopt(&kind, trained, until, now);
                kinds.rest(&kind, now);
            }
            Err(error) => {
                tracing::debug!(error = %error, "a dictionary was not stored and does not pack");
                kinds.retry(&kind, now);
            }
        }
    }

    /// The dictionary of a kind that lies in the tiers: of another process, or from before this one
    /// began.
    async fn find_dictionary(
        &self,
        dictionaries: &Dictionaries,
        lesson: &Lesson,
    ) -> Option<Arc<Trained>> {
        let pointer = &lesson.pointer;
        for (index, level) in self.packed_by(lesson.kind.packing) {
            // A tier that fails takes no new one either.
            let Ok(Some(bytes)) = level.backend.get(pointer, &OpContext::default()).await else {
                continue;
            };
            let Ok((_, id)) = open(pointer, &bytes) else { continue };
            let Ok(id) = <[u8; 4]>::try_from(&id[..]).map(u32::from_le_bytes) else { continue };
            if lesson.current.as_ref().is_some_and(|current| current.id == id) {
                return None;
            }
            let held = dictionaries.for_read(pointer, id);
            return match held {
                Some(held) => Some(held),
                None => self.search_dictionary(dictionaries, index, pointer, id).await,
            };
        }
        None
    }

    /// Stores a dictionary, and that its kind has it, in every tier that is written with it.
    async fn store_dictionary(
        &self,
        packing: usize,
        pointer: &StoredKey,
        trained: &Trained,
        until: Millis,
    ) -> Result<()> {
        let compressor = trained.compressor.id();
        let place = place_of(pointer, trained.id);
        self.keep(packing, &place, (compressor, &trained.bytes), until).await?;
        let id = Bytes::copy_from_slice(&trained.id.to_le_bytes());
        self.keep(packing, pointer, (compressor, &id), until).await
    }

    /// Two dictionaries may have one number, once in billions: the first keeps it.
    async fn check_place(
        &self,
        packing: usize,
        pointer: &StoredKey,
        trained: &Trained,
    ) -> Result<()> {
        let place = &place_of(pointer, trained.id);
        for (_, level) in self.packed_by(packing) {
            let stands = level.backend.get(place, &OpContext::default()).await?;
            let stands = stands.and_then(|bytes| open(place, &bytes).ok());
            let is_other = |(_, bytes): (u8, Bytes)| {
                dictionary_id(&bytes) == trained.id && bytes != trained.bytes
            };
            if stands.is_some_and(is_other) {
                let text = "another dictionary has the number of a new one";
                return Err(Error::new(ErrorKind::Conflict, text).with("number", trained.id));
            }
        }
        Ok(())
    }

    /// Stores what belongs to a compressor in every tier that is packed by `packing`, deepest first.
    async fn keep(
        &self,
        packing: usize,
        key: &StoredKey,
        what: (u8, &Bytes),
        until: Millis,
    ) -> Result<()> {
        let sealed = seal(key, what, until, &self.clock)?;
        let levels: Vec<_> = self.packed_by(packing).collect();
        for (index, level) in levels.into_iter().rev() {
            let rest = (until != NEVER).then(|| until.saturating_sub(self.clock.now()));
            let how = Put { ttl: rest.map(Duration::from_millis), version: VERSION };
            match level.backend.put(key, sealed.clone(), how, &OpContext::default()).await {
                Ok(PutOutcome::Stored) => {}
                Ok(_) => {
                    let text = "a tier does not keep a dictionary";
                    return Err(Error::new(ErrorKind::Conflict, text).with("tier", &level.name));
                }
                Err(error) => {
                    self.failed(index, "put", key, &error);
                    return Err(error.with("tier", &level.name));
                }
            }
        }
        Ok(())
    }

    /// The levels that writes reach packed by `packing`, with their index.
    fn packed_by(&self, packing: usize) -> impl Iterator<Item = (usize, &Level)> {
        let is_it = move |level: &&Level| {
            level.packing == packing && level.config.write != WritePolicy::Around
        };
        self.levels.iter().enumerate().filter(move |(_, level)| is_it(level))
    }

    fn trainer(&self, packing: usize) -> Option<(Arc<dyn DictionaryCompressor>, DictionaryLimits)> {
        let adaptive = self.pipeline.packings.get(packing)?.adaptive()?;
        let learning = adaptive.learning()?;
        Some((Arc::clone(&learning.trainer), learning.limits))
    }
}
