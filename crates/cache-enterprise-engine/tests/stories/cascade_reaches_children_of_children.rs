//! The end of an entry ends what was derived from it, however far down, and nothing is walked.
//!
//! Breaking the rule "the end of a parent ends what was derived from it" turns the first four tests
//! red.

use cache_enterprise_core::{ErrorKind, SetOutcome, mins};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, block_on, path};

use crate::manager;

static PARENTS: CacheSpec<u64, u64> =
    CacheSpec::new("parents").ttl(mins(5)).stale_if_error(mins(5)).has_dependents().paths();
static CHILDREN: CacheSpec<u64, u64> =
    CacheSpec::new("children").ttl(mins(5)).stale_if_error(mins(5));
static GRANDCHILDREN: CacheSpec<u64, u64> = CacheSpec::new("grandchildren").ttl(mins(5));

type Three = [Cache<u64, u64>; 3];

/// Key 1 of each cache derives from key 1 of the one before; the keys 2 stand by themselves.
fn family() -> (CacheManager, Three) {
    let (manager, _clock) = manager();
    let three = [&PARENTS, &CHILDREN, &GRANDCHILDREN].map(|spec| manager.open(spec).unwrap());
    bear(&three);
    for cache in &three {
        block_on(cache.set(&2, 2_u64));
    }
    (manager, three)
}

fn bear([parents, children, grandchildren]: &Three) {
    block_on(parents.set(&1, 1_u64).tags(["org:7"]));
    block_on(children.set(&1, 1_u64).depends_on(parents, &1));
    block_on(grandchildren.set(&1, 1_u64).depends_on(children, &1));
    assert!([parents, children, grandchildren].iter().all(|cache| cache.contains(&1)));
}

fn held(three: &Three, key: u64) -> [bool; 3] {
    [0, 1, 2].map(|index| three[index].contains(&key))
}

#[test]
fn every_kind_of_change_of_a_parent_ends_what_was_derived() {
    type Change = fn(&CacheManager, &Three);
    let replaced = [true, false, false];
    let changes: [(&str, Change, [bool; 3]); 8] = [
        ("remove", |_, three| assert!(block_on(three[0].remove(&1))), [false; 3]),
        ("batch", |_, three| assert_eq!(block_on(three[0].remove_many(&[1, 9])), 1), [false; 3]),
        ("set", |_, three| _ = block_on(three[0].set(&1, 5_u64)), replaced),
        ("sets", |_, three| _ = block_on(three[0].set_many([(1_u64, 5_u64)])), replaced),
        ("place", |_, three| _ = block_on(three[0].set_multi_level(&1, 5_u64)), replaced),
        ("clear", |_, three| _ = block_on(three[0].clear()), [false; 3]),
        ("path", |_, three| _ = block_on(three[0].under(path![1]).clear()), [false; 3]),
        ("tag", |manager, _| _ = block_on(manager.invalidate("org:7")), [false; 3]),
    ];
    for (name, change, left) in changes {
        let (manager, three) = family();
        change(&manager, &three);
        assert_eq!(held(&three, 1), left, "{name}");
        let others = if name == "clear" { [false, true, true] } else { [true; 3] };
        assert_eq!(held(&three, 2), others, "{name}");
        bear(&three);
    }
}

#[test]
fn a_change_in_the_middle_ends_only_what_lies_below() {
    let (_manager, three) = family();
    block_on(three[1].remove(&1));
    assert_eq!(held(&three, 1), [true, false, false]);
}

#[test]
fn what_expires_softly_takes_along_softly() {
    let (_manager, three) = family();
    block_on(three[0].expire(&1));
    assert_eq!(held(&three, 1), [false; 3]);
    let load = || async { Err::<u64, _>("the origin is down") };
    assert_eq!(*block_on(three[1].try_get_with(&1, load)).unwrap(), 1, "as a fallback");
}

#[test]
fn a_load_whose_parent_changes_meanwhile_is_not_served_again() {
    let (_manager, [parents, children, _]) = family();
    let parent = parents.clone();
    let load = move |cx: cache_enterprise_engine::LoadContext<_>| async move {
        cx.depends_on(&parent, &1);
        let seen = *parent.peek(&1).unwrap();
        parent.set(&1, 10_u64).await;
        Ok::<_, std::convert::Infallible>(seen)
    };
    assert_eq!(*block_on(children.fetch(&3).detached(load)).unwrap(), 1);
    assert!(!children.contains(&3), "it was made of the parent before");
    let load = || async { Ok::<_, std::convert::Infallible>(10_u64) };
    assert_eq!(*block_on(children.fetch(&3).depends_on(&parents, &1).with(load)).unwrap(), 10);
    assert!(children.contains(&3));
    block_on(parents.remove(&1));
    assert!(!children.contains(&3));
}

#[test]
fn a_circle_ends_once_around_and_a_write_stays() {
    let (_manager, [_, a, b]) = family();
    block_on(async {
        a.register_dependency(&7, &b, &[7]).await.unwrap();
        b.register_dependency(&7, &a, &[7]).await.unwrap();
        a.set(&7, 1_u64).await;
        b.set(&7, 1_u64).await;
        assert!(b.contains(&7) && !a.contains(&7), "b was replaced, and a is derived from it");
        a.set(&7, 2_u64).await;
        assert!(a.contains(&7) && !b.contains(&7));
        a.remove(&7).await;
        assert!(!a.contains(&7) && !b.contains(&7));
    });
}

#[test]
fn registered_names_cascade_through_levels_nobody_wrote_tags_for() {
    let (_manager, [_, a, b]) = family();
    block_on(async {
        a.register_dependency(&7, &b, &[8, 9]).await.unwrap();
        b.register_dependency(&8, &a, &[10]).await.unwrap();
        for key in [8, 9] {
            b.set(&key, 1_u64).await;
        }
        a.set(&10, 1_u64).await;
        a.remove(&7).await;
        assert!(!b.contains(&8) && !b.contains(&9) && !a.contains(&10));
        assert!(a.contains(&2) && b.contains(&2));
    });
}

#[test]
fn an_entry_of_another_tenant_is_no_parent() {
    let (manager, [parents, ..]) = family();
    let foreign = manager.tenant("acme").unwrap().open(&CHILDREN).unwrap();
    let outcome = block_on(foreign.set(&1, 1_u64).depends_on(&parents, &1));
    assert_eq!(outcome, SetOutcome::Invalid);
    let load = || async { Ok::<_, std::convert::Infallible>(1_u64) };
    block_on(foreign.fetch(&1).depends_on(&parents, &1).with(load)).unwrap();
    let parent = parents.clone();
    let load = move |cx: cache_enterprise_engine::LoadContext<_>| async move {
        cx.depends_on(&parent, &1);
        Ok::<_, std::convert::Infallible>(1_u64)
    };
    block_on(foreign.fetch(&2).detached(load)).unwrap();
    assert!(foreign.is_empty(), "given, and not stored");
    let error = block_on(parents.register_dependency(&1, &foreign, &[1])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
