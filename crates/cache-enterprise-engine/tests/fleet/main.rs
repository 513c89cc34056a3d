//! Stories of several processes: managers over one shared tier, one store of epochs and one bus.
#![allow(clippy::unwrap_used)]

mod acknowledged_end_is_seen_below_without_the_bus;
mod climb_beside_an_end_without_a_number;
mod climb_that_a_heard_end_overtakes_lands_nowhere;
mod computation_reaches_every_level;
mod conditional_set_is_one_step_for_all;
mod confirmed_value_lives_on_in_other_processes;
mod expire_beside_a_set_leaves_no_elder;
mod heard_end_beats_the_load_it_overtakes;
mod hooks_hear_what_another_process_ended;
mod key_changed_by_a_stranger_leaves_level_1;
mod key_twice_in_a_batch_ends_as_its_last_value;
mod lost_records_and_counters_bring_nothing_back;
mod numbers_of_an_outage_end_nothing_newer;
mod outage_costs_few_loads;
mod overlapping_batches_load_once_in_the_fleet;
mod overlapping_batches_share_what_a_process_loaded;
mod pattern_ends_lazily_where_a_tier_cannot_list;
mod pushed_value_takes_the_place_of_a_believed_copy;
mod relay;
mod set_key_is_not_read_by_every_process;
mod set_that_a_load_overtook_is_told;
mod shortened_life_is_short_in_every_process;
mod silence_and_loss_are_doubted;
mod tiers_of_one_process_are_no_better_than_level_1;
mod time_that_stands_or_jumps_brings_nothing_back;
mod what_a_tier_was_told_late_is_told_again;
mod what_one_ends_the_others_let_go;
mod write_without_a_number_gives_way_to_no_older_push;

use std::future::IntoFuture;
use std::sync::Arc;

use cache_enterprise_core::{Clock, OpenedBackend, mins};
use cache_enterprise_engine::{Cache, CacheManager, CacheSpec, Options, Tier};
use cache_enterprise_serializers::MessagePack;
use cache_enterprise_testkit::chaos::ChaosBackend;
use cache_enterprise_testkit::coherence::{InProcessBus, SharedEpochs};
use cache_enterprise_testkit::{ModelBackend, Seed, wait};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

static SPEC: CacheSpec<u64, u64> = CacheSpec::new("numbers").ttl(mins(60));

/// What all processes have in common.
struct Fleet {
    clock: Clock,
    tier: ModelBackend,
    epochs: SharedEpochs,
    bus: InProcessBus,
}

/// One of them.
struct Process {
    manager: CacheManager<MessagePack>,
    cache: Cache<u64, u64>,
    epochs: SharedEpochs,
    bus: InProcessBus,
}

impl Fleet {
    fn new() -> Self {
        let clock = Clock::manual();
        let tier = ModelBackend::new(clock.clone());
        let capabilities = cache_enterprise_core::Backend::capabilities(&tier);
        let tier =
            tier.claiming(cache_enterprise_core::Capabilities { shared: true, ..capabilities });
        let epochs = SharedEpochs::new(clock.clone());
        Self { clock, tier, epochs, bus: InProcessBus::new() }
    }

    /// The tier as a process with this client of the store of epochs sees it.
    fn shared_tier(&self, epochs: &SharedEpochs) -> Tier {
        let (_, level) = self.chaotic_tier(epochs);
        level.bare()
    }

    /// The same with its guards, and the faults and counts of this process's way to it.
    fn chaotic_tier(&self, epochs: &SharedEpochs) -> (Arc<ChaosBackend>, Tier) {
        let tier = Arc::new(ChaosBackend::new(Arc::new(self.tier.reopened()), Seed(1)));
        let source = OpenedBackend::new(Arc::clone(&tier) as _);
        (tier, Tier::new(source.with_epochs(Arc::new(epochs.clone()))))
    }

    /// A process that hears the others, at the fleet's time.
    async fn process(&self) -> Process {
        self.process_at(self.clock.clone()).await
    }

    async fn process_at(&self, clock: Clock) -> Process {
        let (epochs, bus) = (self.epochs.another(), self.bus.another());
        let manager = builder(clock)
            .l2(self.shared_tier(&epochs))
            .codec(MessagePack)
            .bus(bus.clone())
            .build()
            .await
            .unwrap();
        let cache = manager.open(&SPEC).unwrap();
        let process = Process { manager, cache, epochs, bus };
        process.heard("it listens", || process.bus.listeners("fleet") > 0).await;
        process
    }
}

/// A builder without jitter.
fn builder(clock: Clock) -> cache_enterprise_engine::ManagerBuilder {
    let options = Options { jitter: Some(0.0), ..Options::NONE };
    CacheManager::builder("fleet").options(options).clock(clock)
}

impl Process {
    async fn set(&self, key: u64, value: u64) {
        self.cache.set(&key, value).strict().into_future().await.unwrap();
    }

    async fn get(&self, key: u64) -> Option<u64> {
        self.cache.get(&key).await.unwrap().map(|value| *value)
    }

    /// A load that has begun and ends when it is told to.
    async fn loading(&self, key: u64, value: u64) -> (oneshot::Sender<()>, JoinHandle<u64>) {
        let (go, gate) = oneshot::channel::<()>();
        let (began, begun) = oneshot::channel();
        let cache = self.cache.clone();
        let load = tokio::spawn(async move {
            let load = || async move {
                began.send(()).unwrap();
                gate.await.unwrap();
                value
            };
            *cache.get_with(&key, load).await
        });
        begun.await.unwrap();
        (go, load)
    }

    fn peek(&self, key: u64) -> Option<u64> {
        self.cache.peek(&key).map(|value| *value)
    }

    /// Turns the manager until something heard shows.
    async fn heard(&self, what: &str, mut condition: impl FnMut() -> bool) {
        wait::until_async(what, async || {
            self.manager.tick();
            condition()
        })
        .await;
    }
}
