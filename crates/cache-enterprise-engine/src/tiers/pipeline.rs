//! From values to sealed bytes and back: the only place that knows both.
//!
//! A value is encoded at most once per write and decoded at most once per climb. How often it is
//! compressed is told in `forms`.

use std::sync::Arc;

use bytes::Bytes;
use cache_enterprise_core::envelope::{Body, Envelope, Header, Limits};
use cache_enterprise_core::{
    CacheKey, Clock, Codec, Compressor, Error, ErrorKind, Millis, NEVER, Result, Sequence,
    StoredKey, Tag, Transform,
};

use super::Packer;
use super::dictionary::{Dictionaries, Written};
use super::forms::{Forms, Packings};
use super::packer::Packed;
use crate::write::Plan;

/// What a manager does to every value on its way to the tiers.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    pub(crate) codec_id: u8,
    /// What the manager compresses with where a tier does not say; for the description.
    pub(crate) packer: Option<Packer>,
    /// What compresses new payloads, by form.
    pub(crate) packings: Packings,
    /// Every compressor that may have written what is stored.
    pub(crate) readers: Vec<Arc<dyn Compressor>>,
    /// What packs and reads with dictionaries; nothing where bodies are sealed.
    pub(crate) dictionaries: Option<Arc<Dictionaries>>,
    pub(crate) transform: Option<Arc<dyn Transform>>,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
}

/// What a cache adds: its own codec and the layout of its values.
pub(crate) struct ValueFormat<'a, V> {
    pub(crate) codec: &'a dyn Codec<V>,
    pub(crate) own_id: Option<u8>,
    pub(crate) schema: u64,
    /// The name of the cache.
    pub(crate) cache: &'a str,
    /// Whether nothing may be learned from its values.
    pub(crate) is_secret: bool,
}

/// A value sealed for the tiers.
#[derive(Clone, Debug)]
pub(crate) struct SealedValue {
    pub(crate) forms: Forms,
    pub(crate) plain_len: usize,
}

/// A value as a tier held it.
pub(crate) struct Opened<V> {
    pub(crate) value: V,
    pub(crate) plan: StoredPlan,
    pub(crate) plain_len: usize,
}

/// Version, dates and tags of stored bytes, in this process's time.
#[derive(Debug)]
pub(crate) struct StoredPlan {
    pub(crate) version: Sequence,
    pub(crate) created: Millis,
    pub(crate) fresh_until: Millis,
    pub(crate) expires: Millis,
    pub(crate) tags: Vec<Tag>,
    pub(crate) etag: Option<Box<str>>,
    /// What its load took; 0 for a value that was set.
    pub(crate) load_ms: Millis,
}

impl Pipeline {
    pub(crate) fn seal<V: 'static>(
        &self,
        key: &StoredKey,
        value: &V,
        plan: &Plan,
        load_ms: Millis,
        format: &ValueFormat<'_, V>,
    ) -> Result<SealedValue> {
        let mut plain = Vec::with_capacity(64.max(size_of::<V>()));
        format.codec.encode(value, &mut plain)?;
        let plain_len = plain.len();
        if plain_len > self.limits.plain_bytes_max {
            return Err(Error::new(ErrorKind::TooLarge, "the encoded value is over the limit")
                .with("bytes", plain_len)
                .with("limit", self.limits.plain_bytes_max));
        }
        let mut envelope = Envelope {
            header: Header {
                suite: self.transform.as_ref().map_or(0, |transform| transform.suite()),
                key_id: 0,
                expires_wall_ms: self.to_wall(plan.dates.expires),
                sequence: plan.version,
            },
            body: Body {
                tags: plan.tags.clone(),
                schema: format.schema,
                codec: format.own_id.unwrap_or(self.codec_id),
                compressor: 0,
                dictionary: 0,
                created_wall_ms: self.clock.wall_of(plan.dates.created),
                fresh_until_wall_ms: self.to_wall(plan.dates.fresh_until),
                etag: plan.etag.clone(),
                load_us: u32::try_from(load_ms.saturating_mul(1_000)).unwrap_or(u32::MAX),
                plain_len: u32::try_from(plain_len).unwrap_or(u32::MAX),
                payload: plain.into(),
            },
        };
        let class = plan.data_type.as_deref().unwrap_or(format.cache);
        let written = Written { key, class, expires: plan.dates.expires };
        let dictionaries = self.dictionaries.as_deref().filter(|_| !format.is_secret);
        let forms = self.forms(&written, dictionaries, &mut envelope)?;
        Ok(SealedValue { forms, plain_len })
    }

    /// Seals `envelope`, whose payload is plain, once for each form. Forms in which the payload
    /// stayed as it was share their bytes.
    fn forms(
        &self,
        written: &Written<'_>,
        dictionaries: Option<&Dictionaries>,
        envelope: &mut Envelope,
    ) -> Result<Forms> {
        let key = written.key;
        let plain = envelope.body.payload.clone();
        let mut unpacked: Option<Bytes> = None;
        let mut forms = Vec::with_capacity(1);
        for (number, packer) in self.packings.iter().enumerate() {
            let trained = packer
                .and_then(Packer::adaptive)
                .zip(dictionaries)
                .and_then(|(adaptive, known)| known.for_write((number, adaptive), written, &plain));
            let pack = |packer: &Packer| packer.pack(written.class, &plain, trained.as_deref());
            let form = match (packer.map_or(Ok(None), pack)?, &unpacked) {
                (None, Some(same)) => same.clone(),
                (None, None) => {
                    let payload = plain.clone();
                    let as_it_is = Packed { compressor: 0, dictionary: 0, payload };
                    unpacked.insert(self.seal_form(key, envelope, as_it_is)?).clone()
                }
                (Some(packed), _) => self.seal_form(key, envelope, packed)?,
            };
            forms.push(form);
        }
        Ok(Forms::new(forms))
    }

    fn seal_form(&self, key: &StoredKey, envelope: &mut Envelope, packed: Packed) -> Result<Bytes> {
        envelope.body.compressor = packed.compressor;
        envelope.body.dictionary = packed.dictionary;
        envelope.body.payload = packed.payload;
        let bytes = envelope.seal(key, self.transform.as_deref())?;
        if bytes.len() > self.limits.stored_bytes_max {
            return Err(Error::new(ErrorKind::TooLarge, "the sealed value is over the limit")
                .with("bytes", bytes.len())
                .with("limit", self.limits.stored_bytes_max));
        }
        Ok(bytes)
    }

    pub(crate) fn open<V: 'static>(
        &self,
        key: &StoredKey,
        bytes: &Bytes,
        format: &ValueFormat<'_, V>,
    ) -> Result<Opened<V>> {
        let Envelope { header, body } =
            Envelope::open(bytes, key, self.transform.as_deref(), &self.limits)?;
        let codec_id = format.own_id.unwrap_or(self.codec_id);
        if body.codec != codec_id || body.schema != format.schema {
            return Err(Error::new(ErrorKind::Codec, "stored with another codec or schema")
                .with("codec", body.codec)
                .with("schema", body.schema));
        }
        let plain_len = body.plain_len as usize;
        let plain = self.inflate(key, &body)?;
        let value = format.codec.decode(&plain)?;
        let expires = self.date(header.expires_wall_ms);
        let plan = StoredPlan {
            version: header.sequence,
            created: self.clock.at_wall(body.created_wall_ms),
            fresh_until: self.date(body.fresh_until_wall_ms).min(expires),
            expires,
            tags: body.tags,
            etag: body.etag,
            load_ms: u64::from(body.load_us.div_ceil(1_000)),
        };
        Ok(Opened { value, plan, plain_len })
    }

    /// The envelope with its payload inflated, whoever wrote it.
    pub(crate) fn unpack(&self, key: &StoredKey, bytes: &Bytes) -> Result<Envelope> {
        let mut envelope = Envelope::open(bytes, key, self.transform.as_deref(), &self.limits)?;
        envelope.body.payload = self.inflate(key, &envelope.body)?;
        Ok(envelope)
    }

    /// The same envelope with its fresh life ended now, if not before; the payload is not touched.
    pub(crate) fn end_freshness(&self, key: &StoredKey, bytes: &Bytes) -> Result<Bytes> {
        let transform = self.transform.as_deref();
        let mut envelope = Envelope::open(bytes, key, transform, &self.limits)?;
        let now = self.clock.wall_ms();
        let ended = envelope.body.fresh_until_wall_ms.map_or(now, |until| until.min(now));
        envelope.body.fresh_until_wall_ms = Some(ended);
        envelope.seal(key, transform)
    }

    /// The same envelope with the dates and the version of `plan`; the payload is neither encoded
    /// nor compressed anew. One that would outlive its dictionary is inflated.
    pub(crate) fn renew(&self, key: &StoredKey, bytes: &Bytes, plan: &Plan) -> Result<Bytes> {
        let transform = self.transform.as_deref();
        let mut envelope = Envelope::open(bytes, key, transform, &self.limits)?;
        let (number, until) = (envelope.body.dictionary, plan.dates.expires);
        let covers = |known: &Arc<Dictionaries>| known.covers(key, number, until);
        if number != 0 && !self.dictionaries.as_ref().is_some_and(covers) {
            self.unpack_body(key, &mut envelope.body)?;
        }
        envelope.header.sequence = plan.version;
        envelope.header.expires_wall_ms = self.to_wall(plan.dates.expires);
        envelope.body.created_wall_ms = self.clock.wall_of(plan.dates.created);
        envelope.body.fresh_until_wall_ms = self.to_wall(plan.dates.fresh_until);
        envelope.seal(key, transform)
    }

    /// Leaves the payload as it was before it was packed.
    pub(super) fn unpack_body(&self, key: &StoredKey, body: &mut Body) -> Result<()> {
        body.payload = self.inflate(key, body)?;
        (body.compressor, body.dictionary) = (0, 0);
        Ok(())
    }

    /// The payload of what lies under `key` as it was before it was packed.
    fn inflate(&self, key: &StoredKey, body: &Body) -> Result<Bytes> {
        let compressor = body.compressor;
        if compressor == 0 {
            return Ok(body.payload.clone());
        }
        let plain_len = body.plain_len as usize;
        if body.dictionary != 0 {
            let known = self.dictionaries.as_ref();
            let trained = known.and_then(|known| known.for_read(key, body.dictionary));
            let trained = trained.filter(|trained| trained.compressor.id() == compressor);
            let trained = trained.ok_or_else(|| {
                Error::new(ErrorKind::Codec, "stored with a dictionary that is not at hand")
                    .with("compressor", compressor)
                    .with("dictionary", body.dictionary)
            })?;
            return Ok(trained.compressor.decompress(&body.payload, plain_len)?.into());
        }
        let reader = self.readers.iter().find(|reader| reader.id() == compressor);
        let Some(reader) = reader else {
            return Err(Error::new(ErrorKind::Codec, "stored with a compressor not in use")
                .with("compressor", compressor));
        };
        Ok(reader.decompress(&body.payload, plain_len)?.into())
    }

    /// Whether anything that is written may get a dictionary.
    pub(super) fn learns(&self) -> bool {
        let mut adaptive = self.packings.iter().flatten().filter_map(Packer::adaptive);
        adaptive.any(|adaptive| adaptive.learning().is_some())
    }

    fn to_wall(&self, at: Millis) -> Option<i64> {
        (at != NEVER).then(|| self.clock.wall_of(at))
    }

    fn date(&self, wall_ms: Option<i64>) -> Millis {
        wall_ms.map_or(NEVER, |wall_ms| self.clock.at_wall(wall_ms))
    }
}

/// How a cache's values are written; see [`ValueFormat`].
pub(crate) fn format_of<K: CacheKey, V: Send + Sync + 'static>(
    core: &crate::cache::CacheCore<K, V>,
) -> ValueFormat<'_, V> {
    ValueFormat {
        codec: &*core.codec.codec,
        own_id: core.codec.own_id,
        schema: core.schema,
        cache: core.name,
        is_secret: core.is_secret,
    }
}
