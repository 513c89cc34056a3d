//! Commands on one entry of a configured cache.
//!
//! A command is a process of its own: it builds the manager that the settings describe, with their
//! codec, compression and limits, works on the levels below memory, and shuts it down. A directory
//! belongs to one process at a time; while a service has it open, these commands say so. A server
//! that does not answer is an error here, where a service would go on to the next level: who asks
//! what lies where wants to know.

use std::time::Duration;

use bytes::Bytes;
use cache_enterprise::core::Format;
use cache_enterprise::core::coherence::EpochTarget;
use cache_enterprise::prelude::*;
use cache_enterprise::settings::{LevelKind, WriteSettings};
use cache_enterprise::{Codec, StoredEntry, StoredState, Wiring};

use crate::args::Place;
use crate::failure::Failure;
use crate::{config, say};

pub(crate) const SHUTDOWN_MAX: Duration = Duration::from_secs(10);

/// A key as the command line names it, which is stored as the key of a service with these parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key(Vec<String>);

impl Key {
    fn of(place: &Place) -> Self {
        Self(std::iter::once(&place.key).chain(&place.parts).cloned().collect())
    }
}

impl CacheKey for Key {
    fn write(&self, writer: &mut KeyWriter<'_>) {
        for part in &self.0 {
            writer.part(part);
        }
    }

    fn heap_bytes(&self) -> usize {
        self.0.iter().map(|part| size_of::<String>() + part.len()).sum()
    }
}

/// A manager opened for one command, seen by the tenant that was named.
struct Opened {
    settings: Settings,
    manager: CacheManager<AnySerde>,
}

pub(crate) fn get(place: &Place) -> Result<(), Failure> {
    run(async {
        let opened = Opened::open(place).await?;
        let copies = opened.copies(place).await;
        opened.close().await?;
        let copies = copies?;
        let served = copies.iter().find(|copy| copy.state == StoredState::Fresh);
        let mut text = readable(served.ok_or_else(|| absent(place, &copies))?)?;
        text.push(b'\n');
        say(&text)
    })
}

pub(crate) fn set(
    place: &Place,
    value: String,
    ttl: Option<Duration>,
    tags: Vec<String>,
) -> Result<(), Failure> {
    run(async {
        let opened = Opened::open(place).await?;
        opened.check_writable()?;
        let entries = opened.cache(place)?;
        let set = entries.set(&Key::of(place), value);
        let set = set.tags(tags.iter().map(|tag| Tag::from(tag.as_str())));
        let set = if let Some(ttl) = ttl { set.ttl(ttl) } else { set };
        let done = set.strict().await;
        opened.close().await?;
        done?;
        say(b"stored\n")
    })
}

pub(crate) fn remove(place: &Place) -> Result<(), Failure> {
    run(async {
        let opened = Opened::open(place).await?;
        let was_there = opened.cache(place)?.remove(&Key::of(place)).await;
        opened.close().await?;
        say(if was_there { b"removed\n" } else { b"was not there\n" })
    })
}

pub(crate) fn ttl(place: &Place) -> Result<(), Failure> {
    run(async {
        let opened = Opened::open(place).await?;
        let copies = opened.copies(place).await;
        opened.close().await?;
        let copies = copies?;
        let served = copies.iter().find(|copy| copy.state == StoredState::Fresh);
        let left = served.ok_or_else(|| absent(place, &copies))?.fresh_for;
        say(format!("{}\n", seconds(left)).as_bytes())
    })
}

pub(crate) fn inspect(place: &Place, show_value: bool) -> Result<(), Failure> {
    run(async {
        let opened = Opened::open(place).await?;
        let copies = opened.copies(place).await;
        opened.close().await?;
        let copies = copies?;
        if copies.is_empty() {
            return Err(absent(place, &copies));
        }
        let mut text = Vec::new();
        for copy in &copies {
            text.extend(describe(copy).into_bytes());
            if show_value {
                text.extend(b"value                ");
                let shown = readable(copy);
                text.extend(shown.unwrap_or_else(|why| format!("not shown: {why}").into_bytes()));
                text.push(b'\n');
            }
        }
        say(&text)
    })
}

impl Opened {
    async fn open(place: &Place) -> Result<Self, Failure> {
        let settings = config::load(place.config.as_deref())?;
        cache_enterprise::core::check_name("cache", &place.cache)?;
        let root = Wiring::new().manager(&settings).await?;
        if root.tier_stats().is_empty() {
            return Err(Failure::input(
                "the settings name no level below memory; nothing outlives a command without one",
            ));
        }
        let manager = match &place.tenant {
            Some(tenant) => root.tenant(tenant)?,
            None => root,
        };
        Ok(Self { settings, manager })
    }

    /// The cache that was named, as one of text.
    fn cache(&self, place: &Place) -> Result<Cache<Key, String>, Failure> {
        // A spec's name lives as long as the process, which ends after this command.
        let name: &'static str = Box::leak(place.cache.clone().into_boxed_str());
        // What was derived from the entry, in whatever process, has to hear of its change.
        let spec = CacheSpec::<Key, String>::new(name).has_dependents();
        let has_life = self.settings.defaults().ttl.is_some();
        let spec = if has_life { spec } else { spec.forever() };
        Ok(self.manager.open(&spec)?)
    }

    /// Refuses to write where every level below memory is written around.
    fn check_writable(&self) -> Result<(), Failure> {
        let is_tier = |kind: &LevelKind| !matches!(kind, LevelKind::Memory { .. });
        let mut tiers = self.settings.levels().iter().filter(|level| is_tier(&level.kind));
        if tiers.any(|level| level.write != WriteSettings::Around) {
            return Ok(());
        }
        Err(Failure::input("every level below memory is written around; nothing would be kept"))
    }

    async fn copies(&self, place: &Place) -> Result<Vec<StoredEntry>, Failure> {
        Ok(self.manager.inspect(&place.cache, &Key::of(place)).await?)
    }

    async fn close(&self) -> Result<(), Failure> {
        let report = self.manager.shutdown(SHUTDOWN_MAX).await;
        if report.is_clean() {
            return Ok(());
        }
        Err(Failure::broken(format!("the cache did not close well: {report:?}")))
    }
}

fn describe(copy: &StoredEntry) -> String {
    let tags: Vec<_> = copy.tags.iter().filter(|tag| !tag.is_reserved()).map(Tag::as_str).collect();
    format!(
        "level                L{} {}\nstate                {}\nversion              {}\n\
         age, seconds         {:.1}\nfresh for, seconds   {}\nkept for, seconds    {}\ntags                 {}\n\
         bytes stored         {}\nbytes of value       {}\ncodec                {}\n\
         compressor           {}\nschema               {}\n",
        copy.level,
        copy.tier,
        state(&copy.state),
        copy.version.0,
        copy.age.as_secs_f64(),
        seconds(copy.fresh_for),
        seconds(copy.kept_for),
        if tags.is_empty() { "none".to_owned() } else { tags.join(", ") },
        copy.stored_bytes,
        copy.payload.len(),
        codec_name(copy.codec),
        CompressionAlgorithm::of_id(copy.compressor),
        copy.schema,
    )
}

fn state(state: &StoredState) -> String {
    match state {
        StoredState::Fresh => "fresh".into(),
        StoredState::Stale => "stale".into(),
        StoredState::Expired => "expired".into(),
        StoredState::Invalidated(EpochTarget::Tag(tag)) if tag.is_reserved() => {
            "invalid, a path of its key or what it was derived from was ended".into()
        }
        StoredState::Invalidated(EpochTarget::Tag(tag)) => {
            format!("invalid, tag {} was invalidated", tag.as_str())
        }
        StoredState::Invalidated(EpochTarget::Cache(_)) => "invalid, its cache was cleared".into(),
        StoredState::Invalidated(EpochTarget::Pattern(_, pattern)) => {
            format!("invalid, what matches {} was ended", pattern.as_str())
        }
        StoredState::Invalidated(_) => "invalid, its tenant was cleared".into(),
        _ => "superseded by a later write".into(),
    }
}

fn seconds(left: Option<Duration>) -> String {
    left.map_or("forever".into(), |left| format!("{:.1}", left.as_secs_f64()))
}

/// A value as a person reads it: text as it is, anything else that names its fields as JSON.
fn readable(copy: &StoredEntry) -> Result<Vec<u8>, Failure> {
    if copy.codec == Raw.id() {
        return Ok(copy.payload.to_vec());
    }
    let text = match AnySerde::ALL.iter().find(|codec| codec.id() == copy.codec) {
        Some(codec @ (AnySerde::MessagePack | AnySerde::Json)) => as_json(*codec, &copy.payload),
        Some(codec) => codec.decode(&copy.payload).ok(),
        None => None,
    };
    text.map(String::into_bytes).ok_or_else(|| {
        let codec = codec_name(copy.codec);
        Failure::broken(format!("the value is no text, and {codec} does not tell how to show it"))
    })
}

fn as_json(codec: AnySerde, payload: &Bytes) -> Option<String> {
    match codec.decode(payload).ok()? {
        serde_json::Value::String(text) => Some(text),
        value => Some(value.to_string()),
    }
}

/// Numbers of formats as `docs/envelope.md` gives them.
fn codec_name(id: u8) -> String {
    match AnySerde::ALL.iter().find(|codec| codec.id() == id) {
        Some(codec) => codec.name().into(),
        None if id == Raw.id() => Raw.name().into(),
        None if id == Protobuf.id() => Protobuf.name().into(),
        None => format!("number {id}"),
    }
}

fn absent(place: &Place, copies: &[StoredEntry]) -> Failure {
    let tenant = place.tenant.as_deref().unwrap_or("the root tenant");
    let place =
        format!("under {:?} in cache {} of {tenant}", Key::of(place).0.join(":"), place.cache);
    Failure::broken(match copies.first() {
        None => format!("nothing {place}"),
        Some(copy) => format!("nothing to serve {place}: {}", state(&copy.state)),
    })
}

pub(crate) fn run(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::broken(format!("cannot start a runtime: {error}")))?;
    runtime.block_on(work)
}
