//! A call may name one backend: it is answered from there and from nowhere else.

use cache_enterprise_core::{Clock, ErrorKind, mins, tag};
use cache_enterprise_engine::{CacheManager, CacheSpec, Source, Tier, WritePolicy};
use cache_enterprise_serializers::MessagePack;

use crate::scripted::{Mode, Scripted};
use crate::{builder, get, set, tier};

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(5));

/// Two levels below level 1, the lower one named, and a backend beside them.
struct World {
    clock: Clock,
    walk: std::sync::Arc<Scripted>,
    lower: std::sync::Arc<Scripted>,
    beside: std::sync::Arc<Scripted>,
    manager: CacheManager<MessagePack>,
}

impl World {
    async fn new() -> Self {
        let clock = Clock::manual();
        let [walk, lower, beside] = ["walk", "lower", "beside"].map(tier);
        let manager = builder(&clock)
            .l2(walk.clone())
            .l3(Tier::new(lower.clone()).named("attic").write(WritePolicy::Around))
            .backend("cellar", beside.clone())
            .default_backend("house")
            .codec(MessagePack)
            .build()
            .await
            .unwrap();
        Self { clock, walk, lower, beside, manager }
    }

    fn sizes(&self) -> [usize; 3] {
        [self.walk.len(), self.lower.len(), self.beside.len()]
    }
}

#[tokio::test]
async fn each_name_answers_for_itself_alone() {
    let world = World::new().await;
    assert_eq!(world.manager.backends(), ["attic", "cellar", "house", "memory"]);
    let names = [None, Some("attic"), Some("cellar"), Some("memory")];
    for (value, name) in (1..).zip(names) {
        let set = world.manager.set("k", &(value as u64)).ttl(mins(1));
        match name {
            Some(name) => set.backend(name).await.unwrap(),
            None => set.await.unwrap(),
        }
    }
    assert_eq!(world.sizes(), [1, 1, 1], "a level by name is written, whatever the walk does");
    let read = async |name: Option<&'static str>| {
        let get = world.manager.get::<u64>("k");
        let found = match name {
            Some(name) => get.backend(name).await,
            None => get.await,
        };
        found.unwrap().map(|value| *value)
    };
    assert_eq!(read(None).await, Some(1));
    assert_eq!(read(Some("house")).await, Some(1), "the default backend is the walk");
    assert_eq!(read(Some("attic")).await, Some(2));
    assert_eq!(read(Some("cellar")).await, Some(3));
    assert_eq!(read(Some("memory")).await, Some(4));

    assert!(world.manager.delete("k").backend("cellar").await.unwrap());
    assert_eq!(read(Some("cellar")).await, None);
    assert_eq!(read(None).await, Some(1), "the walk has its own entry");
}

#[tokio::test]
async fn level_1_keeps_no_copy_of_a_named_backend() {
    let world = World::new().await;
    let cellar = world.manager.backend("cellar").unwrap().open(&SPEC).unwrap();
    let walk = world.manager.open(&SPEC).unwrap();
    assert_eq!((cellar.backend(), walk.backend()), (Some("cellar"), None));
    set(&cellar, 1, 7).await;
    assert!(!cellar.contains(&1) && get(&walk, 1).await.is_none());
    for calls in 1..=2 {
        let before = world.beside.calls.load(std::sync::atomic::Ordering::SeqCst);
        let hit = cellar.get_entry(&1).await.unwrap().unwrap();
        assert_eq!((*hit.value, hit.source, hit.level), (7, Source::Tier(0), None), "{calls}");
        let after = world.beside.calls.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(after, before + 1, "each read asks the backend");
    }
    world.beside.set(Mode::Fail);
    assert_eq!(get(&cellar, 1).await, None, "nobody answers for it");
    assert_eq!(get(&walk, 1).await, None);
    world.clock.advance(mins(1));
}

#[tokio::test]
async fn tags_and_tenants_are_shared_by_all_names() {
    let world = World::new().await;
    let acme = world.manager.tenant("acme").unwrap();
    for manager in [&world.manager, &acme] {
        let set = manager.set("k", &7_u64).ttl(mins(1)).tags([tag!("t")]);
        set.backend("cellar").await.unwrap();
    }
    world.manager.invalidate(tag!("t")).await;
    let root = world.manager.get::<u64>("k").backend("cellar").await.unwrap();
    let tenant = world.manager.get::<u64>("k").tenant("acme").backend("cellar").await.unwrap();
    assert_eq!((root, tenant.as_deref()), (None, Some(&7)));
    assert_eq!(world.beside.len(), 2, "one key of two tenants is two entries");
}

#[tokio::test]
async fn wrong_names_are_answered_with_the_right_ones() {
    let world = World::new().await;
    let unknown = world.manager.get::<u64>("k").backend("celar").await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Config);
    assert!(unknown.to_string().contains("known: attic, cellar, house, memory"), "{unknown}");

    static TAKEN: CacheSpec<u64, u64> = CacheSpec::new("numbers@cellar").ttl(mins(5));
    let taken = world.manager.open(&TAKEN).unwrap_err();
    assert!(taken.to_string().contains("rename it"), "{taken}");

    let twice = builder(&Clock::manual())
        .l2(Tier::new(tier("a")).named("attic"))
        .backend("attic", tier("b"))
        .codec(MessagePack);
    assert_eq!(twice.build().await.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn a_manager_without_levels_may_have_backends_beside_level_1() {
    let attic = tier("attic");
    let manager = builder(&Clock::manual()).backend("attic", attic.clone()).codec(MessagePack);
    let manager = manager.build().await.unwrap();
    manager.set("k", &7_u64).ttl(mins(1)).await.unwrap();
    assert_eq!(attic.len(), 0);
    manager.set("k", &8_u64).ttl(mins(1)).backend("attic").await.unwrap();
    assert_eq!(attic.len(), 1);
    assert_eq!(manager.get::<u64>("k").await.unwrap().as_deref(), Some(&7));
}

#[tokio::test]
async fn reports_tell_a_backend_once_and_count_each_name() {
    let world = World::new().await;
    let cellar = world.manager.backend("cellar").unwrap().open(&SPEC).unwrap();
    set(&cellar, 1, 7).await;
    assert_eq!(get(&cellar, 1).await, Some(7));
    let health: Vec<_> = world.manager.health().await.into_iter().map(|one| one.name).collect();
    assert_eq!(health, ["walk", "lower", "cellar"]);
    let stats = world.manager.tier_stats();
    let of = |name: &str| stats.iter().find(|one| one.name == name).map(|one| (one.puts, one.hits));
    assert_eq!((of("cellar"), of("attic")), (Some((1, 1)), Some((0, 0))));
    let description = world.manager.describe();
    assert_eq!(description.row("backend.cellar.backend").unwrap().value, "beside");
    assert!(description.row("backend.attic.backend").is_none(), "it is told as level 3");
    let report = world.manager.shutdown(mins(1)).await;
    assert!(report.is_clean(), "{report:?}");
}
