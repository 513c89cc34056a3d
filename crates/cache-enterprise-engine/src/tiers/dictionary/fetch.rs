//! Dictionaries as they lie in the tiers, and looking for one that a value names.
//!
//! One lies in an envelope like a value, under a key that no value has, in the space of its cache. The
//! envelope's checksum binds it to that key; the number in the key is that of its bytes.

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::envelope::{Body, Envelope, Header, Limits, OVERHEAD_BYTES};
use cache_enterprise_core::{
    Clock, Error, ErrorKind, Millis, NEVER, OpContext, Result, Sequence, StoredKey, dictionary_id,
    saturating_millis,
};

use super::super::Stack;
use super::limits::DICTIONARY_BYTES_MAX;
use super::{Dictionaries, MISSED_FOR, Trained};

/// The number of a codec that leaves bytes as they are.
const RAW: u8 = 1;

/// All have one version: what is called by its content is never older than what it replaces, and
/// only a removal refuses it.
pub(super) const VERSION: Sequence = Sequence(1);

/// Where the dictionary of this number lies in the space of `key`.
pub(super) fn place_of(key: &StoredKey, id: u32) -> StoredKey {
    key.reserved(&format!("dictionary-{id:08x}"))
}

/// The envelope of what is kept for a compressor under a reserved key.
pub(super) fn seal(
    key: &StoredKey,
    (compressor, payload): (u8, &Bytes),
    until: Millis,
    clock: &Clock,
) -> Result<Bytes> {
    let header = Header {
        sequence: VERSION,
        expires_wall_ms: (until != NEVER).then(|| clock.wall_of(until)),
        ..Header::default()
    };
    let body = Body {
        schema: u64::from(compressor),
        codec: RAW,
        created_wall_ms: clock.wall_ms(),
        plain_len: u32::try_from(payload.len()).unwrap_or(u32::MAX),
        payload: payload.clone(),
        ..Body::default()
    };
    Envelope { header, body }.seal(key, None)
}

/// What [`seal`] made for the same key: the compressor and the bytes.
pub(super) fn open(key: &StoredKey, bytes: &Bytes) -> Result<(u8, Bytes)> {
    let limits = Limits {
        stored_bytes_max: DICTIONARY_BYTES_MAX + OVERHEAD_BYTES,
        plain_bytes_max: DICTIONARY_BYTES_MAX,
    };
    let body = Envelope::open(bytes, key, None, &limits)?.body;
    match u8::try_from(body.schema) {
        Ok(compressor) if body.codec == RAW && body.compressor == 0 => {
            Ok((compressor, body.payload))
        }
        _ => Err(Error::new(ErrorKind::Corrupt, "a value lies where a dictionary is kept")),
    }
}

impl Dictionaries {
    /// The dictionary that lies under `place` in these bytes, if it is what its number says.
    pub(super) fn open(&self, place: &StoredKey, id: u32, bytes: &Bytes) -> Result<Arc<Trained>> {
        let (compressor, dictionary) = open(place, bytes)?;
        if dictionary_id(&dictionary) != id {
            let text = "a stored dictionary is not what its number says";
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        let reader = self.reader(compressor).ok_or_else(|| {
            let error = Error::new(ErrorKind::Codec, "a dictionary of a compressor not in use");
            error.with("compressor", compressor)
        })?;
        Ok(Arc::new(Trained::new(reader, dictionary)?))
    }
}

impl Stack {
    /// Has the dictionary at hand that `bytes` of the level at `index` were packed with, if there
    /// is one to be found: in that level first, then in the others, since bytes may have climbed.
    pub(crate) async fn fetch_dictionary(&self, index: usize, key: &StoredKey, bytes: &Bytes) {
        let id = Envelope::dictionary_of(bytes);
        let Some(dictionaries) = self.pipeline.dictionaries.as_ref().filter(|_| id != 0) else {
            return;
        };
        let is_settled = || {
            let now = self.clock.now();
            dictionaries.shelf.lock().settles(key.space(), id, now)
        };
        if is_settled() {
            return;
        }
        let _search = dictionaries.searching.lock().await;
        if !is_settled() {
            self.search_dictionary(dictionaries, index, key, id).await;
        }
    }

    /// Looks for a dictionary in every level, and notes what came of it.
    pub(super) async fn search_dictionary(
        &self,
        dictionaries: &Dictionaries,
        first: usize,
        key: &StoredKey,
        id: u32,
    ) -> Option<Arc<Trained>> {
        let place = place_of(key, id);
        let others = (0..self.levels.len()).filter(|index| *index != first);
        for index in std::iter::once(first).chain(others) {
            let read = self.levels[index].backend.get(&place, &OpContext::default()).await;
            let bytes = match read {
                Ok(Some(bytes)) => bytes,
                Ok(None) => continue,
                Err(error) => {
                    self.failed(index, "get", &place, &error);
                    continue;
                }
            };
            match dictionaries.open(&place, id, &bytes) {
                Ok(trained) => {
                    dictionaries.counts.fetched.add(1);
                    dictionaries.shelf.lock().add(key.space(), Arc::clone(&trained));
                    return Some(trained);
                }
                Err(error) => {
                    let tier = &self.levels[index].name;
                    tracing::debug!(%tier, error = %error, "a stored dictionary is unusable");
                    dictionaries.counts.refused.add(1);
                }
            }
        }
        dictionaries.counts.missing.add(1);
        let until = self.clock.now().saturating_add(saturating_millis(MISSED_FOR));
        dictionaries.shelf.lock().miss(key.space(), id, until);
        None
    }
}

#[cfg(test)]
mod tests {
    use cache_enterprise_core::KeySpace;

    use super::*;

    fn key(tenant: &str) -> StoredKey {
        let space = KeySpace::new("shop", tenant, "users").expect("short names");
        space.key(&7_u64).expect("a short key")
    }

    #[test]
    fn what_is_kept_comes_back_under_its_key_alone() {
        let (clock, payload) = (Clock::manual(), Bytes::from_static(b"a dictionary"));
        let id = dictionary_id(&payload);
        let place = place_of(&key("acme"), id);
        let sealed = seal(&place, (1, &payload), 5_000, &clock).expect("it is short");
        assert_eq!(open(&place, &sealed).expect("just sealed"), (1, payload.clone()));
        let header = Header::read(&sealed).expect("just sealed");
        assert_eq!(header.expires_wall_ms, Some(clock.wall_of(5_000)));
        let for_ever = seal(&place, (1, &payload), NEVER, &clock).expect("it is short");
        assert_eq!(Header::read(&for_ever).expect("just sealed").expires_wall_ms, None);
        // Copied to another tenant, or to another number, it is damaged.
        for other in [place_of(&key("bolt"), id), place_of(&key("acme"), id ^ 1)] {
            assert!(open(&other, &sealed).is_err(), "{other}");
        }
    }

    #[test]
    fn damaged_long_and_foreign_bytes_are_refused() {
        let (clock, payload) = (Clock::manual(), Bytes::from_static(b"a dictionary"));
        let place = place_of(&key("acme"), dictionary_id(&payload));
        let sealed = seal(&place, (1, &payload), NEVER, &clock).expect("it is short");
        for at in 0..sealed.len() {
            let mut damaged = sealed.to_vec();
            damaged[at] ^= 0x10;
            assert!(open(&place, &damaged.into()).is_err(), "{at}");
            assert!(open(&place, &sealed.slice(..at)).is_err(), "{at}");
        }
        let long = Bytes::from(vec![7; DICTIONARY_BYTES_MAX + 1]);
        let sealed = seal(&place, (1, &long), NEVER, &clock).expect("an envelope takes it");
        assert!(open(&place, &sealed).is_err());
        let value = Body { codec: 2, schema: 1, ..Body::default() };
        let value = Envelope { body: value, ..Envelope::default() }.seal(&place, None);
        assert!(open(&place, &value.expect("it is short")).is_err());
    }
}
