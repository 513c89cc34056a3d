//! Commands on one entry of a configured cache.
//!
//! A command is a process of its own, so it works on what outlives a process: the disk level of
//! the settings. A directory belongs to one process at a time; while a service has it open, these
//! commands say so. Values are text and are stored raw.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cache_enterprise::core::envelope::{Envelope, Limits};
use cache_enterprise::core::{Backend, Clock, Compressor, KeySpace, OpContext, OpenedBackend};
use cache_enterprise::disk::DiskBackend;
use cache_enterprise::prelude::*;
use cache_enterprise::settings::{LevelKind, Life, Settings};

use crate::args::Place;
use crate::failure::Failure;
use crate::{config, say};

/// Level 1 of a process that serves one call.
const MEMORY: Memory = Memory::bytes(8 * MIB);
const SHUTDOWN_MAX: Duration = Duration::from_secs(10);

/// A cache of text opened for one command.
struct Opened {
    manager: CacheManager<Raw>,
    entries: Cache<String, Vec<u8>>,
}

/// The copy of an entry in level 2.
struct Stored {
    envelope: Envelope,
    bytes: usize,
    now_wall_ms: i64,
}

pub(crate) fn get(place: &Place) -> Result<(), Failure> {
    run(async {
        let opened = Opened::open(place).await?;
        let found = opened.entries.get(&place.key).await;
        opened.close().await?;
        let mut value = found?.ok_or_else(|| absent(place))?.to_vec();
        value.push(b'\n');
        say(&value)
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
        let set = opened.entries.set(&place.key, value.into_bytes());
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
        let was_there = opened.entries.remove(&place.key).await;
        opened.close().await?;
        say(if was_there { b"removed\n" } else { b"was not there\n" })
    })
}

pub(crate) fn ttl(place: &Place) -> Result<(), Failure> {
    run(async {
        let stored = Stored::read(place).await?;
        say(format!("{}\n", stored.rest()).as_bytes())
    })
}

pub(crate) fn inspect(place: &Place, show_value: bool) -> Result<(), Failure> {
    run(async {
        let stored = Stored::read(place).await?;
        say(stored.describe(show_value).as_bytes())
    })
}

pub(crate) fn stats(file: Option<&Path>) -> Result<(), Failure> {
    run(async {
        let disk = open_disk(&config::load(file)?, &Clock::system()).await?;
        let stats = disk.stats();
        let text = format!(
            "directory            {}\nbytes                {}\ngenerations          {}\n",
            disk.directory().display(),
            stats.bytes,
            stats.generations,
        );
        disk.close().await?;
        say(text.as_bytes())
    })
}

impl Opened {
    async fn open(place: &Place) -> Result<Self, Failure> {
        let settings = config::load(place.config.as_deref())?;
        let clock = Clock::system();
        let disk = open_disk(&settings, &clock).await?;
        let tier = OpenedBackend { backend: Arc::clone(&disk) as _, epochs: Some(disk) };
        let root = CacheManager::builder(settings.name())
            .l1(MEMORY)
            .l2(tier)
            .codec(Raw)
            .reads_compression(Zstd::over(1024))
            .reads_compression(Lz4::over(1024))
            .reads_compression(Snap::over(1024))
            .reads_compression(Gzip::over(1024))
            .clock(clock)
            .build()
            .await?;
        let manager = match &place.tenant {
            Some(tenant) => root.tenant(tenant)?,
            None => root,
        };
        // A spec's name lives as long as the process, which ends after this command.
        let name: &'static str = Box::leak(place.cache.clone().into_boxed_str());
        cache_enterprise::core::check_name("cache", name)?;
        let spec = CacheSpec::<String, Vec<u8>>::new(name);
        let spec = match settings.defaults().ttl {
            Some(Life::For(ttl)) => spec.ttl(ttl),
            _ => spec.forever(),
        };
        let entries = manager.open(&spec)?;
        Ok(Self { manager, entries })
    }

    async fn close(&self) -> Result<(), Failure> {
        let report = self.manager.shutdown(SHUTDOWN_MAX).await;
        if report.is_clean() {
            return Ok(());
        }
        Err(Failure::broken(format!("the cache did not close well: {report:?}")))
    }
}

impl Stored {
    async fn read(place: &Place) -> Result<Self, Failure> {
        let settings = config::load(place.config.as_deref())?;
        let clock = Clock::system();
        let tenant = place.tenant.as_deref().unwrap_or("");
        let space = KeySpace::new(settings.name(), tenant, &place.cache)?;
        let key = space.key(&place.key)?;
        let disk = open_disk(&settings, &clock).await?;
        let found = disk.get(&key, &OpContext::default()).await;
        disk.close().await?;
        let bytes = found?.ok_or_else(|| absent(place))?;
        let envelope = Envelope::open(&bytes, &key, None, &Limits::default())?;
        clock.tick();
        Ok(Self { envelope, bytes: bytes.len(), now_wall_ms: clock.wall_ms() })
    }

    /// What is left of its life, in seconds.
    fn rest(&self) -> String {
        let expires = self.envelope.header.expires_wall_ms;
        let left = expires.map(|at| (at - self.now_wall_ms).max(0) as f64 / 1_000.0);
        left.map_or("forever".into(), |seconds| format!("{seconds:.1}"))
    }

    fn describe(&self, show_value: bool) -> String {
        let Envelope { header, body } = &self.envelope;
        let tags: Vec<_> = body.tags.iter().map(Tag::as_str).collect();
        let age = (self.now_wall_ms - body.created_wall_ms).max(0) as f64 / 1_000.0;
        let mut text = format!(
            "level                L2 disk\nversion              {}\nage, seconds         {age:.1}\n\
             expires in, seconds  {}\ntags                 {}\nbytes stored         {}\n\
             bytes of value       {}\ncodec                {}\ncompressor           {}\n\
             schema               {}\n",
            header.sequence.0,
            self.rest(),
            if tags.is_empty() { "none".to_owned() } else { tags.join(", ") },
            self.bytes,
            body.plain_len,
            codec_name(body.codec),
            compressor_name(body.compressor),
            body.schema,
        );
        if show_value {
            let value = String::from_utf8_lossy(&body.payload);
            text.push_str(&format!("payload              {value}\n"));
        }
        text
    }
}

/// Numbers of formats as `docs/envelope.md` gives them.
fn codec_name(id: u8) -> String {
    match id {
        1 => "raw".into(),
        2 => "messagepack".into(),
        3 => "json".into(),
        4 => "postcard".into(),
        5 => "bincode".into(),
        6 => "protobuf".into(),
        other => format!("number {other}"),
    }
}

fn compressor_name(id: u8) -> String {
    match id {
        0 => "none".into(),
        id if id == Zstd::over(0).id() => "zstd".into(),
        id if id == Lz4::over(0).id() => "lz4".into(),
        id if id == Snap::over(0).id() => "snap".into(),
        id if id == Gzip::over(0).id() => "gzip".into(),
        other => format!("number {other}"),
    }
}

fn absent(place: &Place) -> Failure {
    let tenant = place.tenant.as_deref().unwrap_or("the root tenant");
    Failure::broken(format!("nothing under {:?} in cache {} of {tenant}", place.key, place.cache))
}

async fn open_disk(settings: &Settings, clock: &Clock) -> Result<Arc<DiskBackend>, Failure> {
    let disk = settings.levels().iter().find_map(|level| match &level.kind {
        LevelKind::Disk { path, max_size } => Some(Disk::at(path).budget(*max_size)),
        _ => None,
    });
    let disk = disk.ok_or_else(|| {
        Failure::input("the settings name no disk level; nothing outlives a command without one")
    })?;
    Ok(disk.clock(clock.clone()).open().await?)
}

fn run(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::broken(format!("cannot start a runtime: {error}")))?;
    runtime.block_on(work)
}
