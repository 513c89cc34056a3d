//! Paths and parents hold for bytes in a tier, after a restart too.

use std::sync::Arc;

use cache_enterprise_core::{Clock, OpenedBackend, mins};
use cache_enterprise_engine::{CacheManager, CacheSpec, path};
use cache_enterprise_serializers::MessagePack;

use crate::kept::Kept;
use crate::scripted::Scripted;
use crate::{builder, get, set, tier};

static USERS: CacheSpec<u64, u64> = CacheSpec::new("users").ttl(mins(5)).has_dependents().paths();
static PAGES: CacheSpec<u64, u64> = CacheSpec::new("pages").ttl(mins(5));
static PAGES_BY_PATH: CacheSpec<u64, u64> = CacheSpec::new("pages").ttl(mins(5)).paths();

async fn open(disk: &Arc<Scripted>, kept: &Arc<Kept>) -> CacheManager<MessagePack> {
    let source = OpenedBackend::new(disk.clone()).with_epochs(kept.clone());
    builder(&Clock::manual()).l2(source).codec(MessagePack).build().await.unwrap()
}

#[tokio::test]
async fn a_child_in_a_tier_ends_with_its_parent_after_a_restart_too() {
    let (disk, kept) = (tier("disk"), Arc::new(Kept::default()));
    let manager = open(&disk, &kept).await;
    let (users, pages) = (manager.open(&USERS).unwrap(), manager.open(&PAGES).unwrap());
    for key in [1, 2] {
        set(&users, key, key).await;
        pages.set(&key, key).depends_on(&users, &key).await;
    }
    pages.drop_level1();
    assert_eq!(get(&pages, 1).await, Some(1), "it climbs with its tags");
    users.remove(&1).await;
    assert_eq!(get(&pages, 1).await, None);
    drop((users, pages, manager));

    let manager = open(&disk, &kept).await;
    let pages = manager.open(&PAGES).unwrap();
    assert_eq!((get(&pages, 1).await, get(&pages, 2).await), (None, Some(2)));
    let users = manager.open(&USERS).unwrap();
    users.under(path![2]).clear().await;
    assert_eq!(get(&pages, 2).await, None, "a path of the parent ends the child");
}

#[tokio::test]
async fn bytes_from_before_their_spec_kept_paths_end_with_a_path() {
    let (disk, kept) = (tier("disk"), Arc::new(Kept::default()));
    let manager = open(&disk, &kept).await;
    let pages = manager.open(&PAGES).unwrap();
    set(&pages, 1, 1).await;
    set(&pages, 2, 2).await;
    drop((pages, manager));

    let manager = open(&disk, &kept).await;
    let pages = manager.open(&PAGES_BY_PATH).unwrap();
    pages.under(path![1]).clear().await;
    assert_eq!((get(&pages, 1).await, get(&pages, 2).await), (None, Some(2)));
}

#[tokio::test]
async fn what_was_registered_is_written_with_the_child() {
    let (disk, kept) = (tier("disk"), Arc::new(Kept::default()));
    let manager = open(&disk, &kept).await;
    let (users, pages) = (manager.open(&USERS).unwrap(), manager.open(&PAGES).unwrap());
    set(&pages, 1, 1).await;
    users.register_dependency(&1, &pages, &[1]).await.unwrap();
    assert_eq!(get(&pages, 1).await, None, "made anew, with its parent known");
    set(&pages, 1, 2).await;
    drop((users, pages, manager));

    let manager = open(&disk, &kept).await;
    let pages = manager.open(&PAGES).unwrap();
    assert_eq!(get(&pages, 1).await, Some(2));
    manager.open(&USERS).unwrap().remove(&1).await;
    assert_eq!(get(&pages, 1).await, None, "a process that was told nothing reads it in the bytes");
}
