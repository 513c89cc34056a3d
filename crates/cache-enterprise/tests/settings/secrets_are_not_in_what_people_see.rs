//! A secret is in no description, error, event or debug text; its backend alone reads it.

use std::fs;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cache_enterprise::core::{Event, Observer, SecretSource};
use cache_enterprise::prelude::*;
use cache_enterprise::{
    BackendConfig, BackendFactory, BackendSource, Clock, Error, ErrorKind, OpenedBackend, Result,
};
use cache_enterprise_testkit::chaos::{ChaosBackend, Mode};

use crate::World;

const CANARY: &str = "hunter2-canary";

/// A backend that logs in with a token, unless it refuses every token.
#[derive(Clone, Debug)]
struct Vault {
    shelf: Arc<ChaosBackend>,
    read: Arc<Mutex<Vec<u8>>>,
    refuses: bool,
}

/// The vault, before it reads its token.
#[derive(Debug)]
struct Locked {
    vault: Vault,
    token: Arc<dyn SecretSource>,
}

impl BackendFactory for Vault {
    fn source(&self, config: &BackendConfig) -> Result<Box<dyn BackendSource>> {
        let token =
            config.secret("token")?.ok_or_else(|| Error::config("a vault needs a token"))?;
        Ok(Box::new(Locked { vault: self.clone(), token: Arc::clone(token) }))
    }
}

#[async_trait]
impl BackendSource for Locked {
    async fn open(self: Box<Self>, _: &Clock) -> Result<OpenedBackend> {
        let Self { vault, token } = *self;
        token.reveal(&mut |bytes| *vault.read.lock().unwrap() = bytes.to_vec())?;
        if vault.refuses {
            return Err(Error::config("the vault does not know the token"));
        }
        Ok(OpenedBackend::new(vault.shelf))
    }
}

#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<String>>);

impl Observer for Heard {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push_str(&format!("{event:?}\n"));
    }
}

fn secret_file() -> tempfile::NamedTempFile {
    // A temporary file is made with mode 0600.
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("{CANARY}\n")).unwrap();
    file
}

fn settings(file: &tempfile::NamedTempFile) -> Settings {
    Settings::builder()
        .set("defaults.ttl", "5m")
        .set("levels.1.kind", "vault")
        .set("levels.1.options.token", format!("file:{}", file.path().display()))
        .set("levels.1.options.label", "blue")
        .build()
        .unwrap()
}

#[tokio::test]
async fn while_the_backend_reads_it() {
    static NOTES: CacheSpec<u64, String> = CacheSpec::new("notes");
    let (world, file, heard) = (World::new(), secret_file(), Heard::default());
    let read = Arc::new(Mutex::new(Vec::new()));
    let vault = Vault { shelf: world.shelf.clone(), read: Arc::clone(&read), refuses: false };
    let wiring = world.wiring().backend("vault", vault).unwrap().observer(heard.clone());
    let settings = settings(&file);
    let manager = wiring.manager(&settings).await.unwrap();
    assert_eq!(*read.lock().unwrap(), CANARY.as_bytes());

    let row = manager.describe().row("l2.token").unwrap().clone();
    assert!(row.value.starts_with("*** (file:"), "{}", row.value);
    assert_eq!(manager.describe().row("l2.label").unwrap().value, "blue");
    world.shelf.set(Mode::Fail(ErrorKind::Unavailable));
    let failed = manager.open(&NOTES).unwrap().set(&1, String::new()).strict().await;
    let shown = format!(
        "{} {:?} {settings:?} {} {wiring:?} {manager:?} {:?} {:?} {}",
        manager.describe(),
        manager.describe(),
        settings.describe(),
        failed.unwrap_err(),
        manager.health().await,
        heard.0.lock().unwrap(),
    );
    assert!(shown.contains("TierFailed"), "the events were heard: {shown}");
    assert!(!shown.contains(CANARY), "{shown}");
}

#[tokio::test]
async fn nor_when_the_backend_refuses_it_or_it_cannot_be_read() {
    let (world, file) = (World::new(), secret_file());
    let read = Arc::new(Mutex::new(Vec::new()));
    let vault = Vault { shelf: world.shelf.clone(), read: Arc::clone(&read), refuses: true };
    let wiring = world.wiring().backend("vault", vault).unwrap();
    let settings = settings(&file);
    wiring.check(&settings).unwrap();
    assert!(read.lock().unwrap().is_empty(), "a check reads no secret");
    let refused = wiring.manager(&settings).await.unwrap_err();
    assert_eq!(refused.to_string(), "the vault does not know the token");
    assert_eq!(*read.lock().unwrap(), CANARY.as_bytes());

    file.close().unwrap();
    let unread = wiring.manager(&settings).await.unwrap_err();
    assert_eq!(unread.message(), "cannot read the file of the secret");
    assert!(!format!("{unread} {unread:?} {refused:?}").contains(CANARY));
}

#[test]
fn nor_when_it_stands_in_clear() {
    let token = "levels.1.options.token";
    let in_clear = Settings::builder().set("levels.1.kind", "vault").set(token, CANARY).build();
    let refused = in_clear.unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains(CANARY));

    // The name of an option may say nothing of a secret; a factory that cannot read it does not
    // repeat it either.
    let shelf = Settings::builder().set("levels.1.kind", "shelf");
    let settings = shelf.set("levels.1.options.pool_size", CANARY).build().unwrap();
    let refused = World::new().wiring().check(&settings).unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains(CANARY), "{refused}");
}

#[tokio::test]
async fn an_address_with_a_password_is_a_secret_and_is_used() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let at = server.local_addr().unwrap();
    fs::write(file.path(), format!("redis://:{CANARY}@{at}\n")).unwrap();
    let url = format!("file:{}", file.path().display());
    let settings =
        Settings::builder().set("redis_url", url).set("bus.kind", "redis").build().unwrap();
    let wiring = World::new().wiring();
    wiring.check(&settings).unwrap();
    let opened = tokio::spawn(async move { wiring.manager(&settings).await });
    let (socket, _) = server.accept().await.unwrap();
    drop((socket, server));
    let manager = opened.await.unwrap().unwrap();
    let shown = format!("{} {manager:?}", manager.describe());
    assert!(shown.contains("*** (file:") && !shown.contains(CANARY), "{shown}");
}
