//! The contract of [`EpochStore`] as named cases.
//!
//! What counts is the *effective* epoch of a target: the highest of its own, the tenant's, the
//! one of everything, and the floor. A store may answer higher than needed, which costs loads; it
//! may never answer lower, which would serve what was invalidated.
//!
//! ```no_run
//! use std::sync::Arc;
//! use cache_enterprise_core::coherence::EpochStore;
//! use cache_enterprise_testkit::conformance::epoch_store::{self, Fixture};
//!
//! # async fn check<S: EpochStore>(open: fn(u32) -> S) {
//! // `open` opens the store of a directory; the same one again after a crash.
//! let directory = std::sync::atomic::AtomicU32::new(0);
//! let report = epoch_store::run(|| {
//!     let number = directory.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
//!     async move {
//!         Fixture::new(Arc::new(open(number)))
//!             .reopen(move || async move { Arc::new(open(number)) as _ })
//!     }
//! })
//! .await;
//! report.assert_passed();
//! # }
//! ```

use std::any::Any;
use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use cache_enterprise_core::coherence::{EpochRecord, EpochStore, EpochTarget, Sequence};
use cache_enterprise_core::{Tag, tag};
use tokio::task::JoinSet;

use super::case::{Failure, Verdict, ensure, ensure_eq, run_task};
use super::{Outcome, Report};
use crate::Seed;

/// Seed of the suite when `CE_SEED` is not set.
const DEFAULT_SEED: u64 = 0xe70c;
/// Above every number of a counter that starts at today's wall time.
const FAR: Sequence = Sequence(1 << 60);

type Reopened = Pin<Box<dyn Future<Output = Arc<dyn EpochStore>> + Send>>;

/// An empty store under test.
pub struct Fixture {
    store: Arc<dyn EpochStore>,
    reopen: Option<Arc<dyn Fn() -> Reopened + Send + Sync>>,
    kept: Vec<Arc<dyn Any + Send + Sync>>,
}

impl Fixture {
    /// A fixture of a store that holds nothing yet.
    pub fn new(store: Arc<dyn EpochStore>) -> Self {
        Self { store, reopen: None, kept: Vec::new() }
    }

    /// How to open the same records again after the store was dropped without a word, as a crash
    /// would. Default: none, and the cases about it are counted as not claimed.
    #[must_use]
    pub fn reopen<R, F>(mut self, reopen: R) -> Self
    where
        R: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Arc<dyn EpochStore>> + Send + 'static,
    {
        self.reopen = Some(Arc::new(move || Box::pin(reopen())));
        self
    }

    /// Keeps something alive for as long as the case runs, such as a temporary directory.
    #[must_use]
    pub fn keep(mut self, kept: impl Any + Send + Sync) -> Self {
        self.kept.push(Arc::new(kept));
        self
    }

    async fn load(&self, tenant: &str, newest: Sequence) -> Result<EpochRecord, Failure> {
        Ok(self.store.load("suite", tenant, newest).await?)
    }

    async fn raise(
        &self,
        tenant: &str,
        target: EpochTarget,
        above: Sequence,
    ) -> Result<Sequence, Failure> {
        Ok(self.store.raise("suite", tenant, &[target], above).await?)
    }

    async fn reserve(&self, tenant: &str, upto: Sequence) -> Verdict {
        Ok(self.store.reserve("suite", tenant, upto).await?)
    }

    /// Drops the store without closing anything and opens it again.
    async fn crash(self) -> Result<Self, Failure> {
        let Self { store, reopen, kept } = self;
        let Some(reopen) = reopen else {
            return Err(Failure(String::from("the fixture cannot reopen the store")));
        };
        drop(store);
        Ok(Self { store: reopen().await, reopen: Some(reopen), kept })
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture")
            .field("store", &self.store)
            .field("can_reopen", &self.reopen.is_some())
            .finish_non_exhaustive()
    }
}

type CaseFuture = Pin<Box<dyn Future<Output = Verdict> + Send>>;

struct Case {
    name: &'static str,
    crashes: bool,
    run: fn(Fixture) -> CaseFuture,
}

macro_rules! cases {
    ($(crashes $crashes:literal => [$($name:ident),* $(,)?])*) => {
        const CASES: &[Case] = &[$($(
            Case {
                name: stringify!($name),
                crashes: $crashes,
                run: |fixture| Box::pin($name(fixture)),
            },
        )*)*];
    };
}

cases! {
    crashes false => [
        a_first_load_starts_above_what_the_caller_saw,
        a_first_load_trusts_nothing_older,
        a_second_load_is_not_below_the_first,
        a_load_does_not_invalidate_what_came_after_the_last,
        a_raise_gives_a_number_above_the_callers,
        raises_give_rising_numbers,
        a_raise_is_above_what_a_load_gave,
        a_load_is_above_every_raise,
        a_load_is_above_a_reservation,
        a_raise_is_above_a_reservation,
        a_lower_reservation_lowers_nothing,
        a_lower_newest_lowers_nothing,
        a_raised_target_is_found_by_a_load,
        a_second_raise_of_a_target_counts,
        one_raise_stores_several_targets,
        a_raise_without_targets_still_counts,
        a_raise_leaves_other_targets,
        a_tag_and_a_cache_of_one_name_are_two_targets,
        a_raise_leaves_other_tenants,
        a_raise_leaves_other_managers,
        odd_names_stay_apart,
        everything_reaches_tenants_that_were_loaded,
        everything_reaches_tenants_that_were_not,
        everything_leaves_other_managers,
        three_thousand_tags_lose_nothing,
        raises_at_once_give_numbers_of_their_own,
        raises_and_reservations_mix,
    ]
    crashes true => [
        a_raise_survives_a_crash,
        every_target_survives_a_crash,
        a_reservation_survives_a_crash,
        everything_survives_a_crash,
        a_crash_gives_no_number_twice,
        raises_at_once_survive_a_crash,
        several_crashes_lose_nothing,
    ]
}

/// Runs every case against a store of its own, which `make` gives. Needs a tokio runtime with
/// time enabled.
pub async fn run<M, F>(make: M) -> Report
where
    M: Fn() -> F,
    F: Future<Output = Fixture>,
{
    let seed = Seed::from_env_or(DEFAULT_SEED);
    let mut report = Report::new("epoch store", String::from("store"), seed);
    for case in CASES {
        let fixture = make().await;
        if case.crashes && fixture.reopen.is_none() {
            report.add(case.name, Outcome::NotClaimed("reopen"));
            continue;
        }
        let checked = async move { (case.run)(fixture).await.map(|()| Outcome::Passed) };
        report.add(case.name, run_task(checked).await);
    }
    report
}

fn tag(name: &str) -> EpochTarget {
    EpochTarget::Tag(tag!("{name}"))
}

fn cache(name: &str) -> EpochTarget {
    EpochTarget::Cache(Tag::from(name))
}

/// The epoch that an entry of `target` is compared with.
fn effective(record: &EpochRecord, target: &EpochTarget) -> Sequence {
    let applies = |known: &EpochTarget| {
        known == target || matches!(known, EpochTarget::Tenant | EpochTarget::Everything)
    };
    let epochs = record.epochs.iter().filter(|(known, _)| applies(known));
    epochs.map(|(_, epoch)| *epoch).fold(record.floor, Sequence::max)
}

async fn expect_epoch(
    fixture: &Fixture,
    tenant: &str,
    target: &EpochTarget,
    at_least: Sequence,
) -> Verdict {
    let found = effective(&fixture.load(tenant, Sequence::ZERO).await?, target);
    ensure!(
        found >= at_least,
        "epoch of {target:?} of {tenant:?} is {found}, raised to {at_least}"
    );
    Ok(())
}

async fn expect_below(
    fixture: &Fixture,
    tenant: &str,
    target: &EpochTarget,
    raised: Sequence,
) -> Verdict {
    let found = effective(&fixture.load(tenant, Sequence::ZERO).await?, target);
    ensure!(found < raised, "{target:?} of {tenant:?} was raised along with another target");
    Ok(())
}

async fn a_first_load_starts_above_what_the_caller_saw(fixture: Fixture) -> Verdict {
    let record = fixture.load("acme", FAR).await?;
    ensure!(record.sequence >= FAR, "the counter starts at {}", record.sequence);
    Ok(())
}

/// Never seen and lost cannot be told apart.
async fn a_first_load_trusts_nothing_older(fixture: Fixture) -> Verdict {
    let record = fixture.load("acme", FAR).await?;
    ensure!(record.floor >= FAR, "the floor is {} and {FAR} was seen", record.floor);
    ensure!(record.floor <= record.sequence, "the floor is above the counter: nothing is valid");
    Ok(())
}

async fn a_second_load_is_not_below_the_first(fixture: Fixture) -> Verdict {
    let first = fixture.load("acme", Sequence(5)).await?;
    let second = fixture.load("acme", Sequence(5)).await?;
    ensure!(second.sequence >= first.sequence, "{} after {}", second.sequence, first.sequence);
    ensure!(second.floor >= first.floor, "floor {} after {}", second.floor, first.floor);
    Ok(())
}

async fn a_load_does_not_invalidate_what_came_after_the_last(fixture: Fixture) -> Verdict {
    let version = fixture.load("acme", Sequence(5)).await?.sequence;
    let record = fixture.load("acme", version).await?;
    let epoch = effective(&record, &tag("any"));
    ensure!(epoch <= version, "a value of version {version} ends with the epoch {epoch}");
    Ok(())
}

async fn a_raise_gives_a_number_above_the_callers(fixture: Fixture) -> Verdict {
    for above in [Sequence::ZERO, Sequence(7), FAR] {
        let number = fixture.raise("acme", tag("org"), above).await?;
        ensure!(number > above, "{number} is not above {above}");
    }
    Ok(())
}

async fn raises_give_rising_numbers(fixture: Fixture) -> Verdict {
    let mut last = Sequence::ZERO;
    for _ in 0..50 {
        let number = fixture.raise("acme", tag("org"), Sequence::ZERO).await?;
        ensure!(number > last, "{number} after {last}");
        last = number;
    }
    Ok(())
}

async fn a_raise_is_above_what_a_load_gave(fixture: Fixture) -> Verdict {
    let loaded = fixture.load("acme", Sequence(5)).await?.sequence;
    let number = fixture.raise("acme", tag("org"), loaded).await?;
    ensure!(number > loaded, "{number} after a load gave {loaded}");
    Ok(())
}

async fn a_load_is_above_every_raise(fixture: Fixture) -> Verdict {
    for target in [tag("org"), cache("users"), EpochTarget::Tenant, EpochTarget::Everything] {
        let number = fixture.raise("acme", target, Sequence::ZERO).await?;
        let loaded = fixture.load("acme", Sequence::ZERO).await?.sequence;
        ensure!(loaded > number, "the counter goes on from {loaded} after {number}");
    }
    Ok(())
}

async fn a_load_is_above_a_reservation(fixture: Fixture) -> Verdict {
    fixture.reserve("acme", FAR).await?;
    let loaded = fixture.load("acme", Sequence::ZERO).await?.sequence;
    ensure!(loaded > FAR, "the counter goes on from {loaded}, reserved up to {FAR}");
    Ok(())
}

async fn a_raise_is_above_a_reservation(fixture: Fixture) -> Verdict {
    fixture.load("acme", Sequence(5)).await?;
    fixture.reserve("acme", FAR).await?;
    let number = fixture.raise("acme", tag("org"), Sequence::ZERO).await?;
    ensure!(number > FAR, "{number} was reserved");
    Ok(())
}

async fn a_lower_reservation_lowers_nothing(fixture: Fixture) -> Verdict {
    fixture.reserve("acme", FAR).await?;
    fixture.reserve("acme", Sequence(3)).await?;
    let number = fixture.raise("acme", tag("org"), Sequence::ZERO).await?;
    ensure!(number > FAR, "{number} was reserved");
    Ok(())
}

async fn a_lower_newest_lowers_nothing(fixture: Fixture) -> Verdict {
    let raised = fixture.raise("acme", tag("org"), FAR).await?;
    fixture.load("acme", Sequence::ZERO).await?;
    let loaded = fixture.load("acme", Sequence(1)).await?.sequence;
    ensure!(loaded > raised, "the counter goes on from {loaded} after {raised}");
    Ok(())
}

async fn a_raised_target_is_found_by_a_load(fixture: Fixture) -> Verdict {
    for target in [tag("org"), cache("users"), EpochTarget::Tenant, EpochTarget::Everything] {
        let number = fixture.raise("acme", target.clone(), Sequence::ZERO).await?;
        expect_epoch(&fixture, "acme", &target, number).await?;
    }
    Ok(())
}

async fn a_second_raise_of_a_target_counts(fixture: Fixture) -> Verdict {
    fixture.raise("acme", tag("org"), Sequence::ZERO).await?;
    let second = fixture.raise("acme", tag("org"), Sequence::ZERO).await?;
    expect_epoch(&fixture, "acme", &tag("org"), second).await
}

async fn one_raise_stores_several_targets(fixture: Fixture) -> Verdict {
    let targets = [tag("org"), tag("plan"), cache("users")];
    let number = fixture.store.raise("suite", "acme", &targets, Sequence::ZERO).await?;
    for target in &targets {
        expect_epoch(&fixture, "acme", target, number).await?;
    }
    Ok(())
}

async fn a_raise_without_targets_still_counts(fixture: Fixture) -> Verdict {
    let first = fixture.store.raise("suite", "acme", &[], Sequence(9)).await?;
    let second = fixture.store.raise("suite", "acme", &[], Sequence::ZERO).await?;
    ensure!(first > Sequence(9) && second > first, "numbers {first} and {second} above 9");
    Ok(())
}

async fn a_raise_leaves_other_targets(fixture: Fixture) -> Verdict {
    fixture.load("acme", Sequence(5)).await?;
    fixture.raise("acme", tag("org:1"), Sequence::ZERO).await?;
    let raised = fixture.raise("acme", tag("org:11"), Sequence::ZERO).await?;
    for other in [tag("org:1"), tag("org"), tag("ORG:11"), tag(""), cache("org:11")] {
        expect_below(&fixture, "acme", &other, raised).await?;
    }
    Ok(())
}

async fn a_tag_and_a_cache_of_one_name_are_two_targets(fixture: Fixture) -> Verdict {
    fixture.load("acme", Sequence(5)).await?;
    let of_tag = fixture.raise("acme", tag("users"), Sequence::ZERO).await?;
    expect_below(&fixture, "acme", &cache("users"), of_tag).await?;
    let of_cache = fixture.raise("acme", cache("users"), Sequence::ZERO).await?;
    expect_below(&fixture, "acme", &tag("users"), of_cache).await?;
    expect_epoch(&fixture, "acme", &tag("users"), of_tag).await
}

async fn a_raise_leaves_other_tenants(fixture: Fixture) -> Verdict {
    for tenant in ["acme", "ac", "acme2", ""] {
        fixture.load(tenant, Sequence(5)).await?;
    }
    for target in [tag("org"), EpochTarget::Tenant] {
        let raised = fixture.raise("acme", target.clone(), FAR).await?;
        for tenant in ["ac", "acme2", ""] {
            expect_below(&fixture, tenant, &target, raised).await?;
        }
    }
    Ok(())
}

async fn a_raise_leaves_other_managers(fixture: Fixture) -> Verdict {
    fixture.store.load("suite2", "acme", Sequence(5)).await?;
    let raised = fixture.raise("acme", tag("org"), FAR).await?;
    let other = fixture.store.load("suite2", "acme", Sequence(5)).await?;
    ensure!(effective(&other, &tag("org")) < raised, "the raise reached another manager");
    Ok(())
}

async fn odd_names_stay_apart(fixture: Fixture) -> Verdict {
    let names = ["a:b", "a", "b", "a b", "a\0b", "a\nb", "A", "é", "日本語", "%", "*", "../a"];
    for tenant in names {
        fixture.load(tenant, Sequence(5)).await?;
    }
    let mut numbers = Vec::new();
    for tenant in names {
        numbers.push(fixture.raise(tenant, tag(tenant), Sequence::ZERO).await?);
    }
    for (tenant, number) in names.iter().zip(numbers) {
        expect_epoch(&fixture, tenant, &tag(tenant), number).await?;
        let record = fixture.load(tenant, Sequence::ZERO).await?;
        let foreign = record.epochs.iter().filter(|(target, _)| *target != tag(tenant)).count();
        ensure_eq!(foreign, 0, "targets of others in the record of {tenant:?}");
    }
    Ok(())
}

async fn everything_reaches_tenants_that_were_loaded(fixture: Fixture) -> Verdict {
    fixture.load("other", Sequence(5)).await?;
    let number = fixture.raise("acme", EpochTarget::Everything, FAR).await?;
    expect_epoch(&fixture, "other", &tag("any"), number).await
}

async fn everything_reaches_tenants_that_were_not(fixture: Fixture) -> Verdict {
    let number = fixture.raise("acme", EpochTarget::Everything, FAR).await?;
    let record = fixture.load("later", Sequence(5)).await?;
    ensure!(effective(&record, &tag("any")) >= number, "a new tenant is below everything's epoch");
    ensure!(record.sequence > number, "its counter goes on from {}", record.sequence);
    Ok(())
}

async fn everything_leaves_other_managers(fixture: Fixture) -> Verdict {
    fixture.store.load("suite2", "acme", Sequence(5)).await?;
    let number = fixture.raise("acme", EpochTarget::Everything, FAR).await?;
    let other = fixture.store.load("suite2", "acme", Sequence(5)).await?;
    ensure!(effective(&other, &tag("any")) < number, "everything reached another manager");
    Ok(())
}

async fn three_thousand_tags_lose_nothing(fixture: Fixture) -> Verdict {
    let mut numbers = Vec::new();
    for first in (0..3_000).step_by(100) {
        let targets: Vec<_> = (first..first + 100).map(|n| tag(&format!("tag:{n}"))).collect();
        let number = fixture.store.raise("suite", "acme", &targets, Sequence::ZERO).await?;
        numbers.extend(targets.into_iter().map(|target| (target, number)));
    }
    let record = fixture.load("acme", Sequence::ZERO).await?;
    for (target, number) in numbers {
        ensure!(effective(&record, &target) >= number, "{target:?} is below its {number}");
    }
    Ok(())
}

/// Raises `count` tags from tasks of their own.
async fn raise_at_once(
    fixture: &Fixture,
    count: u64,
) -> Result<Vec<(EpochTarget, Sequence)>, Failure> {
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let store = Arc::clone(&fixture.store);
        tasks.spawn(async move {
            let target = tag(&format!("tag:{number}"));
            let targets = std::slice::from_ref(&target);
            let raised = store.raise("suite", "acme", targets, Sequence::ZERO).await;
            raised.map(|number| (target, number))
        });
    }
    Ok(tasks.join_all().await.into_iter().collect::<Result<_, _>>()?)
}

async fn expect_all(fixture: &Fixture, raised: &[(EpochTarget, Sequence)]) -> Verdict {
    let record = fixture.load("acme", Sequence::ZERO).await?;
    for (target, number) in raised {
        ensure!(effective(&record, target) >= *number, "{target:?} is below its {number}");
        ensure!(record.sequence > *number, "the counter is at {}", record.sequence);
    }
    Ok(())
}

async fn raises_at_once_give_numbers_of_their_own(fixture: Fixture) -> Verdict {
    let raised = raise_at_once(&fixture, 64).await?;
    let numbers: HashSet<_> = raised.iter().map(|(_, number)| number).collect();
    ensure_eq!(numbers.len(), 64, "distinct numbers of 64 raises");
    expect_all(&fixture, &raised).await
}

async fn raises_and_reservations_mix(fixture: Fixture) -> Verdict {
    let mut tasks = JoinSet::new();
    for step in 1..=32_u64 {
        let store = Arc::clone(&fixture.store);
        tasks.spawn(async move {
            let upto = Sequence(FAR.0 + step * 1_000);
            store.reserve("suite", "acme", upto).await?;
            let number = store.raise("suite", "acme", &[tag("org")], Sequence::ZERO).await?;
            Ok::<_, cache_enterprise_core::Error>((upto, number))
        });
    }
    for answer in tasks.join_all().await {
        let (upto, number) = answer?;
        ensure!(number > upto, "{number} was given after a reservation up to {upto}");
    }
    Ok(())
}

async fn a_raise_survives_a_crash(fixture: Fixture) -> Verdict {
    let number = fixture.raise("acme", tag("org"), Sequence::ZERO).await?;
    let fixture = fixture.crash().await?;
    expect_epoch(&fixture, "acme", &tag("org"), number).await?;
    let loaded = fixture.load("acme", Sequence::ZERO).await?.sequence;
    ensure!(loaded > number, "the counter goes on from {loaded} after {number}");
    Ok(())
}

async fn every_target_survives_a_crash(mut fixture: Fixture) -> Verdict {
    for target in [tag("org"), cache("users"), EpochTarget::Tenant] {
        for tenant in ["acme", "", "é:b"] {
            let number = fixture.raise(tenant, target.clone(), Sequence::ZERO).await?;
            fixture = fixture.crash().await?;
            expect_epoch(&fixture, tenant, &target, number).await?;
        }
    }
    Ok(())
}

async fn a_reservation_survives_a_crash(fixture: Fixture) -> Verdict {
    fixture.reserve("acme", FAR).await?;
    let fixture = fixture.crash().await?;
    let number = fixture.raise("acme", tag("org"), Sequence::ZERO).await?;
    ensure!(number > FAR, "{number} was reserved before the crash");
    Ok(())
}

async fn everything_survives_a_crash(fixture: Fixture) -> Verdict {
    fixture.load("loaded", Sequence(5)).await?;
    let number = fixture.raise("acme", EpochTarget::Everything, FAR).await?;
    let fixture = fixture.crash().await?;
    expect_epoch(&fixture, "loaded", &tag("any"), number).await?;
    expect_epoch(&fixture, "later", &tag("any"), number).await
}

async fn a_crash_gives_no_number_twice(mut fixture: Fixture) -> Verdict {
    let mut last = Sequence::ZERO;
    for _ in 0..5 {
        let loaded = fixture.load("acme", Sequence::ZERO).await?.sequence;
        ensure!(loaded > last, "a load after a crash gave {loaded}, {last} was given before");
        last = fixture.raise("acme", tag("org"), loaded).await?;
        ensure!(last > loaded, "a raise gave {last} after {loaded}");
        fixture = fixture.crash().await?;
    }
    Ok(())
}

async fn raises_at_once_survive_a_crash(fixture: Fixture) -> Verdict {
    let raised = raise_at_once(&fixture, 64).await?;
    let fixture = fixture.crash().await?;
    expect_all(&fixture, &raised).await
}

async fn several_crashes_lose_nothing(mut fixture: Fixture) -> Verdict {
    let mut raised = Vec::new();
    for round in 0..6 {
        let target = tag(&format!("round:{round}"));
        let number = fixture.raise("acme", target.clone(), Sequence::ZERO).await?;
        raised.push((target, number));
        fixture = fixture.crash().await?;
        expect_all(&fixture, &raised).await?;
    }
    Ok(())
}
