//! One file, two levels: what the first manager learnt, the next one serves.

use std::fs;

use cache_enterprise::prelude::*;
use cache_enterprise::{ErrorKind, Source};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct User {
    name: String,
}

static USERS: CacheSpec<u64, User> = CacheSpec::new("users");

#[tokio::test]
async fn a_restart_starts_warm_and_shutdown_ends_a_manager() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cache.toml");
    let disk = folder.path().join("disk");
    let text = format!(
        "name = \"shop\"\n[defaults]\nttl = \"1h\"\n[timeouts]\nread = \"20s\"\nwrite = \"20s\"\n\
         [[levels]]\nkind = \"memory\"\nmax_size = \"16MiB\"\n[[levels]]\nkind = \"disk\"\nmax_size = \"64MiB\"\npath = {disk:?}\n"
    );
    fs::write(&file, text).unwrap();
    let open = async || {
        let settings = Settings::builder().file(&file).build()?;
        CacheManager::from_settings(settings).await
    };

    let first = open().await.unwrap();
    first.start().await.unwrap();
    first.start().await.unwrap();
    let users = first.open(&USERS).unwrap();
    users.get_with(&7, || async { User { name: "Ada".to_owned() } }).await;
    assert!(first.shutdown(secs(60)).await.is_clean());
    assert_eq!(first.start().await.unwrap_err().kind(), ErrorKind::Closed);
    drop((users, first));

    let second = open().await.unwrap();
    let users = second.open(&USERS).unwrap();
    let hit = users.get_entry(&7).await.unwrap().expect("the disk kept it");
    assert_eq!((hit.value.name.as_str(), hit.source), ("Ada", Source::Tier(2)));
    assert!(second.shutdown(secs(60)).await.is_clean());
}

#[test]
fn memory_alone_needs_no_runtime() {
    let settings = Settings::builder().set("l1_max_size", "10000").set("defaults.ttl", "5m");
    let settings = settings.build().unwrap();
    let manager = cache_enterprise::block_on(CacheManager::from_settings(settings)).unwrap();
    cache_enterprise::block_on(manager.start()).unwrap();
    let users = manager.open(&USERS).unwrap();
    cache_enterprise::block_on(async {
        users.set(&7, User { name: "Ada".to_owned() }).await;
    });
    assert_eq!(users.peek(&7).unwrap().name, "Ada");
    let size = manager.describe().row("l1.max_size").unwrap().value.clone();
    assert_eq!(size, "10000 entries");
}
