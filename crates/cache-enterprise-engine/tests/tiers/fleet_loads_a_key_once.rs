//! Two managers over one tier, as two processes have it: what one has loaded the other takes from
//! the tier, and with leases one of them loads. Leases save loads and decide nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_enterprise_core::{Clock, mins, ms, secs};
use cache_enterprise_engine::{
    CacheManager, CacheSpec, Fetched, Leases, LoadContext, Loader, Loading, Missing,
};
use cache_enterprise_serializers::MessagePack;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::builder;
use crate::leased::{Leased, Manner};

static SPEC: CacheSpec<u64, u64> =
    CacheSpec::new("numbers").ttl(secs(10)).stale_for(mins(1)).leases(Leases::Loads);

/// Gives what the test sends, or 100 and the number of its load.
#[derive(Default)]
struct Origin {
    loads: AtomicU64,
    answers: Mutex<Vec<oneshot::Receiver<u64>>>,
}

struct ByHand(Arc<Origin>);

impl Loader<u64, u64> for ByHand {
    type Error = &'static str;

    async fn load(&self, _: &u64, _: LoadContext<u64>) -> Result<Fetched<u64>, &'static str> {
        let load = self.0.loads.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = self.0.answers.lock().pop();
        match answer {
            Some(answer) => answer.await.map(Fetched::Value).map_err(|_| "nobody answers"),
            None => Ok((100 + load).into()),
        }
    }
}

/// One process.
struct Node {
    manager: CacheManager<MessagePack>,
    numbers: Loading<u64, u64, ByHand>,
    origin: Arc<Origin>,
}

impl Node {
    async fn new(clock: &Clock, tier: &Arc<Leased>, spec: &CacheSpec<u64, u64>) -> Self {
        let manager = builder(clock).l2(tier.opened()).codec(MessagePack).build().await.unwrap();
        let origin = Arc::new(Origin::default());
        let numbers = manager.open(spec).unwrap().with_loader(ByHand(Arc::clone(&origin)));
        Self { manager, numbers, origin }
    }

    fn hold(&self) -> oneshot::Sender<u64> {
        let (sender, receiver) = oneshot::channel();
        self.origin.answers.lock().push(receiver);
        sender
    }

    async fn load(&self) -> u64 {
        *self.numbers.load(&1).await.unwrap()
    }

    /// As `load`, in a task of its own.
    fn loading(&self) -> JoinHandle<u64> {
        let numbers = self.numbers.clone();
        tokio::spawn(async move { *numbers.load(&1).await.unwrap() })
    }

    fn loads(&self) -> u64 {
        self.origin.loads.load(Ordering::SeqCst)
    }

    /// Lets tasks run until `condition` holds; time stands.
    async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        for _ in 0..100_000 {
            if condition() {
                return;
            }
            self.manager.tick();
            tokio::task::yield_now().await;
        }
        panic!("never: {what}");
    }

    /// Lets time pass in small steps until `condition` holds.
    async fn in_time(&self, clock: &Clock, what: &str, condition: impl Fn() -> bool) {
        for _ in 0..4_000 {
            if condition() {
                return;
            }
            clock.advance(ms(5));
            self.manager.tick();
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
        panic!("never: {what}");
    }
}

async fn two(spec: &CacheSpec<u64, u64>) -> (Clock, Arc<Leased>, Node, Node) {
    let clock = Clock::manual();
    let tier = Leased::new(&clock);
    let first = Node::new(&clock, &tier, spec).await;
    let second = Node::new(&clock, &tier, spec).await;
    (clock, tier, first, second)
}

#[tokio::test]
async fn a_refresh_takes_what_the_other_has_refreshed() {
    static PLAIN: CacheSpec<u64, u64> =
        CacheSpec::new("plain").ttl(secs(10)).stale_for(mins(1)).leases(Leases::Never);
    let (clock, _tier, first, second) = two(&PLAIN).await;
    assert_eq!((first.load().await, second.load().await), (101, 101));
    clock.advance(secs(11));
    assert_eq!(first.load().await, 101);
    first.until("the refresh has landed", || first.numbers.contains(&1)).await;
    second.until("the tier has it", || first.numbers.peek(&1).is_some_and(|n| *n == 102)).await;
    first.until("the fill is done", || first.manager.tier_stats()[0].puts == 2).await;
    assert_eq!(second.load().await, 101, "the reader does not wait");
    second.until("it was taken over", || second.numbers.contains(&1)).await;
    assert_eq!((second.load().await, second.loads(), first.loads()), (102, 0, 2));
}

#[tokio::test]
async fn an_early_refresh_takes_what_the_other_has_refreshed() {
    static EARLY: CacheSpec<u64, u64> =
        CacheSpec::new("early").ttl(secs(100)).refresh_at(0.5).leases(Leases::Never);
    let (clock, _tier, first, second) = two(&EARLY).await;
    assert_eq!((first.load().await, second.load().await), (101, 101));
    clock.advance(secs(90));
    assert_eq!(first.load().await, 101);
    let is_new = |node: &Node| node.numbers.peek(&1).is_some_and(|value| *value == 102);
    first.until("the fill is done", || first.manager.tier_stats()[0].puts == 2).await;
    assert!(is_new(&first));
    assert_eq!(second.load().await, 101);
    second.until("it was taken over", || is_new(&second)).await;
    assert_eq!((second.loads(), first.loads()), (0, 2));
}

#[tokio::test]
async fn a_stale_value_of_the_tier_alone_answers_at_once() {
    let (clock, _tier, first, _second) = two(&SPEC).await;
    assert_eq!(first.load().await, 101);
    clock.advance(secs(11));
    first.numbers.drop_level1();
    let answer = first.hold();
    assert_eq!(first.load().await, 101, "from the tier");
    assert_eq!(first.load().await, 101);
    first.until("the refresh has begun", || first.loads() == 2).await;
    answer.send(7).unwrap();
    first.until("the refresh has landed", || first.numbers.contains(&1)).await;
    assert_eq!((first.load().await, first.loads()), (7, 2));
}

#[tokio::test]
async fn a_stale_value_of_the_tier_is_no_fallback_once_it_was_removed() {
    for end in 0..3 {
        let (clock, _tier, first, _second) = two(&SPEC).await;
        assert_eq!(first.load().await, 101);
        clock.advance(secs(11));
        first.numbers.drop_level1();
        let (fail, failed) = oneshot::channel::<()>();
        let load = || async {
            failed.await.unwrap();
            Err::<u64, _>("down")
        };
        let mut reader = Box::pin(first.numbers.try_get_with(&1, load));
        let begun = || first.numbers.stats().loads == 2;
        tokio::select! {
            biased;
            _ = &mut reader => panic!("nobody answered"),
            () = first.until("the load has begun", begun) => {}
        }
        match end {
            0 => drop(first.numbers.remove(&1).await),
            1 => drop(first.numbers.clear().await),
            _ => drop(first.manager.clear().await),
        }
        fail.send(()).unwrap();
        assert_eq!(reader.await.unwrap_err().loader(), Some(&"down"), "end {end}");
    }
}

#[tokio::test]
async fn one_loads_and_the_other_waits_for_the_tier() {
    let (clock, tier, first, second) = two(&SPEC).await;
    let answer = first.hold();
    let one = first.loading();
    first.until("the load has begun", || first.loads() == 1).await;
    let other = second.loading();
    second.in_time(&clock, "it has asked", || second.numbers.stats().misses > 0).await;
    answer.send(7).unwrap();
    second.in_time(&clock, "the other has it", || other.is_finished()).await;
    assert_eq!((one.await.unwrap(), other.await.unwrap()), (7, 7));
    assert_eq!((first.loads(), second.loads()), (1, 0));
    assert_eq!(tier.acquired.load(Ordering::SeqCst), 1);
    first.until("the lease was given back", || !tier.is_held()).await;
}

#[tokio::test]
async fn one_refreshes_and_both_answer_meanwhile() {
    let (clock, tier, first, second) = two(&SPEC).await;
    assert_eq!((first.load().await, second.load().await), (101, 101));
    first.until("the lease was given back", || !tier.is_held()).await;
    clock.advance(secs(11));
    let answer = first.hold();
    assert_eq!(first.load().await, 101);
    first.until("the refresh has begun", || first.loads() == 2).await;
    assert_eq!(second.load().await, 101);
    second.in_time(&clock, "it waits", || second.numbers.stats().refreshes == 1).await;
    assert_eq!((second.load().await, second.loads()), (101, 0));
    answer.send(7).unwrap();
    let is_new = || second.numbers.peek(&1).is_some_and(|value| *value == 7);
    second.in_time(&clock, "the other has it", is_new).await;
    assert_eq!((first.loads(), second.loads()), (2, 0));
}

#[tokio::test]
async fn a_holder_that_died_keeps_others_from_loading_for_its_life_alone() {
    let (clock, _tier, first, second) = two(&SPEC).await;
    let _answer = first.hold();
    let dead = first.loading();
    first.until("the load has begun", || first.loads() == 1).await;
    // Nobody ticks the first manager any more: it renews nothing.
    let other = second.loading();
    let begun = clock.now();
    second.in_time(&clock, "it loads itself", || other.is_finished()).await;
    assert_eq!((other.await.unwrap(), second.loads()), (101, 1));
    assert!(clock.now() - begun >= 9_000, "not before the lease has ended");
    dead.abort();
}

#[tokio::test]
async fn a_loader_that_takes_long_keeps_its_lease() {
    let (clock, tier, first, _second) = two(&SPEC).await;
    let answer = first.hold();
    let one = first.loading();
    first.until("the load has begun", || first.loads() == 1).await;
    first.in_time(&clock, "it was renewed", || tier.renewed.load(Ordering::SeqCst) == 4).await;
    assert!(tier.is_held());
    answer.send(7).unwrap();
    assert_eq!(one.await.unwrap(), 7);
}

#[tokio::test]
async fn what_comes_after_a_later_holder_is_refused_by_the_tier() {
    let (_clock, tier, first, second) = two(&SPEC).await;
    let answer = first.hold();
    let paused = first.loading();
    first.until("the load has begun", || first.loads() == 1).await;
    tier.take_over();
    answer.send(7).unwrap();
    assert_eq!(paused.await.unwrap(), 7, "its own caller has it");
    first.until("the fill was refused", || tier.fenced.load(Ordering::SeqCst) == 1).await;
    assert_eq!(second.numbers.get(&1).await.unwrap().map(|value| *value), None);
}

/// Lets `first` know of greater numbers than anybody else, and `late` load the key there.
async fn outlasting_its_lease<T: Send + 'static>(
    late: impl AsyncFnOnce(Node) -> (Node, oneshot::Sender<u64>, JoinHandle<T>),
) -> Option<u64> {
    let (clock, tier, first, second) = two(&SPEC).await;
    let numbers = first.manager.open(&SPEC).unwrap();
    for key in 10..20 {
        numbers.set(&key, key).await;
    }
    // Nobody ticks the first manager any more: it renews nothing.
    let (first, answer, late) = late(first).await;
    let other = second.loading();
    second.in_time(&clock, "it loads itself", || other.is_finished()).await;
    assert_eq!(other.await.unwrap(), 101);
    answer.send(7).unwrap();
    late.await.unwrap();
    first.until("its value was refused", || tier.fenced.load(Ordering::SeqCst) == 1).await;
    first.until("both leases were given back", || !tier.is_held()).await;
    let second = second.manager.open(&SPEC).unwrap();
    second.drop_level1();
    second.get(&1).await.unwrap().map(|value| *value)
}

#[tokio::test]
async fn a_holder_that_lost_its_lease_takes_nothing_of_a_later_one_along() {
    let late = async |first: Node| {
        let answer = first.hold();
        let load = first.loading();
        first.until("the load has begun", || first.loads() == 1).await;
        (first, answer, load)
    };
    assert_eq!(outlasting_its_lease(late).await, Some(101));
}

#[tokio::test]
async fn a_batch_that_lost_its_leases_takes_nothing_of_later_ones_along() {
    let late = async |first: Node| {
        let (answer, answered) = oneshot::channel();
        let (begins, begun) = oneshot::channel();
        let numbers = first.numbers.clone();
        let mut once = Some((begins, answered));
        let load = move |missing: Missing<u64>| {
            let (begins, answered) = once.take().unwrap();
            async move {
                begins.send(()).unwrap();
                let value = answered.await.unwrap();
                missing.into_iter().map(|key| (key, value)).collect::<Vec<_>>()
            }
        };
        let batch = tokio::spawn(async move { numbers.get_many_with([1_u64], load).await });
        begun.await.unwrap();
        (first, answer, batch)
    };
    assert_eq!(outlasting_its_lease(late).await, Some(101));
}

#[tokio::test]
async fn a_store_of_leases_that_fails_or_hangs_blocks_no_load() {
    for manner in [Manner::Fail, Manner::Hang] {
        let (clock, tier, first, _second) = two(&SPEC).await;
        *tier.manner.lock() = manner;
        let one = first.loading();
        let begun = clock.now();
        first.in_time(&clock, "it has loaded", || one.is_finished()).await;
        assert_eq!(one.await.unwrap(), 101, "{manner:?}");
        assert!(clock.now() - begun <= 300, "{manner:?}");
        assert_eq!(*first.numbers.load(&2).await.unwrap(), 102, "it is left alone for a second");
    }
}

#[tokio::test]
async fn a_borrowing_call_answers_with_the_old_value_while_the_other_loads() {
    let (clock, tier, first, second) = two(&SPEC).await;
    assert_eq!((first.load().await, second.load().await), (101, 101));
    first.until("the lease was given back", || !tier.is_held()).await;
    clock.advance(secs(11));
    let _answer = first.hold();
    assert_eq!(first.load().await, 101);
    first.until("the refresh has begun", || first.loads() == 2).await;
    assert_eq!(*second.numbers.get_with(&1, || async { 5_u64 }).await, 101);
}

#[tokio::test]
async fn a_batch_asks_once_for_all_leases_and_loads_what_nobody_holds() {
    let (clock, tier, first, second) = two(&SPEC).await;
    let answer = first.hold();
    let one = first.loading();
    first.until("the load has begun", || first.loads() == 1).await;
    let called = Arc::new(Mutex::new(Vec::new()));
    let batch = tokio::spawn({
        let (numbers, called) = (second.numbers.clone(), Arc::clone(&called));
        async move {
            let load = |missing: Missing<u64>| {
                called.lock().push(missing.to_vec());
                async move { missing.into_iter().map(|key| (key, key * 10)).collect::<Vec<_>>() }
            };
            numbers.get_many_with([1_u64, 2, 3], load).await.into_values().unwrap()
        }
    });
    second.until("it has loaded the others", || second.numbers.peek(&3).is_some()).await;
    assert_eq!(tier.batches.load(Ordering::SeqCst), 1, "one question for three keys");
    assert!(!batch.is_finished());
    answer.send(7).unwrap();
    second.in_time(&clock, "the batch has ended", || batch.is_finished()).await;
    let values: Vec<_> = batch.await.unwrap().into_iter().map(|value| value.map(|v| *v)).collect();
    assert_eq!(values, [Some(7), Some(20), Some(30)]);
    assert_eq!((one.await.unwrap(), called.lock().as_slice()), (7, &[vec![2, 3]][..]));
    second.until("the leases were given back", || !tier.is_held()).await;
}

#[tokio::test]
async fn a_batch_with_a_dead_store_of_leases_loads_all() {
    for manner in [Manner::Fail, Manner::Hang] {
        let (clock, tier, first, _second) = two(&SPEC).await;
        *tier.manner.lock() = manner;
        let batch = tokio::spawn({
            let numbers = first.numbers.clone();
            async move {
                let load = |missing: Missing<u64>| async move {
                    missing.into_iter().map(|key| (key, key * 10)).collect::<Vec<_>>()
                };
                numbers.get_many_with([1_u64, 2], load).await.into_values().unwrap().len()
            }
        });
        let begun = clock.now();
        first.in_time(&clock, "it has loaded", || batch.is_finished()).await;
        assert_eq!(batch.await.unwrap(), 2, "{manner:?}");
        assert!(clock.now() - begun <= 300, "{manner:?}");
    }
}
