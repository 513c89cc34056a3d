//! An explanation says of the copy in level 1 what a read would make of it, and why.

use cache_enterprise_core::{mins, secs};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, Verdict, block_on, path};

use crate::manager;

static SPEC: CacheSpec<(u64, u64), u64> =
    CacheSpec::new("numbers").ttl(mins(1)).stale_if_error(mins(1)).paths();
static PARENTS: CacheSpec<u64, u64> = CacheSpec::new("parents").ttl(mins(5));

/// A way to end what the cache holds.
type End = fn(&CacheManager, &Cache<(u64, u64), u64>);

fn verdict(cache: &Cache<(u64, u64), u64>) -> String {
    block_on(cache.explain(&(1, 2))).levels[0].verdict.to_string()
}

#[test]
fn every_way_to_be_refused_has_its_reason() {
    let (manager, clock) = manager();
    let (cache, parents) = (manager.open(&SPEC).unwrap(), manager.open(&PARENTS).unwrap());
    assert_eq!(verdict(&cache), "nothing");
    assert!(block_on(cache.get_opt_with(&(1, 2), || async { None::<u64> })).is_none());
    assert_eq!(verdict(&cache), "known to be absent");

    let fill = || block_on(cache.set(&(1, 2), 7_u64).tags(["t"]).depends_on(&parents, &9));
    fill();
    assert_eq!(verdict(&cache), "hit");
    block_on(parents.remove(&9));
    assert_eq!(
        verdict(&cache),
        "refused: derived from parents:9 was invalidated after it was made"
    );
    let ends: [(&str, End); 4] = [
        ("tag t", |manager, _| _ = block_on(manager.invalidate("t"))),
        ("path numbers:1:", |_, cache| _ = block_on(cache.under(path![1]).clear())),
        ("cache numbers", |_, cache| _ = block_on(cache.clear())),
        ("the tenant", |manager, _| _ = block_on(manager.clear())),
    ];
    for (by, end) in ends {
        fill();
        end(&manager, &cache);
        assert_eq!(verdict(&cache), format!("refused: {by} was invalidated after it was made"));
    }
    fill();
    block_on(manager.invalidate("t").soft());
    assert!(verdict(&cache).starts_with("past its life"));
    fill();
    clock.advance(secs(60));
    assert!(verdict(&cache).starts_with("past its life"));
    clock.advance(secs(60));
    assert_eq!(verdict(&cache), "refused: its life is over");
}

#[test]
fn the_text_names_copy_epochs_and_answer_and_changes_nothing() {
    let (manager, clock) = manager();
    let cache = manager.tenant("acme").unwrap().open(&SPEC).unwrap();
    block_on(cache.set(&(1, 2), 7_u64).tags(["t"]));
    clock.advance(secs(3));
    let before = cache.stats();
    let why = block_on(cache.explain(&(1, 2)));
    assert_eq!(cache.stats(), before);
    assert_eq!((why.tenant.as_str(), why.key.as_str()), ("acme", "1:2"));
    assert_eq!(why.answered_by(), Some(1));
    let copy = why.levels[0].copy.as_ref().unwrap();
    assert_eq!((copy.age, copy.fresh_for), (secs(3), Some(secs(57))));
    assert!(copy.tags.contains(&"tag t".to_owned()), "{copy:?}");
    let targets: Vec<_> = why.epochs.iter().map(|epoch| epoch.target.as_str()).collect();
    for target in ["tag t", "path numbers:1:", "tenant, cache or pattern"] {
        assert!(targets.contains(&target), "{targets:?}");
    }
    assert!(why.to_string().ends_with("a read would be answered by L1"), "{why}");
    assert!(matches!(why.levels[0].verdict, Verdict::Hit));
}
