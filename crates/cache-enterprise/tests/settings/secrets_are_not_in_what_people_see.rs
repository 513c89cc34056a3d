//! A secret is in no description, error, event or debug text; its backend alone reads it.

use std::fs;
use std::sync::{Arc, Mutex};

use cache_enterprise::core::{BackendConfig, BackendSource, Event, Observer};
use cache_enterprise::prelude::*;
use cache_enterprise::{BackendFactory, Error, Result};

use crate::World;

const CANARY: &str = "hunter2-canary";

/// Reads its token, as a backend that logs in does; then fails if it was told to.
#[derive(Clone, Debug)]
struct Vault {
    world: Arc<cache_enterprise_testkit::chaos::ChaosBackend>,
    read: Arc<Mutex<Vec<u8>>>,
    refuses: bool,
}

impl BackendFactory for Vault {
    fn source(&self, config: &BackendConfig) -> Result<Box<dyn BackendSource>> {
        let token =
            config.secret("token")?.ok_or_else(|| Error::config("a vault needs a token"))?;
        token.reveal(&mut |bytes| *self.read.lock().unwrap() = bytes.to_vec())?;
        if self.refuses {
            return Err(Error::config("the vault does not know the token").with("option", "token"));
        }
        Ok(Box::new(Arc::clone(&self.world)))
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
    let vault = Vault { world: world.shelf.clone(), read: Arc::clone(&read), refuses: false };
    let wiring = world.wiring().backend("vault", vault).unwrap().observer(heard.clone());
    let settings = settings(&file);
    let manager = wiring.manager(&settings).await.unwrap();
    assert_eq!(*read.lock().unwrap(), CANARY.as_bytes());

    let row = manager.describe().row("l2.token").unwrap().clone();
    assert!(row.value.starts_with("*** (file:"), "{}", row.value);
    assert_eq!(manager.describe().row("l2.label").unwrap().value, "blue");
    world
        .shelf
        .set(cache_enterprise_testkit::chaos::Mode::Fail(cache_enterprise::ErrorKind::Unavailable));
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

#[test]
fn nor_when_the_backend_refuses_it_or_it_cannot_be_read() {
    let (world, file) = (World::new(), secret_file());
    let vault = Vault { world: world.shelf.clone(), read: Arc::default(), refuses: true };
    let wiring = world.wiring().backend("vault", vault).unwrap();
    let refused = wiring.check(&settings(&file)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "1 problem with the settings\n  code: `levels.1.options.token`: the vault does not know \
         the token (option: token); correct it"
    );
    let settings = settings(&file);
    file.close().unwrap();
    let unread = wiring.check(&settings).unwrap_err().to_string();
    assert!(unread.contains("cannot read the file of the secret"), "{unread}");
    assert!(!format!("{unread} {refused:?}").contains(CANARY));
}
