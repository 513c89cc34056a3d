//! Which schedules a story is played under.

use std::env;
use std::str::FromStr;
use std::thread::panicking;

use shuttle::scheduler::{
    PctScheduler, RandomScheduler, ReplayScheduler, Scheduler,
    UncontrolledNondeterminismCheckScheduler,
};
use shuttle::{Config, MaxSteps, Runner};

/// Every test draws the same schedules in every run unless `CACHE_MODEL_SEED` says otherwise.
const SEED: u64 = 2026;

/// Schedules that change threads at any point.
const RANDOM: usize = 2_000;

/// Schedules with few changes of thread, each at a point drawn at random; see [`PctScheduler`].
const PREEMPTIONS: [(usize, usize); 2] = [(2, 1_000), (4, 1_000)];

/// Schedules that are played twice, to see that a printed one would fail again.
const REPLAYED: usize = 20;

/// Plays `story` under each scheduler, or under the one schedule of `CACHE_MODEL_SCHEDULE`.
pub(crate) fn explore(story: fn()) {
    if let Ok(schedule) = env::var("CACHE_MODEL_SCHEDULE") {
        // It is printed in lines.
        let schedule: String = schedule.split_whitespace().collect();
        return play("given", 0, ReplayScheduler::new_from_encoded(&schedule), story);
    }
    let seed = setting("CACHE_MODEL_SEED", SEED);
    let rounds = setting("CACHE_MODEL_ROUNDS", 1_usize);
    let twice = RandomScheduler::new_from_seed(seed, REPLAYED);
    play("twice", seed, UncontrolledNondeterminismCheckScheduler::new(twice), story);
    play("random", seed, RandomScheduler::new_from_seed(seed, RANDOM * rounds), story);
    for (depth, schedules) in PREEMPTIONS {
        let scheduler = PctScheduler::new_from_seed(seed, depth, schedules * rounds);
        play(&format!("preemptions {depth}"), seed, scheduler, story);
    }
}

fn play(scheduler_name: &str, seed: u64, scheduler: impl Scheduler + 'static, story: fn()) {
    let mut config = Config::new();
    // The default is 32 KiB, which an unoptimised build overflows.
    config.stack_size = 256 * 1024;
    // Stories take some hundred steps: one that takes so many spins.
    config.max_steps = MaxSteps::FailAfter(20_000);
    config.silence_warnings = true;
    let _told = Told { scheduler_name, seed };
    let schedules = Runner::new(scheduler, config).run(story);
    println!("{scheduler_name}, seed {seed}: {schedules} schedules");
}

/// Tells of a failure how to meet it again.
struct Told<'a> {
    scheduler_name: &'a str,
    seed: u64,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if panicking() {
            println!("failed under scheduler `{}`, seed {}", self.scheduler_name, self.seed);
        }
    }
}

/// A number from the environment.
fn setting<T: FromStr>(name: &str, default: T) -> T {
    match env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is not a number")),
        Err(_) => default,
    }
}
