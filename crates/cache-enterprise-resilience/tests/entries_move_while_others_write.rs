//! Entries move from one backend to another: whole, once, and never over something newer.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_enterprise_core::envelope::{Body, Envelope, Header};
use cache_enterprise_core::{
    Backend, Capabilities, Clock, ErrorKind, KeyPrefix, KeySpace, OpContext, Put, PutOutcome,
    Result, Sequence, StoredKey, Swapped, mins, ms, tag,
};
use cache_enterprise_resilience::{MigratingTier, Migration};
use cache_enterprise_testkit::ModelBackend;

fn key(number: u64) -> StoredKey {
    KeySpace::new("shop", "", "users").unwrap().key(&number).unwrap()
}

struct World {
    clock: Clock,
    old: Arc<ModelBackend>,
    new: Arc<ModelBackend>,
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual();
        let model = || Arc::new(ModelBackend::new(clock.clone()));
        Self { old: model(), new: model(), clock }
    }

    fn sealed(&self, number: u64, version: u64) -> Bytes {
        let expires = Some(self.clock.wall_ms() + 60_000);
        let header =
            Header { expires_wall_ms: expires, sequence: Sequence(version), ..Header::default() };
        let payload = Bytes::from(number.to_string());
        let plain_len = payload.len() as u32;
        let body = Body { tags: vec![tag!("org:7")], plain_len, payload, ..Body::default() };
        Envelope { header, body }.seal(&key(number), None).unwrap()
    }

    async fn put(&self, to: &dyn Backend, number: u64, version: u64) -> PutOutcome {
        let how = Put { ttl: Some(mins(1)), version: Sequence(version) };
        to.put(&key(number), self.sealed(number, version), how, &OpContext::default())
            .await
            .unwrap()
    }

    async fn held(&self, by: &dyn Backend, number: u64) -> Option<u64> {
        let bytes = by.get(&key(number), &OpContext::default()).await.unwrap()?;
        Some(Header::read(&bytes).unwrap().sequence.0)
    }

    fn migration(&self) -> Migration {
        let all = KeyPrefix::manager("shop");
        Migration::new(self.old.clone(), self.new.clone(), all, self.clock.clone())
    }
}

/// A target in which somebody else puts `meanwhile`, under the same version, right after each
/// write.
#[derive(Debug)]
struct Meddled {
    inner: ModelBackend,
    meanwhile: Bytes,
}

#[async_trait]
impl Backend for Meddled {
    fn name(&self) -> &str {
        "meddled"
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn get(&self, key: &StoredKey, ctx: &OpContext) -> Result<Option<Bytes>> {
        self.inner.get(key, ctx).await
    }

    async fn put(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        ctx: &OpContext,
    ) -> Result<PutOutcome> {
        let put = self.inner.put(key, value, how, ctx).await;
        self.inner.put(key, self.meanwhile.clone(), how, ctx).await?;
        put
    }

    async fn swap(
        &self,
        key: &StoredKey,
        value: Bytes,
        how: Put,
        expected: Sequence,
        ctx: &OpContext,
    ) -> Result<Swapped> {
        let swapped = self.inner.swap(key, value, how, expected, ctx).await;
        self.inner.put(key, self.meanwhile.clone(), how, ctx).await?;
        swapped
    }

    async fn remove(&self, key: &StoredKey, at: Sequence, ctx: &OpContext) -> Result<bool> {
        self.inner.remove(key, at, ctx).await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

#[tokio::test]
async fn what_moves_keeps_bytes_version_and_life_and_leaves_nothing_behind() {
    let world = World::new();
    for number in 0..10 {
        world.put(&*world.old, number, 5).await;
    }
    let before = world.old.get(&key(3), &OpContext::default()).await.unwrap();
    let dry = world.migration().dry_run().run().await.unwrap();
    assert_eq!((dry.moved, dry.is_dry, dry.next), (10, true, None));
    assert_eq!(world.held(&*world.new, 3).await, None, "a dry run writes nothing");

    let report = world.migration().run().await.unwrap();
    assert_eq!((report.seen, report.moved), (10, 10));
    assert_eq!(world.new.get(&key(3), &OpContext::default()).await.unwrap(), before);
    assert_eq!(world.held(&*world.old, 3).await, None);
    world.clock.advance(mins(1));
    assert_eq!(world.held(&*world.new, 3).await, None, "its life ends when it would have");
}

#[tokio::test]
async fn a_budget_pauses_and_the_cursor_goes_on() {
    let world = World::new();
    for number in 0..100 {
        world.put(&*world.old, number, 5).await;
    }
    let (mut moved, mut next, mut rounds) = (0, None, 0);
    loop {
        let migration = world.migration().keep_source().resume(next).keys_max(30);
        let report = migration.run().await.unwrap();
        assert!(report.seen <= 30);
        moved += report.moved;
        rounds += 1;
        next = report.next;
        if next.is_none() {
            break;
        }
    }
    assert!(rounds >= 4, "{rounds} rounds");
    assert_eq!(moved, 100);
    assert_eq!(world.held(&*world.old, 7).await, Some(5), "a copy leaves the source alone");
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept() {
    let world = World::new();
    for number in 0..1_000 {
        world.put(&*world.old, number, 5).await;
    }
    let begun = tokio::time::Instant::now();
    world.migration().rate(100).run().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(7), "1000 keys less the last page at 100/s");
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_kept_over_runs_that_end_after_a_few_keys() {
    let world = World::new();
    for number in 0..100 {
        world.put(&*world.old, number, 5).await;
    }
    let begun = tokio::time::Instant::now();
    let mut next = None;
    loop {
        let migration = world.migration().resume(next).keys_max(10).rate(100);
        next = migration.run().await.unwrap().next;
        if next.is_none() {
            break;
        }
    }
    assert!(begun.elapsed() >= ms(900), "{:?} for 90 keys at 100/s", begun.elapsed());
}

#[tokio::test]
async fn only_what_is_asked_for_moves_and_bytes_that_are_no_entry_stay() {
    let world = World::new();
    world.put(&*world.old, 1, 5).await;
    world.put(&*world.old, 2, 5).await;
    let how = Put::default();
    world.old.put(&key(3), "no entry".into(), how, &OpContext::default()).await.unwrap();
    let wanted = key(2);
    let migration = world.migration().only(move |key| *key != wanted);
    let report = migration.run().await.unwrap();
    assert_eq!((report.seen, report.moved, report.unreadable), (2, 1, 1));
    assert_eq!(world.held(&*world.old, 2).await, Some(5));
    assert!(world.old.get(&key(3), &OpContext::default()).await.unwrap().is_some());
}

#[tokio::test]
async fn neither_a_newer_value_nor_a_removal_is_undone() {
    let world = World::new();
    let ctx = OpContext::default();
    for number in 1..=3 {
        world.put(&*world.old, number, 5).await;
    }
    let tier = MigratingTier::new(world.old.clone(), world.new.clone());
    // A copy that was read before these would come after them.
    let late = world.sealed(2, 5);
    world.put(&*tier, 1, 9).await;
    tier.remove(&key(2), Sequence(9), &ctx).await.unwrap();
    let how = Put { ttl: None, version: Sequence(5) };
    assert_eq!(world.new.put(&key(2), late, how, &ctx).await.unwrap(), PutOutcome::Fenced);

    let report = world.migration().run().await.unwrap();
    assert_eq!(world.held(&*tier, 1).await, Some(9));
    assert_eq!(world.held(&*tier, 2).await, None);
    assert_eq!(world.held(&*tier, 3).await, Some(5));
    assert_eq!(report.moved, 2, "the newer value and the one nobody touched");
}

#[tokio::test]
async fn what_only_the_new_one_refuses_does_not_stay_in_the_old() {
    let world = World::new();
    let ctx = OpContext::default();
    let tier = MigratingTier::new(world.old.clone(), world.new.clone());
    for number in 1..=2 {
        world.new.remove(&key(number), Sequence(9), &ctx).await.unwrap();
    }
    assert_eq!(world.put(&*tier, 1, 5).await, PutOutcome::Fenced);
    assert_eq!(world.held(&*tier, 1).await, None, "the value from before the removal");

    let how = Put { ttl: None, version: Sequence(5) };
    let items = (1..=3).map(|number| (key(number), world.sealed(number, 5), how)).collect();
    let outcomes = tier.put_many(items, &ctx).await.unwrap();
    assert_eq!(outcomes, [PutOutcome::Fenced, PutOutcome::Fenced, PutOutcome::Stored]);
    for (number, held) in [(1, None), (2, None), (3, Some(5))] {
        assert_eq!(world.held(&*tier, number).await, held, "{number}");
        assert_eq!(world.held(&*world.old, number).await, held, "{number}");
    }
}

#[tokio::test]
async fn what_the_old_one_refuses_ends_its_elder_in_the_new() {
    let world = World::new();
    let tier = MigratingTier::new(world.old.clone(), world.new.clone());
    for number in [1, 2] {
        world.put(&*world.new, number, 3).await;
        // Of a set of both that has reached one.
        world.put(&*world.old, number, 9).await;
    }
    assert_eq!(world.put(&*tier, 1, 8).await, PutOutcome::Fenced);
    let how = Put { ttl: Some(mins(1)), version: Sequence(8) };
    let batch = vec![(key(2), world.sealed(2, 8), how)];
    let outcomes = tier.put_many(batch, &OpContext::default()).await.unwrap();
    assert_eq!(outcomes, [PutOutcome::Fenced]);
    for number in [1, 2] {
        assert_eq!(world.held(&*tier, number).await, Some(8), "nothing older than what was put");
    }
}

#[tokio::test]
async fn another_value_of_the_same_version_is_not_undone() {
    let world = World::new();
    let ctx = OpContext::default();
    for number in 1..=3 {
        world.put(&*world.old, number, 5).await;
    }
    // As a run that was cut short left it, and what stood there before.
    world.put(&*world.new, 2, 5).await;
    world.put(&*world.new, 3, 4).await;
    world.clock.advance(ms(1));
    let later = world.sealed(1, 5);
    world.put(&*world.new, 1, 5).await;

    let report = world.migration().run().await.unwrap();
    assert_eq!((report.moved, report.overtaken), (2, 1));
    assert_eq!(world.new.get(&key(1), &ctx).await.unwrap(), Some(later));
    assert_eq!(world.held(&*world.new, 3).await, Some(5));
    assert!(world.old.is_empty());
}

#[tokio::test]
async fn of_what_is_kept_beside_entries_the_copy_that_lives_longer_stays() {
    for (is_younger_in_old, moved) in [(true, 1), (false, 0)] {
        let world = World::new();
        let (beside, ctx) = (key(1).reserved("dictionary-1f"), OpContext::default());
        let how = Put { ttl: Some(mins(1)), version: Sequence(5) };
        let (first, second) = match is_younger_in_old {
            true => (&world.new, &world.old),
            false => (&world.old, &world.new),
        };
        first.put(&beside, world.sealed(1, 5), how, &ctx).await.unwrap();
        world.clock.advance(ms(1));
        let younger = world.sealed(1, 5);
        second.put(&beside, younger.clone(), how, &ctx).await.unwrap();
        let report = world.migration().run().await.unwrap();
        assert_eq!((report.moved, report.overtaken), (moved, 1 - moved));
        assert_eq!(world.new.get(&beside, &ctx).await.unwrap(), Some(younger));
    }
}

#[tokio::test]
async fn another_value_of_the_same_version_is_no_damage() {
    for swap in [true, false] {
        let world = World::new();
        world.put(&*world.old, 1, 5).await;
        world.clock.advance(ms(1));
        let meanwhile = world.sealed(1, 5);
        let claimed = Capabilities { swap, ..world.new.capabilities() };
        let inner = ModelBackend::new(world.clock.clone()).claiming(claimed);
        let to = Arc::new(Meddled { inner, meanwhile: meanwhile.clone() });
        let all = KeyPrefix::manager("shop");
        let migration = Migration::new(world.old.clone(), to.clone(), all, world.clock.clone());
        assert_eq!(migration.run().await.unwrap().overtaken, 1, "swap: {swap}");
        let held = to.get(&key(1), &OpContext::default()).await.unwrap();
        assert_eq!(held, Some(meanwhile), "swap: {swap}");
    }
}

#[tokio::test]
async fn a_target_that_forgets_removals_is_refused_while_others_write() {
    let world = World::new();
    let forgetful = Capabilities { fence: false, ..world.new.capabilities() };
    let target = Arc::new(ModelBackend::new(world.clock.clone()).claiming(forgetful));
    let move_to = |to: Arc<ModelBackend>| {
        let all = KeyPrefix::manager("shop");
        Migration::new(world.old.clone(), to, all, world.clock.clone())
    };
    let error = move_to(target.clone()).run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    world.put(&*world.old, 1, 5).await;
    assert_eq!(move_to(target).offline().run().await.unwrap().moved, 1);
}

#[tokio::test]
async fn the_old_backend_is_cut_off_when_it_answers_nothing_more() {
    let world = World::new();
    world.put(&*world.old, 1, 5).await;
    let tier = MigratingTier::new(world.old.clone(), world.new.clone());
    assert_eq!(world.held(&*tier, 1).await, Some(5), "only the old one has it");
    assert_eq!(world.held(&*tier, 2).await, None);
    let report = tier.report();
    assert_eq!((report.from_new, report.from_old, report.missed), (0, 1, 1));
    assert!(!report.is_done());

    world.migration().run().await.unwrap();
    for _ in 0..1_000 {
        assert_eq!(world.held(&*tier, 1).await, Some(5));
    }
    assert!(tier.report().is_done());
    assert!(tier.cut_over().is_cut_over);
    world.put(&*tier, 2, 6).await;
    assert_eq!(world.held(&*world.old, 2).await, None, "it is written to no more");
    assert_eq!(world.held(&*tier, 2).await, Some(6));
}

#[tokio::test]
async fn a_write_that_one_of_both_did_not_take_fails() {
    let world = World::new();
    let closed = Arc::new(ModelBackend::new(world.clock.clone()));
    closed.close().await.unwrap();
    for tier in [
        MigratingTier::new(closed.clone(), world.new.clone()),
        MigratingTier::new(world.old.clone(), closed.clone()),
    ] {
        let (how, ctx) = (Put::default(), OpContext::default());
        assert!(tier.put(&key(1), world.sealed(1, 1), how, &ctx).await.is_err());
        assert!(tier.remove(&key(1), Sequence(2), &ctx).await.is_err());
        assert!(tier.report().failures >= 2);
    }
}
